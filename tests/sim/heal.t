#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Many join at once, a third dies at once, the network parts and heals: a minute
# later everything is right. Parted for hours as well, without XenoCorp; and
# churn as it was measured.
. "$XN_SRC/tests/tap.sh"
xenosim=$XN_BUILD/sim/xenosim

run() { # NAME OPTION...
    local name=$1
    shift
    "$xenosim" run "$scratch/$name.scn" "$@" >"$scratch/$name" \
        2>"$scratch/$name.err" && return 0
    sed 's/^/# /' "$scratch/$name.err"
    return 1
}
metric() { # NAME METRIC
    sed -n "s/^$2 \([^ ]*\) .*/\1/p" "$scratch/$1"
}

# The scenario that is meant for thousands, shorter.
sed 's,10000/s,100/s,; s,1000/s,50/s,; s,100/s,20/s,; s,5/s,1/s,; s,1h,10m,
    s/^at 1000s/at 400s/; s/^at 3600s/at 500s/; s/^at 3890s/at 890s/
    s/^at 3960s/at 960s/; s/^at 3970s/at 970s/; s/^at 3972s/at 972s/
    s/advertise 200/advertise 20/; s/rewrite 40/rewrite 8/
    s/^run .*/run 982s/' "$XN_SRC/sim/scenarios/heal.scn" >"$scratch/heal.scn"
run heal --nodes 77 --set overlay.links=24 --set overlay.leaves=4
ok $? "joins, deaths and a partition: a minute later all is right"
[ "$(metric heal checks.leaves)" -gt 100 ] &&
    [ "$(metric heal checks.ads)" -gt 100 ] &&
    [ "$(metric heal lookup.right)" -gt 3000 ] &&
    [ "$(metric heal ads.gone)" -le 1 ]
ok $? "and that was looked at, and hardly an ad excused"

# Of the links of every node a third lead nowhere, and nobody looks after idle ones.
cat >"$scratch/third.scn" <<'END'
nodes 500
set overlay.links 256
latency uniform 5ms 150ms
access 1ms 20ms
settle 60s
at 0s      converge
at 60s     lookup 100/s
at 70s     crash 33.333% power
at 130s    check every 2s
at 140s    lookup off
run 143s
END
run third --seed 2
ok $? "a third dies: a minute later every lookup is right"
[ "$(metric third lookup.right)" -gt 7900 ] &&
    [ "$(metric third lookup.failed)" -le 2 ]
ok $? "and before that hardly one found no way: $(
    metric third lookup.failed)"

cat >"$scratch/hours.scn" <<'END'
nodes 40
set overlay.links 20
set overlay.leaves 4
latency uniform 5ms 150ms
settle 60s
at 0s      converge
at 10s     corp off
at 10s     partition 40% for 6h
at 21620s  lookup 10/s
at 21670s  check now
run 21680s
END
run hours
ok $? "two parts find each other after six hours"

sed 's/^nodes.*/nodes 4/; s/6h/1h/; s/at 216/at 36/; s/^run.*/run 3700s/
    s/converge/join all/' "$scratch/hours.scn" >"$scratch/few.scn"
run few --seed 4
ok $? "so do four nodes, who have few chances to"

cat >"$scratch/churn.scn" <<'END'
nodes 44
set overlay.links 24
set overlay.leaves 4
latency uniform 5ms 150ms
loss 0.5%
slow 5% times 10
bandwidth 2Mbit/s
at 0s      converge 40
at 1s      churn poisson median 5m
at 1s      lookup 20/s
at 100s    churn off
run 110s
END
run churn --set sim.median=90s
ok $? "half of all sessions within 90 s"
[ "$(metric churn kills)" -ge 15 ] && [ "$(metric churn kills)" -le 60 ] &&
    [ "$(metric churn nodes.running)" = 40 ]
ok $? "so many as that makes died: $(metric churn kills), and as many came"
[ "$(metric churn queue.bytes.max)" -gt 1000 ] &&
    [ "$(metric churn lost)" -gt 50 ]
ok $? "messages waited for the line, and were lost"
[ "$(metric churn lookup.count)" -gt 2000 ] &&
    [ "$(metric churn lookup.right)" -gt 2100 ] &&
    [ "$(metric churn lookup.wrong)" -le 5 ] &&
    [ "$(metric churn lookup.failed)" -le 5 ]
ok $? "of 2181 lookups no more than 5 got another than the owner: $(
    metric churn lookup.wrong)"

printf 'node\tup_from\tup_to\n0\t5\t20\n0\t30\t90\n1\t0\t40\n2\t50\t60\n3\t0\t15\n3\t15\t90\n7\t0\t90\n' \
    >"$scratch/up.tsv"
cat >"$scratch/trace.scn" <<'END'
nodes 5
latency uniform 5ms 50ms
at 0s      join all
at 10s     churn trace from 10s
run 22s
END
run trace --set "sim.trace=$scratch/up.tsv"
ok $? "as a file says"
# Node 2 is down from the start; 0 goes at 20 s, 12 s before the end; 3 is up
# all the time, in two spans.
[ "$(metric trace nodes.running)" = 3 ] && [ "$(metric trace kills)" = 2 ]
ok $? "two of five are down, the others are not in it or up"
"$xenosim" run "$scratch/trace.scn" >"$scratch/out" 2>"$scratch/err"
[ $? -ne 0 ] && grep -q 'XS-2-TRACE' "$scratch/err"
ok $? "without a file: told"

# Of 160 half live no longer than 50 ms: 1109 go in half a second.
cat >"$scratch/fast.scn" <<'END'
nodes 200
latency uniform 5ms 50ms
at 0s      join 80%
at 1s      churn poisson median 50ms
run 1500ms
END
run fast
ok $? "many come and go each millisecond"
[ "$(metric fast kills)" -ge 1000 ] && [ "$(metric fast kills)" -le 1220 ]
ok $? "as many as are meant to: $(metric fast kills)"
# Nobody opens links for longer than nodes live.
cat >"$scratch/short.scn" <<'END'
nodes 110
latency uniform 5ms 150ms
at 0s      converge 100
at 1s      churn poisson median 84s
at 250s    churn off
run 250s
END
run short
links=$(metric short node.links.mean)
[ -n "$links" ] && [ "${links%.*}" -lt 85 ]
ok $? "with sessions of 84 s a node has fewer links than there are nodes: $links"
[ "$(metric short wire.HELLO.count)" -gt 1000 ]
ok $? "what bytes were for is told"

plan
