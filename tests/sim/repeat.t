#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The same seed gives the same run, another seed another; by reference or
# through the codec is the same; one flipped bit shows; checks hold.
. "$XN_SRC/tests/tap.sh"
xenosim=$XN_BUILD/sim/xenosim
scenario=$XN_SRC/sim/scenarios/smoke.scn

run() { # NAME OPTION...
    local name=$1
    shift
    "$xenosim" run "$scenario" --nodes 24 "$@" >"$scratch/$name" \
        2>"$scratch/$name.err"
}
digest() {
    sed -n 's/^digest \([0-9a-f]*\) sha256$/\1/p' "$scratch/$1"
}
metric() { # NAME METRIC
    sed -n "s/^$2 \([^ ]*\) .*/\1/p" "$scratch/$1"
}

run a --seed 7 --out "$scratch/out"
rc=$?
[ "$rc" -eq 0 ] || sed 's/^/# /' "$scratch/a.err"
ok "$rc" "the smoke scenario ends with all checks held"
[ "$(metric a violations)" = 0 ] && [ "$(metric a get.wrong)" = 0 ] &&
    [ "$(metric a checks.settled)" -gt 0 ] && [ "$(metric a get.count)" -gt 20 ] &&
    [ "$(metric a find.hits)" -gt 100 ] && [ "$(metric a lookup.count)" -gt 1000 ] &&
    [ "$(metric a kills)" -gt 0 ] && [ "$(metric a lost)" -gt 0 ]
ok $? "and they had something to check"
[ "$(digest a | wc -c)" -eq 65 ]
ok $? "it has a digest"
grep -q "^digest,$(digest a),sha256$" "$scratch/out/summary.csv" &&
    [ "$(wc -l <"$scratch/out/series.csv")" -ge 600 ]
ok $? "--out has the summary and a line per second"
run b --seed 7
[ "$(digest a)" = "$(digest b)" ]
ok $? "the same seed gives the same digest"
run c --seed 8
[ -n "$(digest c)" ] && [ "$(digest a)" != "$(digest c)" ]
ok $? "another seed gives another"
run d --seed 7 --wire
[ "$(digest a)" = "$(digest d)" ]
ok $? "--wire gives the same"
for flip in 1 777 5000; do
    run e --seed 7 --set sim.flip=$flip
    [ -n "$(digest e)" ] && [ "$(digest a)" != "$(digest e)" ]
    ok $? "a bit flipped in delivery $flip gives another"
done
run f --seed 7 --set sim.flip=999999999
[ "$(digest a)" = "$(digest f)" ]
ok $? "no such delivery: the same"
plan
