#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Each checker of the simulator fails when what it watches for happens: nodes
# lie on purpose (tests/liarsim.c), or are parted without the run being told.
. "$XN_SRC/tests/tap.sh"
liarsim=$XN_BUILD/tests/liarsim
xenosim=$XN_BUILD/sim/xenosim

cat >"$scratch/calm.scn" <<'END'
nodes 12
seed 5
latency uniform 5ms 50ms
set overlay.links 64
settle 20s
join all over 5s
at 10s advertise all over 5s
at 40s query 5/s
at 40s lookup 5/s
at 40s check every 5s
run 70s
END
cat >"$scratch/rewrite.scn" <<'END'
nodes 12
seed 5
latency uniform 5ms 50ms
set overlay.links 64
settle 20s
join all over 5s
at 10s advertise all over 5s
at 40s query 20/s
at 60s rewrite all over 2s
run 130s
END
sed 's/rewrite all/withdraw all/' "$scratch/rewrite.scn" >"$scratch/withdraw.scn"
cat >"$scratch/long.scn" <<'END'
nodes 6
seed 5
latency uniform 5ms 50ms
set overlay.links 64
settle 20s
join all over 5s
at 10s advertise all over 5s
at 40s query 1/s
run 20m
END
cat >"$scratch/crash.scn" <<'END'
nodes 12
seed 5
latency uniform 5ms 50ms
set overlay.links 64
settle 20s
join all over 5s
at 10s advertise all over 5s
at 60s crash 10% over 2s
run 65s
END
cat >"$scratch/parted.scn" <<'END'
nodes 12
seed 3
latency uniform 5ms 50ms
set overlay.links 64
settle 20s
join all over 5s
at 20s advertise all
at 60s partition 50% for 60s
at 61s check now
run 130s
END

# What honest nodes do, no checker minds; liarsim is then xenosim.
for s in calm rewrite withdraw long crash; do
    "$xenosim" run "$scratch/$s.scn" >"$scratch/$s.true" 2>&1
    ok $? "$s: honest nodes break no rule"
    "$liarsim" run "$scratch/$s.scn" >"$scratch/out" 2>&1
    [ "$(tail -n 1 "$scratch/$s.true")" = "$(tail -n 1 "$scratch/out")" ]
    ok $? "$s: and are the same under both programs"
done

lie() { # SCENARIO LIE FROM TEXT
    "$liarsim" run "$scratch/$1.scn" --set "lie.how=$2" --set "lie.from=$3" \
        >"$scratch/out" 2>"$scratch/err"
    if [ $? -eq 1 ] && grep -q "^  because: at .*$4" "$scratch/err" ||
        grep -q "^  *at .*$4" "$scratch/err"; then
        ok 0 "$2: $4"
    else
        sed 's/^/# /' "$scratch/err" | head -n 20
        ok 1 "$2: $4"
    fi
}
lie calm altered 40s "server [0-9]* altered"
lie calm forged 40s "not one of ours"
lie calm unleased 40s "no lease"
lie calm empty 40s "server [0-9]* empty"
lie calm twice 40s "shown twice"
lie calm spare 40s "does not match"
lie calm hidden 40s "is missing"
lie calm half 40s "was answered in part"
lie rewrite silent 40s "got no answer"
lie calm mute 50s "a lookup at node [0-9]* ended with E"
lie calm unsure 40s "a lookup at node [0-9]* ended with ENOTYET"
lie calm flood 40s "actions from one step"
lie calm nothing 40s "SEND with no message"
lie calm long 40s "a message of 1048577 bytes"
lie calm state 40s "the state of node [0-9]*: broken on purpose"
lie calm owner 40s "takes node [0-9]* for the owner"
lie calm leaves 40s "the leaf set of node [0-9]* is wrong at 0"
lie calm alone 40s "the leaf set of node [0-9]* has 1 of 11"
lie calm settled 40s "is not settled long after"
lie crash none 50s "60.* 0 nodes hold the ad of server [0-9]*, not 3"
lie crash one 50s "60.* 1 nodes hold the ad of server [0-9]*, not 3"
lie crash none 61s "62.* nobody holds .* though node [0-9]* that held it runs"
lie rewrite first 95s "an old version"
lie withdraw spare 95s "withdrawn"
lie long lease 40s "expired"

"$xenosim" run "$scratch/parted.scn" >"$scratch/out" 2>"$scratch/err"
[ $? -eq 1 ] && grep -q "takes node [0-9]* for the owner" "$scratch/err"
ok $? "parted nodes do not know it at once"
plan
