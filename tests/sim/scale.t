#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A converged overlay above its link budget: each lookup reaches the owner, over
# few hops and near ones; --wire, hence the codec, gives the same.
. "$XN_SRC/tests/tap.sh"
xenosim=$XN_BUILD/sim/xenosim

sed 's,10000/s,1000/s,; s,^at 11s,at 4s,; s,^at 14s,at 6s,; s,^run.*,run 7s,' \
    "$XN_SRC/sim/scenarios/scale.scn" >"$scratch/scale.scn"

run() { # NAME OPTION...
    local name=$1
    shift
    "$xenosim" run "$scratch/scale.scn" --nodes 700 --set overlay.links=128 \
        --set overlay.leaves=16 "$@" >"$scratch/$name" 2>"$scratch/$name.err"
}
metric() { # NAME METRIC
    sed -n "s/^$2 \([^ ]*\) .*/\1/p" "$scratch/$1"
}
below() { # NAME METRIC BOUND
    [ "$(metric "$1" "$2" | tr -d .)" -le "$3" ]
}

run a
rc=$?
[ "$rc" -eq 0 ] || sed 's/^/# /' "$scratch/a.err"
ok "$rc" "all checks hold"
[ "$(metric a lookup.count)" -ge 3000 ] && [ "$(metric a lookup.wrong)" = 0 ] &&
    [ "$(metric a lookup.unknown)" = 0 ] && [ "$(metric a lookup.failed)" = 0 ] &&
    [ "$(metric a lookup.lost)" = 0 ]
ok $? "every lookup reaches the owner"
[ "$(metric a checks.cores)" -gt 10 ] && [ "$(metric a dials)" = 0 ]
ok $? "and nothing wants mending"
below a lookup.hops.mean 2000
ok $? "hops: $(metric a lookup.hops.mean) of at most 2"
below a lookup.stretch 1250
ok $? "stretch: $(metric a lookup.stretch) of at most 1.25"
run b --wire
[ -n "$(metric a digest)" ] && [ "$(metric a digest)" = "$(metric b digest)" ]
ok $? "--wire gives the same"

# While nothing happens it costs next to nothing: at 500 nodes with 46 links.
"$xenosim" run "$XN_SRC/sim/scenarios/quiet.scn" --nodes 500 \
    --set overlay.links=64 --set overlay.leaves=8 >"$scratch/quiet" &&
    [ "$(metric quiet dials)" = 0 ] && [ "$(metric quiet lookup.right)" = 3600 ]
ok $? "a quiet overlay mends nothing"
below quiet node.wire.rate 45000
ok $? "and takes $(metric quiet node.wire.rate) B/s a node, of at most 45"

# Those that stood from the start die, come back and are linked to anew.
cat >"$scratch/die.scn" <<'END'
nodes 120
set overlay.links 64
set overlay.leaves 6
latency uniform 5ms 150ms
settle 30s
at 0s      converge
at 1s      lookup 20/s
at 4s      crash 12
at 12s     restart all
at 20s     crash 6 power
at 45s     restart all
at 85s     check every 2s
run 90s
END
"$xenosim" run "$scratch/die.scn" --seed 3 >"$scratch/d" 2>"$scratch/d.err"
rc=$?
[ "$rc" -eq 0 ] || sed 's/^/# /' "$scratch/d.err"
ok "$rc" "links that stood end and come again: all checks hold"
[ "$(metric d lookup.settled.wrong)" = 0 ] && [ "$(metric d kills)" = 18 ] &&
    [ "$(metric d starts)" = 138 ] && [ "$(metric d checks.settled)" -gt 0 ] &&
    [ "$(metric d links.up)" -gt 100 ]
ok $? "and there was something to check"

# Real joins: the round trips that opening a link shows are made use of.
cat >"$scratch/join.scn" <<'END'
nodes 150
set overlay.links 40
set overlay.leaves 6
latency uniform 5ms 150ms
access 1ms 20ms
settle 20s
at 0s      join all over 5s
at 60s     lookup 500/s
at 64s     lookup off
run 66s
END
"$xenosim" run "$scratch/join.scn" >"$scratch/j" 2>"$scratch/j.err"
ok $? "nodes that join by themselves: all checks hold"
[ "$(metric j lookup.count)" -ge 2000 ] && [ "$(metric j lookup.lost)" = 0 ] &&
    [ "$(metric j lookup.failed)" = 0 ] && below j lookup.stretch 1750
ok $? "stretch: $(metric j lookup.stretch) of at most 1.75"

# Tables that joins filled come to be as good as those built directly.
awk 'BEGIN { srand(5); print "x\ty"
    for (i = 0; i < 400; i++) print 80 * rand() "\t" 60 * rand() }' \
    >"$scratch/points.tsv"
sed 's/^at 310s/at 304s/; s/^at 313s/at 306s/; s/^run.*/run 308s/
    s/2000/1000/' \
    "$XN_SRC/sim/scenarios/join.scn" >"$scratch/near.scn"
sed 's/converge 10%/converge/; /join all/d' "$scratch/near.scn" \
    >"$scratch/built.scn"
for way in near built; do
    "$xenosim" run "$scratch/$way.scn" --nodes 400 --set overlay.links=64 \
        --set overlay.leaves=8 --latency "$scratch/points.tsv" \
        >"$scratch/$way" 2>"$scratch/$way.err"
    ok $? "$way: all checks hold"
done
for what in hops.mean stretch; do
    below near lookup.$what $(($(metric built lookup.$what | tr -d .) * 103 / 100))
    ok $? "joined: $(metric near lookup.$what), built directly: $(
        metric built lookup.$what)"
done
plan
