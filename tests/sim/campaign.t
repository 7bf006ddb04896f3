#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Many seeds of a mixture of faults: none fails.  A bug in the node code is found
# and told as one command, which repeats it.  SEEDS and NODES make it as long as
# one likes: make campaign.
. "$XN_SRC/tests/tap.sh"
xenosim=$XN_BUILD/sim/xenosim
plantsim=$XN_BUILD/tests/plantsim
scenario=$XN_SRC/sim/scenarios/campaign.scn
seeds=${SEEDS:-4}
nodes=${NODES:-24}

metric() { # FILE METRIC
    sed -n "s/^$2 \([^ ]*\) .*/\1/p" "$scratch/$1"
}

"$xenosim" run "$scenario" --nodes "$nodes" --seeds "$seeds" --keep-going \
    >"$scratch/all" 2>"$scratch/err"
ok $? "$seeds seeds, $nodes nodes: no rule is broken"
diag "$scratch/err"
if [ "${SEEDS:-}" ]; then diag "$scratch/all"; fi
[ "$(metric all seeds)" = "$seeds" ] && [ "$(metric all seeds.failed)" = 0 ] &&
    [ "$(metric all seeds.unsettled)" = 0 ] &&
    [ "$(metric all kills)" -ge "$seeds" ] &&
    [ "$(metric all lookup.right)" -ge $((1000 * seeds)) ] &&
    [ "$(metric all checks.disks)" -ge "$seeds" ] &&
    [ "$(metric all checks.ads)" -ge $((50 * seeds)) ]
ok $? "and each came to rest, and was looked at"

if [ ! "${SEEDS:-}" ]; then
    "$xenosim" run "$scenario" --nodes 24 --seeds 4 --jobs 3 >"$scratch/again"
    [ "$(metric all digest)" = "$(metric again digest)" ]
    ok $? "three at a time is the same"
    "$xenosim" run "$scenario" --nodes 24 --seed 2 >"$scratch/2"
    "$xenosim" run "$scenario" --nodes 24 --seed 2 --seeds 1 >"$scratch/2s"
    [ "$(metric 2 lookup.right)" = "$(metric 2s lookup.right)" ] &&
        [ "$(metric 2 lookup.right)" ]
    ok $? "and a seed alone is what it is among others"
fi

# One line on stdout; as a command, it breaks the same rule at the same time.
found() { # BUG TEXT
    local bug=$1 text=$2 rc why again
    "$plantsim" run "$scenario" --nodes "$nodes" --seeds 40 \
        --set "plant.bug=$bug" >"$scratch/out" 2>"$scratch/err"
    rc=$?
    why=$(grep -m 1 '^  because: ' "$scratch/err")
    [ $rc -eq 1 ] && [ "$(wc -l <"$scratch/out")" -eq 1 ] &&
        grep -q "$text" "$scratch/err"
    ok $? "$bug: found: ${why#*because: }"
    diag "$scratch/out"
    again=$(sed -n 's/^plantsim //p' "$scratch/out")
    eval "\"$plantsim\" $again" >/dev/null 2>"$scratch/err2"
    [ $? -eq 1 ] && [ "$why" ] &&
        [ "$(grep -m 1 '^  because: ' "$scratch/err2")" = "$why" ]
    ok $? "$bug: and the command repeats it"
}
found owner "reached another than the key's owner"
found forget "is back with its disk and has lost the ad"
found merge "the leaf set of node"
found queue "waits for [0-9]* things"
found silence "ended with ETIMEOUT"

# Ended before its end it tells how far it came.
"$xenosim" run "$scenario" --seeds 1000 >"$scratch/out" 2>"$scratch/err" &
pid=$!
while [ -d "/proc/$pid" ] && ! grep -q . "/proc/$pid/task/$pid/children"; do
    sleep 0.05
done
kill -TERM "$pid"
wait "$pid"
[ $? -eq 1 ] && grep -q 'was interrupted' "$scratch/err" &&
    grep -Eq 'because: [0-9]+ of 1000 seeds ended, 0 of them failed' \
        "$scratch/err" && [ "$(metric out seeds)" ] && ! [ "$(metric out digest)" ]
ok $? "interrupted: says how many seeds ended"

"$xenosim" run "$scenario" --seeds 0 >"$scratch/out" 2>"$scratch/err"
[ $? -eq 2 ] && grep -q 'seeds wants' "$scratch/err"
ok $? "no seeds: refused"
"$xenosim" run "$scenario" --jobs 2 >"$scratch/out" 2>"$scratch/err"
[ $? -eq 2 ] && grep -q 'are for --seeds' "$scratch/err"
ok $? "so are jobs without seeds"
"$xenosim" run "$scenario" --seeds 3 --set overlay.lynks=2 \
    >"$scratch/out" 2>"$scratch/err"
[ $? -eq 2 ] && [ "$(grep -c 'did you mean' "$scratch/err")" -eq 1 ]
ok $? "what no seed can run is told once"
plan
