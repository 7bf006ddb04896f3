#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A quarter of the nodes is malicious: with the defence questions reach every
# honest copy, without it they do not, and whoever needs no defence pays little.
. "$XN_SRC/tests/tap.sh"
xenosim=$XN_BUILD/sim/xenosim

sed 's,500/s,100/s,; s,^at 5s,at 16s,; s,^run.*,run 27s,' \
    "$XN_SRC/sim/scenarios/malice.scn" >"$scratch/malice.scn"
run() { # NAME SETTING...
    local name=$1 sets=() set
    shift
    for set; do sets+=(--set "$set"); done
    "$xenosim" run "$scratch/malice.scn" --nodes "${nodes:-900}" --seed 4 \
        --set overlay.links=128 --set overlay.leaves=12 "${sets[@]}" \
        >"$scratch/$name" 2>"$scratch/$name.err"
}
metric() { # NAME METRIC
    sed -n "s/^$2 \([^ ]*\) .*/\1/p" "$scratch/$1"
}
least() { # NAME METRIC BOUND, in thousandths
    [ "$(metric "$1" "$2" | tr -d .)" -ge "$3" ]
}

for how in drop misroute lie eclipse; do
    run $how malice.how=$how && least $how reach.count 1500 &&
        least $how reach.all 99500
    ok $? "$how: $(metric $how reach.all) % reach every honest copy"
done
run flood malice.how=flood malice.share=10% && least flood reach.all 99500
ok $? "flood: $(metric flood reach.all) %"
run placed malice.how=lie malice.draws=2 && least placed reach.all 98000 &&
    least placed reach.victims.all 96000
ok $? "ids beside victims: $(metric placed reach.victims.all) % of theirs"
run open malice.how=lie overlay.secure=0 && ! least open reach.all 90000
ok $? "without the defence: $(metric open reach.all) %"
run calm malice.share=0% && least calm reach.all 100000 &&
    ! least calm reach.messages 80000
ok $? "nobody is malicious: $(metric calm reach.messages) messages"
run again malice.how=lie
[ -n "$(metric lie digest)" ] && [ "$(metric lie digest)" = "$(metric again digest)" ]
ok $? "the same again gives the same"
# Tables that joins have filled: malicious nodes name each other as the nearest.
cat >"$scratch/malice.scn" <<'END'
set overlay.secure 1
set malice.how eclipse
latency uniform 5ms 150ms
access 1ms 20ms
settle 600s
at 0s      converge 10%
at 1s      join all over 60s
at 300s    reach 100/s
at 310s    reach off
run 330s
END
joined() { # NAME SETTING...
    nodes=300 run "$1" overlay.links=64 overlay.leaves=8 "${@:2}"
}
joined nearer malice.share=25% && least nearer reach.count 900 &&
    least nearer reach.all 98000
ok $? "nearer ones: $(metric nearer reach.all) %"
joined honest malice.share=0% && least honest reach.all 100000
ok $? "nobody is malicious: $(metric honest reach.all) %"
plan
