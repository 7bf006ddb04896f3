#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Checkers can fail, and say how to repeat the run; bad scenarios are refused.
. "$XN_SRC/tests/tap.sh"
xenosim=$XN_BUILD/sim/xenosim

# Half of the nodes go at once and are asked for everything right then.
cat >"$scratch/strict.scn" <<'END'
nodes 12
latency uniform 5ms 50ms
set overlay.links 64
join all over 5s
at 20s advertise all
at 60s partition 50% for 60s
at 66s check now
run 110s
END
"$xenosim" run "$scratch/strict.scn" --seed 3 >"$scratch/out" 2>"$scratch/err"
[ $? -eq 1 ]
ok $? "a run that breaks a rule is exit 1"
grep -q '^violations [1-9]' "$scratch/out" &&
    grep -q '^xenosim: the run broke [0-9]* rules$' "$scratch/err" &&
    grep -q '^  because: at 6[0-9.]* s: ' "$scratch/err" &&
    grep -q '^  seed:    3$' "$scratch/err"
ok $? "and says what, when, and the seed"
again=$(sed -n 's/^  try:     xenosim //p' "$scratch/err")
eval "\"$xenosim\" $again" >"$scratch/again" 2>/dev/null
[ -n "$again" ] && [ "$(tail -n 1 "$scratch/out")" = "$(tail -n 1 "$scratch/again")" ]
ok $? "and the command that repeats it"

refused() { # TEXT WHAT COMMAND...
    local text=$1 what=$2
    shift 2
    "$@" >"$scratch/out" 2>"$scratch/err"
    [ $? -eq 2 ] && [ ! -s "$scratch/out" ] &&
        grep -q "$text" "$scratch/err" && grep -q '^  because: ' "$scratch/err"
    ok $? "refused: $what"
}
printf 'nodes 5\nat 3s jion all\n' >"$scratch/bad.scn"
refused "bad.scn:2:7: unknown word 'jion'; did you mean 'join'" "an unknown word" \
    "$xenosim" run "$scratch/bad.scn"
printf 'nodes 5\n' >"$scratch/short.scn"
refused "how long" "no end" "$xenosim" run "$scratch/short.scn"
printf 'nodes 5\nset overlay.lynks 4\nrun 1s\n' >"$scratch/set.scn"
refused "did you mean overlay.links" "an unknown setting" \
    "$xenosim" run "$scratch/set.scn"
printf 'nodes 5\nrun 1s\n' >"$scratch/good.scn"
refused "not a value" "a bad value" \
    "$xenosim" run "$scratch/good.scn" --set overlay.links=many
refused "nodes" "no nodes" "$xenosim" run "$scratch/good.scn" --nodes 0

# As many as there are: a table that is written otherwise is not no table.
verbs=$(sed -n 's/^    {"\([a-z]*\)", SCN_.*, step_[a-z]*},$/\1/p' \
    "$XN_SRC/sim/scenario_steps.c")
kinds=$(sed -n '/^enum scn_verb {/,/}/p' "$XN_SRC/sim/scenario.h" | grep -c 'SCN_')
missing=$(for verb in $verbs; do
    grep -Eq "^\.It .*(Cm|,) $verb( |\$)" "$XN_SRC/man/xenosim.1" || echo "$verb"
done)
[ -z "$missing" ] || echo "$missing" | diag
[ "$kinds" -gt 0 ] && [ "$(echo "$verbs" | wc -w)" -eq "$kinds" ] && [ -z "$missing" ]
ok $? "the page names every step"
plan
