#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# xeno run and what goes with it, on a real platform with real sandboxes: what
# comes back, what it costs, what ctrl-C does, and that a client that is killed
# pays once.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
tasks_or_skip
out=$scratch/out
err=$scratch/err

run() { # WORDS...: its exit code is in rc
    "$xeno" run "$@" >"$out" 2>"$err" </dev/null
    rc=$?
}

gave() { # RC TEXT NAME: of the last run
    [ "$rc" -eq "$1" ] && [ "$(cat "$out")" = "$2" ]
    ok $? "$3"
    [ "$rc" -eq "$1" ] || { echo "# exit $rc"; diag "$err"; }
}

refused() { # RC CODE NAME
    [ "$rc" -eq "$1" ] && grep -q "\[XS-$2\]" "$err" &&
        grep -q '^  because: .' "$err" && grep -q '^  try: .' "$err"
    ok $? "$3"
    [ "$rc" -eq "$1" ] || diag "$err"
}

orders() { # how many there ever were
    "$xeno" order list -o json | grep -c '"serial"'
}

has() { # TEXT FILE
    grep -q -- "$1" "$2"
}

up --servers 2

run -- echo hello world
gave 0 'hello world' 'a command runs and its console comes back'
run -- sh -c 'echo out; exit 3'
gave 12 out 'a task that fails is exit 12'
has 'with code 3' "$err"
ok $? 'and its own code is told'
run --exit-code -- sh -c 'exit 3'
gave 3 '' '--exit-code: it is the exit code'
printf 'echo "$1 $WORD"; pwd\n' >"$scratch/script"
run -e WORD=there -f "job.sh=$scratch/script" -- sh job.sh hello
gave 0 $'hello there\n/home/task' 'files and environment'
printf 'one\ntwo' | "$xeno" run -i -- cat >"$out" 2>"$err"
rc=$?
gave 0 $'one\ntwo' 'what is typed reaches it, and its end too'
seq 60000 | "$xeno" run -i --for 10m -- sh -c 'sleep 1; cksum' >"$out" 2>"$err"
rc=$?
gave 0 "$(seq 60000 | cksum)" 'more than a terminal holds, to a task that reads late'
{
    "$xeno" run -- sh -c 'while sleep 0.1; do echo more; done' 2>"$err"
    echo $? >"$scratch/rc"
} | head -n 1 >"$out"
session=$(grep -o 'xeno stop [0-9a-f]*' "$err")
[ "$(cat "$out")" = more ] && [ "$(cat "$scratch/rc")" -eq 1 ] &&
    [ -n "$session" ] && "$xeno" stop "${session#xeno stop }" >/dev/null
ok $? 'nobody reads its console any more: it is told what goes on'
run -- sh -c 'while sleep 0.1; do echo more; done'
[ "$rc" -eq 12 ] && has 'was stopped' "$err"
ok $? 'and the same command is shown its end'
run -o json -- sh -c 'echo text'
[ "$rc" -eq 0 ] && has '"schema": "xeno.run/1"' "$out" &&
    has '"console": "text\\n"' "$out" && has '"end": "finished"' "$out"
ok $? '-o json'
order=$(field order "$out") session=$(field session "$out")
await 300 session_is ended "$session"
ok $? 'the session has ended with its task'
"$xeno" bill "$order" --verify >/dev/null 2>>"$err"
ok $? 'and its bill verifies'

refuses() { # RC CODE NAME WORDS...: as text and as JSON
    local code=$1 error=$2 name=$3
    shift 3
    run "$@"
    refused "$code" "$error" "$name"
    run -o json "$@"
    [ "$rc" -eq "$code" ] && has '"schema": "xeno.error/1"' "$out" &&
        has "\"error\": \"XS-$error\"" "$out" && has '"because": "..*"' "$out"
    ok $? "$name, as JSON"
}
refuses 5 5-FUNDS 'a limit below any price' --max 0.000001 -- true
refuses 3 3-NONE 'more than anybody has' CPUsmps:99999999.. -- true
refuses 2 2-USAGE 'no amount' --max nothing -- true
refuses 2 2-USAGE 'no command' CPUsmps:1..
refuses 2 2-QUERY 'no condition' CPUsmps -- true
run --for 1s -- sleep 60
[ "$rc" -eq 12 ] && [ "$(grep -o 'its time was over' "$err" | wc -l)" -eq 1 ]
ok $? 'its time is over, which is told once'

run --detach --keep -- sh -c 'while :; do :; done' sleep 600
session=$(cat "$out")
[ "$rc" -eq 0 ] && [ "${#session}" -eq 64 ]
ok $? '--detach says where it runs'
before=$(orders)
"$xeno" run --detach -- sleep 601 2>"$err" >/dev/full
rc=$?
[ "$rc" -eq 1 ] && run --detach -- sleep 601 && [ "$rc" -eq 0 ] &&
    [ "$(orders)" -eq $((before + 1)) ]
ok $? 'a name that could not be told is told by the same command again'
"$xeno" stop "$(cat "$out")" >/dev/null 2>>"$err"
"$xeno" list >"$out" 2>>"$err" && has 'running .*sleep 600' "$out"
ok $? 'list'
"$xeno" top >"$out" 2>>"$err" && has 'sleep 600' "$out"
ok $? 'top'
rises() { # WORD...: between two claims
    "$xeno" "$@" -o json >"$scratch/before" 2>>"$err" &&
        "$xeno" "$@" -o json >"$out" 2>>"$err" &&
        [ "$(field claims "$out")" = "$(field claims "$scratch/before")" ] &&
        [ "$(field cpu_ns "$out")" -gt "$(field cpu_ns "$scratch/before")" ]
}
await 300 rises top
ok $? 'top tells what the meter says now, not what was claimed'
await 300 rises session show "$session"
ok $? 'so does session show'
task_is() { # STATE: in what was printed
    [ "$(field state "$out")" = "$1" ]
}
stands() { # its CPU time does
    "$xeno" task show "$session" -o json >"$scratch/before" 2>>"$err" &&
        "$xeno" task show "$session" -o json >"$out" 2>>"$err" &&
        task_is paused &&
        [ "$(field cpu_ns "$out")" = "$(field cpu_ns "$scratch/before")" ]
}
"$xeno" task pause "$session" -o json >"$out" 2>>"$err" && task_is paused
ok $? 'task pause'
await 300 stands
ok $? 'and it stands still'
"$xeno" task resume "$session" -o json >"$out" 2>>"$err" && task_is running &&
    await 300 rises session show "$session"
ok $? 'task resume, and it goes on'
"$xeno" task new "$session" -- true >"$out" 2>"$err"
rc=$?
refused 4 4-BUSY 'one task at a time'
"$xeno" task stop "${session:0:12}" >/dev/null 2>>"$err"
"$xeno" wait "$session" >/dev/null 2>"$err"
rc=$?
refused 12 12-TASK 'task stop, wait'
"$xeno" task new "$session" -- echo again >/dev/null 2>>"$err" &&
    [ "$("$xeno" console --follow "$session" 2>>"$err")" = again ]
ok $? 'another task in the same session, console --follow'
[ "$("$xeno" task list "$session" -o json 2>>"$err" | grep -c number)" = 2 ]
ok $? 'task list'
"$xeno" stop "$session" >/dev/null 2>>"$err" &&
    await 300 session_is ended "$session"
ok $? 'stop'

# ctrl-C comes to background jobs as SIGTERM: there it is the same.
: >"$out" # what it has from before must not be taken for this one's
"$xeno" run -- sh -c 'echo begun; sleep 600' >"$out" 2>"$err" &
pid=$!
await 300 has begun "$out"
kill -TERM "$pid"
wait "$pid"
rc=$?
refused 12 12-TASK 'ctrl-C stops the task'
has 'was stopped' "$err"
ok $? 'and it is told so'

before=$(orders)
waits='echo begun; read word; echo done' # so long that the kill comes before
: >"$out"
"$xeno" run -- sh -c "$waits" >"$out" 2>"$err" &
pid=$!
await 300 has begun "$out"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
"$xeno" list -o json >"$out" 2>>"$err"
for session in $(sed -n 's/^ *"session": "\([0-9a-f]*\)",$/\1/p' "$out"); do
    echo word | "$xeno" console --input "$session" >/dev/null 2>>"$err"
done
run -- sh -c "$waits"
gave 0 $'begun\ndone' 'the same command goes on after a kill -9'
[ "$(orders)" -eq $((before + 1)) ]
ok $? 'and there is one order'
[ -z "$(ls "$XENO_KEY/runs" 2>/dev/null)" ]
ok $? 'nothing is under way any more'

# Killed at each of its syncs; whatever was begun is used or taken back.
killed() { # N
    strace -qq -f -o /dev/null -e trace=fsync \
        -e "inject=fsync:signal=KILL:when=$1" \
        "$xeno" run -- echo "at $1" >/dev/null 2>&1 </dev/null
    [ $? -eq 137 ]
}
if [ "${SOAK:-}" = full ] && killed 1 2>/dev/null; then
    for ((i = 1; i < 100; i++)); do
        killed "$i" 2>/dev/null
        last=$?
        run -- echo "at $i"
        [ "$rc" -eq 0 ] && [ "$(cat "$out")" = "at $i" ] || break
        [ "$last" -eq 0 ] || break # it makes fewer syncs than that
    done
    [ "$rc" -eq 0 ] && [ "$i" -gt 10 ] &&
        ! "$xeno" order list -o json | grep -q '"state": "issued"'
    ok $? "killed at each of $((i - 1)) syncs, it goes on each time"
fi

# The cheaper one goes away: the other one does it.
# Nothing is bought yet while servers are asked for quotes.
hosts=$("$xenodev" status | sed -n 's/^host [^ ]* *\([0-9]*\).*/\1/p')
asked() { # has one of them a caller?
    local n port
    for n in 1 2; do
        port=$(sed -n 's/.* api=127.0.0.1:\([0-9]*\).*/\1/p' \
            "$XENODEV_STATE/log/host-0$n.log" | tail -n 1)
        grep -q "[0-9A-F]:$(printf %04X "$port") 01 " /proc/net/tcp && return
    done
    return 1
}
before=$(orders)
kill -STOP $hosts
"$xeno" run --timeout 1h -- true >"$out" 2>"$err" </dev/null &
pid=$!
await 300 asked
kill -TERM "$pid"
await 300 gone "$pid"
stays=$?
kill -CONT $hosts
[ "$stays" -eq 0 ] || kill -KILL "$pid"
wait "$pid"
[ $? -eq 143 ] && [ "$(orders)" -eq "$before" ]
ok $? 'ctrl-C while servers are asked for quotes: nothing is bought'

# Both come back at each other's address: who asks the one at its old place meets
# the other.
swap() { # the ports of the two host agents
    awk '/"host": \{/ { host = 1 }
        host && /"api":/ { at[++n] = NR; host = 0 }
        { line[NR] = $0 }
        END {
            swap = line[at[1]]; line[at[1]] = line[at[2]]; line[at[2]] = swap
            for (i = 1; i <= NR; i++) print line[i]
        }' "$XENODEV_STATE/platform.json" >"$scratch/swapped" &&
        cp "$scratch/swapped" "$XENODEV_STATE/platform.json"
}
run --detach --keep -- sleep 602
left=$(cat "$out")
"$xenodev" kill 1 2 >>"$err" 2>&1 && swap &&
    "$xenodev" start 1 2 >>"$err" 2>&1
ok $? 'both servers move'
shows() {
    "$xeno" task show "$left" >"$out" 2>"$err" && has 'sleep 602' "$out"
}
await 300 shows
ok $? 'a server that moved is found by its id'
"$xeno" session show "$left" >"$out" 2>"$err" && ! has moved "$err"
ok $? 'and known to be there from then on'

run --detach --keep -- sleep 600
left=$(cat "$out")
cheap=$(field server "$XENO_KEY/sessions/$left")
for n in 1 2; do
    grep -q " id=${cheap#*#} " "$XENODEV_STATE/log/host-0$n.log" &&
        "$xenodev" kill "$n" >>"$err" 2>&1
done
"$xeno" console --follow "$left" >/dev/null 2>"$err" &
pid=$!
await 300 has 'no answer, asked again' "$err"
ok $? 'who follows a console is told that its server does not answer'
kill -TERM "$pid"
wait "$pid" 2>/dev/null
run --max 100 -o json -- echo elsewhere
[ "$rc" -eq 0 ] && has 'elsewhere' "$out" &&
    [ "$(field server "$out")" != "$cheap" ]
ok $? 'a server that is gone: the next one is taken'
"$xeno" list --all >"$out" 2>"$err"
rc=$?
refused 10 10-NOTYET 'list says that one did not answer'
down >/dev/null 2>>"$err"
ok $? 'the platform goes away'
plan
