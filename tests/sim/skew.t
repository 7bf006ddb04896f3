#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Clocks that are hours off: who owns what, who is linked and what is found stay
# right; whoever's clock is wrong leaves searches to others, and says why.
. "$XN_SRC/tests/tap.sh"
xenosim=$XN_BUILD/sim/xenosim

cat >"$scratch/skew.scn" <<'END'
nodes 40
set overlay.leaves 4
latency uniform 5ms 150ms
settle 30s
at 0s      skew 15% by 3h
at 0s      join all over 5s
at 20s     advertise 20
at 40s     query 2/s
at 40s     lookup 20/s
at 40s     check every 5s
at 60s     crash 4
at 110s    restart all
run 170s
END
metric() { # METRIC
    sed -n "s/^$1 \([^ ]*\) .*/\1/p" "$scratch/out"
}
for links in 512 20; do
    "$xenosim" run "$scratch/skew.scn" --seed 1 --set overlay.links=$links \
        >"$scratch/out" 2>"$scratch/err"
    rc=$?
    [ "$rc" -eq 0 ] || diag "$scratch/err"
    ok "$rc" "with $links links: all is right"
    [ "$(metric lookup.wrong)" -eq 0 ] && [ "$(metric lookup.failed)" -eq 0 ] &&
        [ "$(metric lookup.count)" -gt 2500 ] &&
        [ "$(metric checks.owners)" -gt 60 ] &&
        [ "$(metric checks.leaves)" -gt 60 ] && [ "$(metric checks.ads)" -gt 60 ]
    ok $? 'and that was looked at'
done

# The wrong ones are set right: what they refused and dropped until then is not
# missing from any answer.
sed -e 's/^at 60s .*/at 100s skew 0s/' -e '/restart all/d' \
    -e 's/query .*/query 40\/s/' "$scratch/skew.scn" >"$scratch/set.scn"
for seed in 1 2 3; do
    "$xenosim" run "$scratch/set.scn" --seed "$seed" >"$scratch/out" \
        2>"$scratch/err"
    rc=$?
    [ "$rc" -eq 0 ] || diag "$scratch/err"
    ok "$rc" "set right while searches go on, seed $seed: none is wrong"
done
plan
