#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# One order presented to two to ten servers at the same time, many orders at
# once, at a real xenocorpd that is killed again and again: accepted exactly
# once, each; then the books are audited.  SOAK=full: 10 000 orders, or ROUNDS;
# XN_SOAK_DIR: where; SEED.
set -u
build=${XN_BUILD:-.}
rounds=40 every=10
[ "${SOAK:-short}" = full ] && rounds=${ROUNDS:-10000} every=20
room=${TMPDIR:-/tmp}
# A disk under load takes its time with each sync, and kill -9 does not mind.
[ "${SOAK:-short}" = short ] && [ -w /dev/shm ] && room=/dev/shm
dir=$(mktemp -d -p "${XN_SOAK_DIR:-$room}") || exit 99
corp=''
points=0

cleanup() {
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

# Until it is ready.
start() {
    local line=
    mkfifo "$dir/ready"
    "$build/corp/xenocorpd" --state "$dir/corp" --ready-fd 9 9>"$dir/ready" \
        >>"$dir/corp.out" 2>>"$dir/corp.log" </dev/null &
    corp=$!
    read -r -t 300 line <"$dir/ready"
    rm -f "$dir/ready"
    [[ $line == ready* ]]
}

mkdir "$dir/work"
seed=${SEED:-$RANDOM}
echo "# seed $seed"
"$build/tests/soak/order_race" "$build/corp/xenocorpd" "$dir/corp" \
    "$dir/work" $rounds $every "$seed" >"$dir/rounds" 2>"$dir/race.log"
tap $? "$rounds orders were accepted exactly once each, through kill -9"
sed 's/^/# /' "$dir/rounds"
client=$(sed -n 's/^client //p' "$dir/rounds")
start
tap $? "xenocorpd starts on what is left"
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
