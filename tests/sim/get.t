#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# An item is to be had from the nearest copy that is quick, though nobody knows
# which ones are slow: near to what the nearest one reached directly takes, for
# few requests more.
. "$XN_SRC/tests/tap.sh"
xenosim=$XN_BUILD/sim/xenosim

run() { # NAME OPTION...
    local name=$1
    shift
    "$xenosim" run "$scratch/get.scn" "$@" >"$scratch/$name" \
        2>"$scratch/$name.err" && return 0
    sed 's/^/# /' "$scratch/$name.err"
    return 1
}
metric() { # NAME METRIC
    sed -n "s/^$2 \([^ ]*\) .*/\1/p" "$scratch/$1"
}
thousandths() { # NAME METRIC
    metric "$1" "$2" | tr -d . | sed 's/^0*\(.\)/\1/'
}

sed 's,500/s,300/s,; s,^at 60s,at 40s,; s,^at 61s,at 41s,; s,^at 71s,at 44s,
    s,^run .*,run 56s,' "$XN_SRC/sim/scenarios/get.scn" >"$scratch/get.scn"
run a --nodes 90
ok $? "all checks hold"
[ "$(metric a get.fast.count)" -ge 700 ] &&
    [ "$(metric a get.slow.count)" -ge 10 ] &&
    [ "$(metric a get.unasked)" -le 90 ] && [ "$(metric a ads.live)" = 90 ]
ok $? "fast nodes asked, and slow ones"
[ "$(metric a get.wrong)" = 0 ] && [ "$(metric a get.missed)" = 0 ] &&
    [ "$(metric a get.failed)" = 0 ] && [ "$(metric a pending)" = 0 ]
ok $? "every answer was right"
most=$(($(thousandths a get.limit.p50) * 11 / 10 + 10))
[ "$(thousandths a get.fast.p50)" -le "$most" ]
ok $? "half of them took $(metric a get.fast.p50) round trips, the nearest copy $(
    metric a get.limit.p50)"
most=$(($(thousandths a get.limit.p99) * 14 / 10 + 10))
[ "$(thousandths a get.fast.p99)" -le "$most" ]
ok $? "one in a hundred $(metric a get.fast.p99), the nearest copy $(
    metric a get.limit.p99)"
[ "$(thousandths a get.fast.extra)" -le 1000 ]
ok $? "for $(metric a get.fast.extra) requests more"
run b --nodes 90 --wire
[ -n "$(metric a digest)" ] && [ "$(metric a digest)" = "$(metric b digest)" ]
ok $? "--wire gives the same"
plan
