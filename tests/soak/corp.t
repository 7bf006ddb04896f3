#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The ledger under kill -9, power cuts and a full disk; random sequences
# against the model.  SOAK=short (what `make check` runs) or full.
set -u
tmp=$(mktemp -d -p "${XN_SOAK_DIR:-${TMPDIR:-/tmp}}") || exit 99
trap 'rm -rf "$tmp"' EXIT
case ${SOAK:-short} in
short) kill=6 power=12 full=2 sequences=300 ;;
*) kill=500 power=200 full=20 sequences=100000 ;;
esac
seed=${SEED:-$RANDOM}
n=0 bad=0

point() { # RC NAME
    n=$((n + 1))
    [ "$1" -eq 0 ] && echo "ok $n - $2" || { echo "not ok $n - $2"; bad=1; }
}

soak() { # MODE ROUNDS LOG NAME: bytes of a log; 0: as xenocorpd has them
    LEDGER_LOG=$3 "$XN_BUILD/tests/soak/ledger_kill" "$1" "$2" "$seed" \
        "$XN_BUILD/tests/soak/ledger_run" "$tmp/$1.kct" >"$tmp/out" 2>&1
    local rc=$?
    sed 's/^/# /' "$tmp/out"
    point $rc "$4"
}

echo "# seed $seed"
soak kill "$kill" 0 "$kill times kill -9 with 50 operations under way"
# So small that logs change and are merged all the time.
soak power "$power" 65536 "$power power cuts: of what was not synced any sectors are there"
soak full "$full" 65536 "$full times a full disk"
random() { # PROGRAM PREFIX-OF-ITS-VARIABLES NAME
    env "$2_SEQUENCES=$sequences" "$2_SEED=$seed" \
        "$XN_BUILD/tests/unit/$1" >"$tmp/out" 2>&1
    local rc=$?
    grep -E '^#|SEED' "$tmp/out"
    point $rc "$3"
}

if [ "${SOAK:-short}" != short ]; then # else make check runs them by itself
    random ledger_random LEDGER "$sequences random sequences equal the model"
    random order_random ORDER "$sequences random sequences of orders, too"
fi
echo "1..$n"
exit $bad
