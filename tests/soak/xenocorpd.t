#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A real xenocorpd with at least 50 questions about money under way at any time:
# killed, cut off from power, out of disk.  SOAK=short (what `make check` runs)
# or full; SEED; XN_SOAK_DIR: where.
set -u
room=${TMPDIR:-/tmp}
# A disk under load takes its time with each sync, and kill -9 does not mind.
[ "${SOAK:-short}" = short ] && [ -w /dev/shm ] && room=/dev/shm
tmp=$(mktemp -d -p "${XN_SOAK_DIR:-$room}") || exit 99
trap 'rm -rf "$tmp"' EXIT
case ${SOAK:-short} in
short) kill=4 power=3 full=1 ;;
*) kill=500 power=200 full=20 ;;
esac
seed=${SEED:-$RANDOM}
export POWERCUT=$XN_BUILD/tests/soak/powercut.so
# The library is loaded before a sanitizer's own, which does not like that.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0
n=0 bad=0

soak() { # MODE ROUNDS NAME
    local rc
    n=$((n + 1))
    mkdir -p "$tmp/$1/work"
    "$XN_BUILD/tests/soak/corp_kill" "$1" "$2" "$seed" \
        "$XN_BUILD/corp/xenocorpd" "$XN_BUILD/corp/xenocorp" \
        "$tmp/$1/corp" "$tmp/$1/work" >"$tmp/out" 2>&1
    rc=$?
    sed 's/^/# /' "$tmp/out"
    if [ $rc -eq 0 ]; then
        echo "ok $n - $3"
    else
        echo "not ok $n - $3"
        tail -n 5 "$tmp/$1/corp.log" | sed 's/^/# /'
        bad=1
    fi
    rm -rf "${tmp:?}/$1"
}

echo "# seed $seed"
soak kill "$kill" "$kill times kill -9"
soak power "$power" "$power power cuts: of what was not synced any sectors are there"
soak full "$full" "$full times a full disk"
echo "1..$n"
exit $bad
