#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The operator's page: what stands in it, to whom it is told, and that what a
# client says in it stays text, in a real browser too where there is one.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
tasks_or_skip
xenoserver=$XN_BUILD/hostagent/xenoserver
page=

page_goes() {
    [ -z "$page" ] || { kill "$page" && wait "$page"; } 2>/dev/null
    page=
}
trap 'page_goes; goes_away' EXIT

get() { # PATH CURL-OPTION...: body in out, head in head, status in status
    local path=$1
    shift
    status=$(curl -s -m 30 -o "$scratch/out" -D "$scratch/head" \
        -w '%{http_code}' --path-as-is "$@" "$origin$path")
}
has() { grep -qF -- "$1" "$scratch/out"; }

up --servers 1
state=$XENODEV_STATE/host-01
for bad in 0.0.0.0:0 192.0.2.1:80 localhost:80 127.0.0.1; do
    "$xenoserver" page --state "$state" --listen "$bad" 2>"$scratch/err"
    [ $? -eq 2 ] && grep -q '^  try: ' "$scratch/err"
    ok $? "page does not listen at $bad"
done

hostile='<script>document.title="owned"</script>"'"'&amp;"
"$xeno" run --detach --keep -o json CPUsmps:100.. -- \
    sh -c 'sleep 100000' "$hostile" >"$scratch/run" 2>>"$scratch/err"
ok $? 'a task runs, with markup among its words'

mkfifo "$scratch/url"
"$xenoserver" page --state "$state" --config "$XENODEV_STATE/host-01.conf" \
    >"$scratch/url" 2>>"$scratch/err" &
page=$!
read -rt 60 url <"$scratch/url"
origin=$(echo "$url" | sed 's|^\(http://[^/]*\)/.*|\1|')
path=${url#"$origin"}
[[ $url =~ ^http://127\.0\.0\.1:[0-9]+/[0-9a-f]{32}/$ ]]
ok $? 'it says where, with a word that nobody guesses'

shows() { get "$path" && [ "$status" = 200 ] && has "$1"; }
await 120 shows '>running<'
ok $? 'the session runs, as it shows'
has '-server-01</h1>' && has 'CPU on offer' && has '>an hour<' &&
    has 'charged by these sessions' && grep -q ' of [0-9.]* [A-Z]*<' "$scratch/out"
ok $? 'name, capacity, prices and money stand there'
has '&lt;script&gt;document.title=&quot;owned&quot;&lt;/script&gt;&quot;&#39;&amp;amp;' &&
    ! has '<script'
ok $? "what a client says is text"
! grep -q -- '-----BEGIN\|PRIVATE' "$scratch/out" &&
    ! has "$(sed -n 2p "$state/key.pem")"
ok $? 'no key is in it'
grep -qi "^content-security-policy: default-src 'none'; style-src 'self'" \
    "$scratch/head" && grep -qi '^cache-control: no-store' "$scratch/head" &&
    ! grep -qi '^access-control' "$scratch/head"
ok $? 'nothing may be loaded or run, and nothing is kept'
get "${path}style.css"
[ "$status" = 200 ] && grep -qi '^content-type: text/css' "$scratch/head"
ok $? 'but its style'

get "$path" -H 'Host: evil.example'
[ "$status" = 421 ] && ! has server-01
ok $? 'a name that leads here is refused'
get "$path" -H "Host: evil.example:${origin##*:}"
[ "$status" = 421 ]
ok $? 'with its port too'
get "$path" -H 'Host:'
[ "$status" = 421 ]
ok $? 'and no name'
get "$path" -H "Host: localhost:${origin##*:}"
[ "$status" = 200 ]
ok $? 'localhost is this machine'
for other in / "${path:0:32}x/" "${path%/}" "${path}../x" "/$(printf '%032d' 0)/"; do
    get "$other"
    [ "$status" = 404 ] && ! has server-01
    ok $? "nothing at ${other/"${path:1:31}"/WORD}"
done
for method in POST PUT DELETE OPTIONS; do
    get "$path" -X "$method" -d x
    [ "$status" = 405 ]
    ok $? "no $method"
done
{ printf 'GET %s HTTP/1.1\r\nHost: x' "$path"; head -c 20000 /dev/zero |
    tr '\0' a; } | timeout 20 curl -s telnet://"${origin#http://}" -m 10 \
    >"$scratch/out" 2>/dev/null
[ ! -s "$scratch/out" ] && shows '>running<'
ok $? 'a head without an end is dropped, and the next one is served'

browser=$(command -v chromium || command -v chromium-browser)
if [ -z "$browser" ]; then
    n_tests=$((n_tests + 1))
    echo "ok $n_tests - a browser # SKIP no chromium is installed"
else
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu \
        --user-data-dir="$scratch/browser" --virtual-time-budget=3000 \
        --dump-dom "$url" >"$scratch/out" 2>"$scratch/browser.err"
    has '-server-01</h1>' && has '<title>' && ! has '<title>owned' &&
        has '&lt;script&gt;document.title' && has '<td class="good">running'
    ok $? 'a browser shows it, and runs nothing of it'
fi

kill -9 "$(pid_of host 1)"
shows '>silent<' && has 'does not answer'
ok $? 'without xenohostd it says so'
kill "$page"
wait "$page"
ok $? 'it ends when it is told to'
page=
plan
