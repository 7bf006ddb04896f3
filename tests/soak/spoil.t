#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every file of a XenoCorp's state folder flipped, cut, emptied and removed, as
# kill -9 left it and, in full, as a good end did; and two processes on one
# ledger.
# SOAK=short (what `make check` runs) or full; SEED; XN_SOAK_DIR: where.
set -u
build=${XN_BUILD:-.}
room=${TMPDIR:-/tmp}
[ -w /dev/shm ] && room=/dev/shm
dir=$(mktemp -d -p "${XN_SOAK_DIR:-$room}") || exit 99
corp=''
n=0 bad=0
case ${SOAK:-short} in
short) flips=4 ;;
*) flips=400 ;;
esac
seed=${SEED:-$RANDOM}

cleanup() {
    [ -n "$corp" ] && kill -9 "$corp" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT

point() { # RC NAME
    n=$((n + 1))
    [ "$1" -eq 0 ] && echo "ok $n - $2" || { echo "not ok $n - $2"; bad=1; }
}

start() {
    local line=
    mkfifo "$dir/ready"
    "$build/corp/xenocorpd" --state "$dir/corp" --ready-fd 9 9>"$dir/ready" \
        >"$dir/corp.out" 2>"$dir/corp.log" </dev/null &
    corp=$!
    read -r -t 300 line <"$dir/ready"
    rm -f "$dir/ready"
    [[ $line == ready* ]]
}

spoil() { # NAME
    mkdir -p "$dir/spoil"
    "$build/tests/soak/spoil" "$build/corp/xenocorp" "$build/corp/xenocorpd" \
        "$dir/corp" "$dir/spoil" "$flips" "$seed" >"$dir/out" 2>&1
    local rc=$?
    sed 's/^/# /' "$dir/out"
    point $rc "$1"
}

echo "# seed $seed"
mkdir "$dir/work"
# Sales, and at last a kill -9.
"$build/tests/soak/order_race" "$build/corp/xenocorpd" "$dir/corp" \
    "$dir/work" 12 1000 "$seed" >"$dir/out" 2>&1
point $? "there is something to spoil"
spoil "no damage is taken in silence, as kill -9 left it"

start
point $? "xenocorpd starts"
"$build/corp/xenocorp" audit verify "$dir/corp" >/dev/null 2>"$dir/err"
[ $? -ne 0 ] && grep -q 'in use' "$dir/err" && grep -q 'store' "$dir/err"
point $? "no audit beside a xenocorpd"
timeout 300 "$build/corp/xenocorpd" --state "$dir/corp" >/dev/null 2>"$dir/err"
rc=$?
[ $rc -ne 0 ] && [ $rc -ne 124 ] && grep -q 'because:' "$dir/err"
point $? "no second xenocorpd"
kill -0 "$corp" && kill -TERM "$corp"
wait "$corp"
point $? "the first one goes on, and ends well"
corp=''
[ "${SOAK:-short}" = short ] || # the other files are the same
    spoil "no damage is taken in silence, as a good end left it"
echo "1..$n"
exit $bad
