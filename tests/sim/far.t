#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Everybody is six seconds of round trip away: links are opened all the same, last,
# and say who owns what.
. "$XN_SRC/tests/tap.sh"
xenosim=$XN_BUILD/sim/xenosim

cat >"$scratch/far.scn" <<'END'
nodes 8
set overlay.leaves 4
latency uniform 2700ms 3100ms
settle 60s
at 0s      join all over 5s
at 150s    advertise 3
at 200s    lookup 1/s
at 200s    check every 10s
run 400s
END
metric() { # NAME METRIC
    sed -n "s/^$2 \([^ ]*\) .*/\1/p" "$scratch/$1"
}
"$xenosim" run "$scratch/far.scn" --seed 1 >"$scratch/far" 2>"$scratch/err"
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/err"
ok "$rc" 'no rule is broken'
[ "$(metric far links.up)" -eq 56 ] && [ "$(metric far dials)" -lt 200 ]
ok $? 'all are linked to all, and dial no more'
[ "$(metric far lookup.right)" -gt 190 ] &&
    [ "$(metric far checks.owners)" -gt 1000 ] &&
    [ "$(metric far checks.ads)" -gt 50 ]
ok $? 'and that was looked at'
plan
