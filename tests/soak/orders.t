#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# One order presented to many servers at the same time, at a real xenocorpd that
# is killed again and again: accepted exactly once, each time; then the books
# are audited.  SOAK=full: 10 000 rounds, or
# ROUNDS.
set -u
build=${XN_BUILD:-.}
rounds=6 servers=4 every=3
[ "${SOAK:-short}" = full ] && rounds=${ROUNDS:-10000} servers=10 every=5
dir=$(mktemp -d)
corp='' race=''
points=0

cleanup() {
    [ -n "$race" ] && kill -9 "$race" 2>/dev/null
    [ -n "$corp" ] && kill -9 "$corp" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT

tap() {
    points=$((points + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $points - $2"
    else
        echo "not ok $points - $2"
        tail -n 10 "$dir"/*.log 2>/dev/null | sed 's/^/# /'
    fi
}

# start OPTION...: until it is ready.
start() {
    local line=
    mkfifo "$dir/ready"
    "$build/corp/xenocorpd" --state "$dir/corp" --ready-fd 9 "$@" 9>"$dir/ready" \
        >>"$dir/corp.out" 2>>"$dir/corp.log" </dev/null &
    corp=$!
    read -r -t 60 line <"$dir/ready"
    rm -f "$dir/ready"
    [[ $line == ready* ]]
}

start --name alpha.example
tap $? "xenocorpd starts"
url=$(head -n 1 "$dir/corp.out")
address=${url#https://}
address=${address%%#*}

mkdir "$dir/work"
mkfifo "$dir/rounds"
"$build/tests/soak/order_race" "$url" "$dir/corp" "$dir/work" $rounds $servers \
    >"$dir/rounds" 2>"$dir/race.log" &
race=$!
done=0 deaths=0 client=''
while read -r line; do
    [[ $line == client\ * ]] && client=${line#client }
    [[ $line == *"accepted 1" ]] && done=$((done + 1))
    if [[ $line == *presented ]] && ((done % every == 1)); then
        kill -9 "$corp"
        wait "$corp" 2>/dev/null
        deaths=$((deaths + 1))
        start --listen-api "$address" || break
    fi
done <"$dir/rounds"
wait "$race"
[ $? -eq 0 ] && [ $done -eq $rounds ]
tap $? "$done of $rounds orders were accepted exactly once, through $deaths deaths"
race=''
tool=$build/corp/xenocorp
"$tool" client pay-in "$dir/corp" "$client" 2.50GBP bank-7 >"$dir/pay1" &&
    "$tool" client pay-in "$dir/corp" "$client" 2.50GBP bank-7 >"$dir/pay2" &&
    cmp -s "$dir/pay1" "$dir/pay2" && grep -q '^balance  .*GBP$' "$dir/pay1"
tap $? "the broker pays in, once for one reference"
"$tool" client pay-in "$dir/corp" "$client" 3GBP bank-7 2>"$dir/again.log"
[ $? -ne 0 ] && grep -q 'try:' "$dir/again.log"
tap $? "another amount under that reference is refused"
"$tool" client pay-in "$dir/corp" "${client//?/0}" 1GBP x 2>"$dir/none.log"
[ $? -eq 3 ] && grep -q 'no client' "$dir/none.log"
tap $? "nobody pays in for a client that is not registered"
kill -TERM "$corp"
wait "$corp"
corp=''
"$build/corp/xenocorp" audit verify "$dir/corp" >"$dir/audit.log" 2>&1
tap $? "the books add up"
echo "1..$points"
