#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Tasks and what dies around them, on a real platform: xenohostd, xenodomd and a
# keeper are killed with -9 while a task runs.  It goes on, its console is whole,
# and the bill says what its meter does.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
tasks_or_skip
trap ends_all EXIT

# Of the platform's first server, with its command line: host or domd.
find_process() { # WORD
    local word all skip=1 # its own name
    pid=$("$xenodev" status | sed -n "s/^$1 server-01 *\([0-9]*\).*/\1/p")
    exe=$(readlink "/proc/$pid/exe")
    mapfile -d '' all <"/proc/$pid/cmdline"
    words=()
    for word in "${all[@]}"; do
        if [ "$skip" -gt 0 ]; then
            skip=0
        elif [ "$word" = --ready-fd ]; then # that one was told long ago
            skip=1
        else
            words+=("$word")
        fi
    done
}

dies() {
    kill_9 "$pid"
    gone "$pid"
}

begins_again() {
    "$exe" "${words[@]}" 2>>"$scratch/again.log" &
    pid=$!
    started+=("$pid")
}

look() { # at the session's last task
    "$xeno" task show "$session" -o json >"$scratch/look" 2>>"$err"
}

is() { # FIELD VALUE
    look && [ "$(field "$1" "$scratch/look")" = "$2" ]
}

session_is() { # STATE
    "$xeno" session show "$session" -o json >"$scratch/session" 2>>"$err" &&
        [ "$(field state "$scratch/session")" = "$1" ]
}

says() { # TEXT
    "$xeno" console "$session" >"$scratch/console" 2>>"$err"
    grep -q "$1" "$scratch/console"
}

cpu_near() { # FILE: of a bill; within 5 % of what the meter said
    awk -v ns="$(field cpu_ns "$scratch/look")" -F'"' '
        /"cpu_s"/ { s = $4 }
        END { ns /= 1e9; exit !(s > 0.95 * ns && s < 1.05 * ns) }' "$1"
}

run() { # WORDS...: a detached one, its session is kept
    "$xeno" run --detach --keep -o json CPUsmps:1000.. "$@" \
        >"$scratch/run" 2>>"$err"
    rc=$?
    session=$(field session "$scratch/run")
    order=$(field order "$scratch/run")
    [ "$rc" -eq 0 ] && [ "${#session}" -eq 64 ]
}

up --servers 1
cat >"$scratch/job" <<'X'
./burner work 150
echo half
read -r line
echo "heard $line"
./burner work 50
echo end
exit 5
X
run -f "job=$scratch/job" -f "burner=$XN_BUILD/tests/e2e/burner" -- sh job
ok $? "a task runs"

# ---- the agent ----

find_process host
dies
ok $? "xenohostd is killed"
begins_again
await 300 says half
ok $? "and comes back: the task went on"
await 300 is state running
ok $? "it still runs"
find_process domd
dies
ok $? "xenodomd is killed"
timeout 60 "$xeno" console "$session" >"$scratch/waited" \
    2>"$scratch/waited.err" &
reader=$!
await 200 grep -q 'asked again for 30 seconds' "$scratch/waited.err"
ok $? "its console is waited for, which is said"
begins_again
wait "$reader" && grep -q half "$scratch/waited"
ok $? "and comes when it is there again"
await 300 is state running
ok $? "and comes back: the task still runs"
heard() {
    echo word | timeout 60 "$xeno" console --input "$session" >/dev/null \
        2>>"$err"
    says 'heard word'
}
await 300 heard
ok $? "it hears what is typed"
await 300 is state ended
ok $? "and ends"
[ "$(field code "$scratch/look")" = 5 ] &&
    [ "$(field end "$scratch/look")" = finished ]
ok $? "by itself, with its own code"
says end
[ "$(tr '\n' ' ' <"$scratch/console")" = 'worked 1200 half heard word worked 400 end ' ]
ok $? "its console is whole"
"$xeno" stop "$session" >/dev/null 2>>"$err"
await 300 session_is ended
ok $? "its session is stopped"
"$xeno" bill "$order" -o json >"$scratch/bill" 2>>"$err"
ok $? "the bill verifies"
cpu_near "$scratch/bill"
ok $? "and says the CPU time that the meter does"

# ---- the keeper ----

run -f "burner=$XN_BUILD/tests/e2e/burner" -- sh -c './burner work 50; sleep 600'
ok $? "another"
used() { look && [ "$(field cpu_ns "$scratch/look")" -gt 300000000 ]; }
await 300 used
ok $? "uses CPU time"
keeper=$("$XN_BUILD/keeper/xenodomd" --state "$XENODEV_STATE/domd-01" \
    status "${session:0:32}-1" 2>>"$err" | sed -n 's/^keeper //p')
kill -KILL "$keeper"
await 300 is state ended
ok $? "its keeper is killed: it ends"
grep -q '"end": ".*keeper' "$scratch/look" ||
    grep -q '"because": ".*keeper' "$scratch/look"
ok $? "and says so"
"$xeno" task new "$session" -- sleep 600 >/dev/null 2>>"$err"
ok $? "the session goes on with another"
"$xeno" stop "$session" >/dev/null 2>>"$err"
await 300 session_is ended && is state ended
ok $? "which ends with it"
"$xeno" bill "$order" -o json >"$scratch/bill" 2>>"$err" &&
    awk -F'"' '$2 == "cpu_s" && $4 >= 0.3 { good = 1 } END { exit !good }' \
        "$scratch/bill"
ok $? "what was read before is charged"

# ---- several ----

run -- sleep 600
one=$session
run -- sleep 600
ok $? "two more"
"$xeno" stop "$one" ffffffff "$session" >"$scratch/stopped" 2>"$scratch/none"
[ $? -eq 3 ] && [ "$(grep -c 'charged' "$scratch/stopped")" = 2 ] &&
    grep -q "^${one:0:12}  " "$scratch/stopped" && grep -q ffffffff "$scratch/none"
ok $? "are stopped at once, a line each; one that is none is told"
await 300 session_is ended
ok $? "and end"
"$xeno" stop "$one" "$session" -o json >"$scratch/stopped" 2>>"$err" &&
    [ "$(grep -c '"exit": 0' "$scratch/stopped")" = 2 ]
ok $? "the same again is no error"
gone_too() { "$xeno" session show "$one" 2>>"$err" | grep -q '^state *ended'; }
await 300 gone_too
ok $? "and end, both"

# ---- drained ----

server=$(field server "$scratch/run")
corp=
for at in $XENO_CORP; do # whose client the server's XenoCorp knows
    XENO_CORP=$at "$xeno" quote "$server" --save "$scratch/quote" -o json \
        >"$scratch/quote.json" 2>/dev/null && corp=$at
done
currency=$(field currency "$scratch/quote.json")
"$xeno" order new "1$currency" --corp "$corp" -o json >"$scratch/order" \
    2>>"$err"
order=$(field serial "$scratch/order")
"$xeno" order narrow "$order" --quote "$scratch/quote" >/dev/null 2>>"$err"
narrowed=$order
run -- sleep 600
one=$session
run -- sleep 600
ok $? "two more, for later"
"$XN_BUILD/hostagent/xenoserver" drain --state "$XENODEV_STATE/host-01" \
    >/dev/null 2>>"$err"
ok $? "the server is drained"
"$xeno" session new "$server" "$narrowed" --quote "$scratch/quote" \
    >/dev/null 2>"$scratch/refused"
[ $? -eq 4 ] && grep -q withdrawn "$scratch/refused"
ok $? "and begins no session"

# ---- without its XenoCorp ----

kill_9 $(sed -n '/"corps"/,/"servers"/s/^ *"pid": \([0-9]*\),$/\1/p' \
    "$XENODEV_STATE/platform.json")
"$xeno" stop "$one" "$session" >"$scratch/stopped" 2>>"$err"
[ $? -eq 7 ] && [ "$(grep -c 'ending, .*was not told' "$scratch/stopped")" = 2 ]
ok $? "two are stopped though their XenoCorp does not answer, which is said"
ends() { look && [ "$(field state "$scratch/look")" = ended ]; }
await 300 ends
ok $? "and nothing of them runs on"

for pid in "${started[@]}"; do
    kill -TERM "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
done
started=()
"$xenodev" down >/dev/null 2>>"$err"
ok $? "the platform goes away"
# Not a word of this may stand in the command line that looks for it.
[ -z "$(printf '%s' "$XENODEV_STATE" | grep -lsaFf - /proc/[0-9]*/cmdline)" ]
ok $? "and leaves nothing that runs"
plan
