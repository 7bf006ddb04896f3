#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A quarter of the nodes can be dialled by nobody: they find, publish and are
# dialled by nobody, and who owns what is the same for all.
. "$XN_SRC/tests/tap.sh"
xenosim=$XN_BUILD/sim/xenosim

cat >"$scratch/nat.scn" <<'END'
nodes 60
set overlay.leaves 4
latency uniform 5ms 150ms
settle 30s
at 0s      join all over 5s
at 10s     advertise 20
at 20s     query 2/s
at 20s     lookup 20/s
at 30s     check every 5s
at 60s     crash 10
at 110s    restart all
run 170s
END
metric() { # NAME METRIC
    sed -n "s/^$2 \([^ ]*\) .*/\1/p" "$scratch/$1"
}
for links in 512 24; do
    "$xenosim" run "$scratch/nat.scn" --seed 1 --set sim.nat=25% \
        --set overlay.links=$links >"$scratch/$links" 2>"$scratch/$links.err"
    rc=$?
    [ "$rc" -eq 0 ] || diag "$scratch/$links.err"
    ok "$rc" "with $links links"
    [ "$(metric $links lookup.count)" -gt 2900 ] &&
        [ "$(metric $links lookup.wrong)" -eq 0 ] &&
        [ "$(metric $links lookup.failed)" -eq 0 ] &&
        [ "$(metric $links checks.owners)" -gt 60 ] &&
        [ "$(metric $links checks.leaves)" -gt 60 ] &&
        [ "$(metric $links checks.ads)" -gt 100 ]
    ok $? "and that was looked at"
done

# Of those who stand it is the graph that says who is linked.
sed 's/join all over 5s/converge/' "$scratch/nat.scn" >"$scratch/stand.scn"
"$xenosim" run "$scratch/stand.scn" --set sim.nat=25% >"$scratch/out" 2>&1
[ $? -ne 0 ]
ok $? 'but not of nodes that converged'
"$xenosim" run "$scratch/nat.scn" --set sim.nat=25 >"$scratch/out" 2>&1
[ $? -eq 2 ] && grep -q 'not a value for it: 25' "$scratch/out"
ok $? 'a share has its sign'
plan
