#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# xenocorpd and xenohostd as real processes: registration, announcing,
# publishing through two nodes, kill -9 of each in turn, withdrawal.
set -u
build=${XN_BUILD:-.}
for needed in curl openssl; do
    if ! command -v "$needed" >/dev/null; then
        echo "1..0 # SKIP $needed is not installed"
        exit 0
    fi
done
dir=$(mktemp -d)
declare -A pid=()
points=0

cleanup() {
    local name
    for name in "${!pid[@]}"; do kill -9 "${pid[$name]}" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT

# tap RC TEXT: one point; after a failure, what the daemons said.
tap() {
    points=$((points + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $points - $2"
    else
        echo "not ok $points - $2"
        tail -n 20 "$dir"/*.log "$dir"/*.out 2>/dev/null | sed 's/^/# /'
    fi
}

# start NAME PROGRAM OPTION...: returns when it is ready; api[NAME] is its
# address.
declare -A api=()
start() {
    local name=$1 line=
    shift
    mkfifo "$dir/$name.ready"
    "$@" --state "$dir/$name" --ready-fd 9 9>"$dir/$name.ready" \
        >>"$dir/$name.out" 2>>"$dir/$name.log" </dev/null &
    pid[$name]=$!
    read -r -t 300 line <"$dir/$name.ready"
    rm -f "$dir/$name.ready"
    api[$name]=${line##*api=}
    [[ $line == ready* ]]
}

# The corp at its old port, which somebody may have for a moment.
restart_corp() { # OPTION...
    local i
    for ((i = 0; i < 300; i++)); do
        start corp "$corpd" --listen-api "127.0.0.1:$port" "$@" && return
        stop corp 9
        tail -n 3 "$dir/corp.log" | grep -q 'in use' || return 1
        read -r -t 0.1 <>"$dir/pause"
    done
    return 1
}

# stop NAME SIGNAL
stop() {
    kill "-$2" "${pid[$1]}"
    wait "${pid[$1]}" 2>/dev/null
    rc=$?
    unset "pid[$1]"
    return $rc
}

# await FILE PATTERN COUNT: until so many lines match, at most five.
await() {
    local i
    for ((i = 0; i < 3000; i++)); do
        [ "$(grep -c "$2" "$1" 2>/dev/null)" -ge "$3" ] && return 0
        read -r -t 0.1 <>"$dir/pause"
    done
    return 1
}
mkfifo "$dir/pause"

# last_version FILE: of the last publication.
last_version() {
    grep '^publish' "$1" | tail -n 1 | sed 's/.*version=\([0-9]*\).*/\1/'
}

corpd=$build/corp/xenocorpd
hostd=$build/hostagent/xenohostd
node=$build/tests/fake_node

# ---- the corp
start corp "$corpd" --name alpha.example
tap $? "xenocorpd makes itself and starts"
url=$(cat "$dir/corp.out")
base=${url%%#*}
[[ $url =~ ^https://127\.0\.0\.1:[0-9]+#[0-9a-f]{64}$ ]]
tap $? "it prints where it is found and its id"
"$build/corp/xenocorp" show "$dir/corp" >"$dir/show"
grep -q '^name  alpha.example$' "$dir/show" && grep -qF "$url" "$dir/show"
tap $? "xenocorp show tells the same"
curl -sk "$base/v1/certificate" -o "$dir/cert.der"
openssl x509 -inform DER -in "$dir/cert.der" -noout -subject 2>/dev/null |
    grep -q alpha.example
tap $? "it serves its certificate"
code=$(curl -sk -o "$dir/refusal" -w '%{http_code}' "$base/v1/nothing")
[ "$code" = 404 ] && grep -qa 'no such path' "$dir/refusal"
tap $? "an unknown path is refused with a reason"
port=${base##*:}
"$corpd" --state "$dir/corp" 2>"$dir/second"
[ $? -ne 0 ] && grep -q 'another daemon' "$dir/second"
tap $? "a second daemon on the same folder is refused"

# ---- two nodes
start node1 "$node" --corp "$url" --label node-one &&
    start node2 "$node" --corp "$url" --label node-two
tap $? "two nodes register"
await "$dir/node1.out" '^announced 0 200' 1 &&
    await "$dir/node2.out" '^announced 0 200' 1
tap $? "they announce themselves"
[ "$(curl -sk "$base/v1/sample" | grep -ao '127.0.0.1:4711' | wc -l)" = 2 ]
tap $? "the sample holds both"
cp "$dir/node1/cert.pem" "$dir/cert1"

# ---- the server
cat >"$dir/host.conf" <<'END'
offer {
    name = "otter"
    country = "GB"
    environments = "Linux 6.1 pv; NetBSD 9.3 pv"
    cpu_smps = "8000"
    memory_mb = "6144"
    tokens = "Family=m5"
}
price {
    currency = "GBP"
    per_hour = "0.0121"
}
publish {
    watch = 200ms
}
END
host() {
    start host "$hostd" --corp "$url" --config "$dir/host.conf" \
        --label otter --node "https://${api[node1]}" \
        --node "https://${api[node2]}" --set "offer.endpoint=https://h:1" "$@"
}
host
tap $? "xenohostd registers and starts"
await "$dir/node1.out" '^publish' 1
tap $? "it publishes through its first node"
first=$(last_version "$dir/node1.out")
curl -sk "https://${api[host]}/v1/status" >"$dir/status"
grep -qa "version=\"$first\"" "$dir/status" && grep -qa otter "$dir/status"
tap $? "its status is the signed advertisement"

stop node1 9
await "$dir/node2.out" '^publish' 1
tap $? "its node killed, it publishes through the next"
[ "$(last_version "$dir/node2.out")" = "$first" ]
tap $? "with the same version: only the lease is new"

stop host 9
host --record "$dir/host.record"
await "$dir/node2.out" '^publish' 2
[ "$(last_version "$dir/node2.out")" = "$first" ]
tap $? "killed and restarted, it keeps its version"
stop host TERM
[ "$rc" -eq 0 ]
tap $? "SIGTERM ends it with 0"
"$build/sim/xenosim" replay "$dir/host.record" >"$dir/replay.out" 2>&1
tap $? "what a server's agent recorded replays to the same actions"
host --set price.per_hour=0.02
newer() { [ "$(last_version "$dir/node2.out")" -gt "$first" ]; }
for ((i = 0; i < 3000; i++)); do
    newer && break
    read -r -t 0.1 <>"$dir/pause"
done
newer
tap $? "another price is a higher version"

# ---- withdrawal
code=$(curl -sk -o "$dir/refusal" -w '%{http_code}' -X POST \
    "https://${api[host]}/v1/withdraw")
[ "$code" = 403 ]
tap $? "nobody else may withdraw"
code=$(curl -sk -o /dev/null -w '%{http_code}' -X POST --max-time 300 \
    --cert "$dir/host/cert.pem" --key "$dir/host/key.pem" \
    "https://${api[host]}/v1/withdraw")
[ "$code" = 200 ] && grep -q 'withdrawn=1' "$dir/node2.out"
tap $? "its own certificate may, and the node hears of it"

# ---- the corp, killed, still knows everybody
stop corp 9
restart_corp
tap $? "xenocorpd killed and started again"
[ "$(tail -n 1 "$dir/corp.out")" = "$url" ]
tap $? "it is the same corp at the same address"
rm "$dir/node1/cert.pem"
start node1 "$node" --corp "$url" --label node-one &&
    cmp -s "$dir/node1/cert.pem" "$dir/cert1"
tap $? "a node that lost its certificate gets the same one: same position"
stop node1 TERM
rm "$dir/node1/cert.pem"
"$node" --state "$dir/node1" --corp "$url" --label other 2>"$dir/conflict"
[ $? -eq 1 ] && grep -q 'another label' "$dir/conflict"
tap $? "and no other one under another label"
stop corp TERM
restart_corp --record "$dir/corp.record" &&
    curl -sk "$base/v1/sample" | grep -qa '127.0.0.1:4711'
tap $? "a restarted corp still hands out a sample"

# ---- by invitation
echo "open sesame" >"$dir/word"
start club "$corpd" --name club.example --invitation "$dir/word"
club=$(cat "$dir/club.out")
"$node" --state "$dir/guest" --corp "$club" --label guest 2>"$dir/guest.err"
[ $? -eq 6 ] && grep -q 'by invitation' "$dir/guest.err"
tap $? "without the invitation nobody registers"
start guest "$node" --corp "$club" --label guest --invitation "open sesame"
tap $? "with it one does"
start guest2 "$node" --corp "$club" --label guest2 \
    --set 'join.invitation=open sesame'
tap $? "and with it among the settings"
start guild "$corpd" --name guild.example --set register.invitation="$dir/word"
"$node" --state "$dir/guest3" --corp "$(cat "$dir/guild.out")" 2>"$dir/guest.err"
[ $? -eq 6 ] && grep -q 'by invitation' "$dir/guest.err"
tap $? "a XenoCorp's settings ask for one, too"
"$build/corp/xenocorp" accept "$dir/club" "$url" &&
    [ "$(find "$dir/club/corps" -name '*.pem' | wc -l)" -ge 1 ]
tap $? "xenocorp accept fetches another corp's certificate"

# ---- bad configuration
"$hostd" --state "$dir/h2" --node https://127.0.0.1:1 --corp "$url" \
    2>"$dir/bad"
[ $? -eq 2 ] && grep -q 'no price' "$dir/bad"
tap $? "an offer without a price is refused"
"$hostd" --state "$dir/h2" --node https://127.0.0.1:1 --corp "$url" \
    --config "$dir/host.conf" --set offer.country=Britain 2>"$dir/bad"
[ $? -eq 2 ] && grep -q 'cannot make an offer' "$dir/bad" &&
    [ ! -e "$dir/h2/key.pem" ]
tap $? "an offer that breaks the schema is refused before anything is registered"
"$hostd" --state "$dir/h2" --corp "$url" --config "$dir/host.conf" 2>"$dir/bad"
[ $? -eq 2 ] && grep -q 'nodes are needed' "$dir/bad"
tap $? "a server without a node is refused"
sed 's/currency/curency/' "$dir/host.conf" >"$dir/typo.conf"
"$hostd" --state "$dir/h2" --corp "$url" --config "$dir/typo.conf" 2>"$dir/bad"
[ $? -eq 2 ] && grep -q 'currency' "$dir/bad"
tap $? "a misspelt key is told with the nearest"

# ---- nothing leaked at the end (under the sanitizers the exit code tells)
bad=0
for name in "${!pid[@]}"; do
    stop "$name" TERM || { bad=1; echo "# $name ended with $rc"; }
done
tap $bad "all end with 0"
"$build/sim/xenosim" replay "$dir/corp.record" >"$dir/replay.out" 2>&1
tap $? "what a XenoCorp recorded replays to the same actions"
echo "1..$points"
