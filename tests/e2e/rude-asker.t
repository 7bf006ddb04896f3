#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# xenodomd is asked a lot that makes no sense, in pieces, by several at once: it
# answers on, and of all that it was talked into nothing is left.
#
#     XN_RUDE=SECONDS goes on for that long; XN_SEED=N begins there
. "$XN_SRC/tests/tap.sh"
domd=$XN_BUILD/keeper/xenodomd
rude=$XN_BUILD/tests/e2e/rude_asker
count=2000
tag=r$$ # names of sessions are names of cgroups
if ! why=$("$domd" check 2>&1); then
    echo "1..0 # SKIP $(printf '%s' "$why" | tr '\n' ' ')"
    exit 0
fi
state=$scratch/s
daemon=

x() { "$domd" --state "$state" "$@"; }

keepers() {
    local pid
    for pid in /proc/[0-9]*; do
        [ "$(readlink "$pid/cwd" 2>/dev/null)" = "$state/sessions" ] &&
            echo "${pid#/proc/}"
    done
}

goes_away() {
    local pid
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null
    for pid in $(keepers); do kill "$pid" 2>/dev/null; done
    rm -rf "$scratch"
}
trap goes_away EXIT
trap 'exit 99' INT TERM

"$domd" --state "$state" --keeper "$XN_BUILD/keeper/xeno-keeper" --sessions 6 \
    2>"$scratch/log" &
daemon=$!
await 180 x list >/dev/null 2>&1 || exit 99
descriptors() { ls "/proc/$daemon/fd" | wc -l; }
before=$(descriptors)
few() { [ "$(descriptors)" -le "$before" ]; }

seed=${XN_SEED:-1} rc=0
until=$((SECONDS + ${XN_RUDE:-0}))
while :; do
    echo "# seed $seed"
    "$rude" "$state/socket" $tag "$seed" $count &
    first=$!
    "$rude" "$state/socket" $tag $((seed + 1000000)) $count || rc=1
    wait $first || rc=1
    x list >/dev/null || rc=1
    [ $rc -eq 0 ] && [ "$SECONDS" -lt "$until" ] || break
    seed=$((seed + 1))
    for name in $(ls "$state/sessions"); do x forget "$name" 2>/dev/null; done
done
ok $rc "it answers still, after all that"
await 180 grep -q "session $tag-.: ended" "$scratch/log"
ok $? "some of it started a task"
await 180 few
ok $? "no descriptor stays open"
ended() { ! x list 2>/dev/null | grep -qv ' ended '; }
for name in $(ls "$state/sessions"); do x stop "$name" 2>/dev/null; done
await 180 ended
ok $? "every task ends"
for name in $(ls "$state/sessions"); do x forget "$name"; done
no_keeper() { [ -z "$(keepers)" ]; } # they let go of the name, then end
[ -z "$(ls "$state/sessions")" ] && await 180 no_keeper &&
    [ "$(ls -A "$state" | sort | tr '\n' ' ')" = "lock sessions socket " ]
ok $? "nothing is left of them"
no_group() {
    [ -z "$(find /sys/fs/cgroup -maxdepth 6 -type d -name "xeno-$tag-*" \
        2>/dev/null)" ]
}
await 180 no_group
ok $? "nor a control group"
kill "$daemon"
wait "$daemon"
ok $? "told to end, it ends"
daemon=
plan
