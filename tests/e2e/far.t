#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Ports of tasks and commands beside them where a server is a cluster's manager:
# what is carried goes through it to the member that has the session, both ways,
# to its end, within bounds; who leaves, and a machine that dies, ends it, and why
# is said; a member answers its manager alone.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
tasks_or_skip
. "${XN_SRC:-.}/tests/e2e/cluster.sh"
porter=$XN_BUILD/tests/e2e/porter
typist=$XN_BUILD/tests/e2e/typist

ends_them_all() {
    ends_all
    goes_away_too
}
trap ends_them_all EXIT

manager() { # GRACE
    agent cluster --node "$XENO_NODES" --set price.currency=USD \
        --set price.per_hour=0.1 --set "cluster.grace=$1" \
        --set "cluster.members=https://${api[member1]}#${id[member1]}"
}

x() { # WORDS...: a command, with nothing to read
    timeout 120 "$xeno" exec "$session" -- "$@" </dev/null
}

forward() { # WORDS...: in the background, until it listens
    : >"$scratch/forward"
    "$xeno" session forward "$@" >"$scratch/forward" 2>"$scratch/forward.err" &
    forward=$!
    started+=("$forward")
    await 100 grep -q leads "$scratch/forward"
}

port_to() { # PORT: that leads there, at 127.0.0.1
    sed -n "s/^127\.0\.0\.1:\([0-9]*\) leads to port $1 .*/\1/p" \
        "$scratch/forward" | head -n 1
}

says() { # TEXT TIMES
    [ "$("$xeno" console "$session" 2>>"$err" | grep -c "$1")" -ge "$2" ]
}

forgets_freed
up --servers 1
takes_corps
agent cluster --node "$XENO_NODES" --set price.currency=USD \
    --set price.per_hour=0.1
kill_9 "${pid[cluster]}"
domd 1 && member 1 && manager 10m
ok $? 'a manager with one member'
found() { "$xenofind" ServerName:cluster -o name >/dev/null 2>>"$err"; }
await 60 found
"$xeno" run --detach --keep -o json ServerName:cluster CPUsmps:1000.. \
    -f "porter=$porter" -- ./porter serve 127.0.0.1 8080 \
    >"$scratch/run" 2>>"$err" || bail "no task runs: $(cat "$err")"
session=$(field session "$scratch/run")
await 100 says ready 1
ok $? 'a task runs on the member'
of_manager=$(descriptors "${pid[cluster]}")
of_member=$(descriptors "${pid[member1]}")

# ---- commands ----

x sh -c 'echo out; echo err >&2; exit 7' >"$scratch/out" 2>"$scratch/e"
[ $? -eq 7 ] && [ "$(cat "$scratch/out")" = out ] &&
    [ "$(cat "$scratch/e")" = err ]
rc=$?
[ $rc -eq 0 ] || diag "$scratch/e"
ok $rc 'a command: output and errors come apart, and the code is its own'
head -c 3000000 /dev/urandom >"$scratch/data"
"$xeno" exec "$session" -- cat <"$scratch/data" 2>>"$err" |
    cmp - "$scratch/data" >/dev/null
ok $? 'what is sent comes back, to its end'
x /no/such 2>"$scratch/e"
[ $? -eq 127 ] && grep -q 'No such file' "$scratch/e"
ok $? 'one that is not there: 127'
[ "$(echo end | TERM=odd "$typist" "$xeno" exec -t "$session" -- \
    sh -c 'tty; stty size; echo $TERM' 2>>"$err" | tr -d '\r')" = \
    "$(printf '/dev/pts/0\n30 90\nodd')" ]
ok $? 'one with a terminal'
has() { x sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" " "' 2>>"$err" | grep -q "$1"; }
has_no() { ! has "$1"; }
"$xeno" exec "$session" -- sleep 4321 </dev/null 2>>"$err" &
left=$!
started+=("$left")
await 60 has 'sleep 4321' && kill -KILL "$left" && await 60 has_no 'sleep 4321'
ok $? 'who is killed here leaves none there'
before=$(rss "${pid[cluster]}" "${pid[member1]}")
mkfifo "$scratch/slow"
"$xeno" exec "$session" -- cat /dev/zero </dev/null >"$scratch/slow" 2>>"$err" &
zero=$!
started+=("$zero")
exec 8<"$scratch/slow"
head -c 100000 <&8 >/dev/null
await 60 stands &&
    [ $(($(rss "${pid[cluster]}" "${pid[member1]}") - before)) -lt 16384 ]
ok $? 'who does not read makes it wait, and little is held'
exec 8<&-
wait "$zero"
await 60 has_no 'cat /dev/zero'
ok $? 'when he is gone it ends'

# ---- ports ----

forward "$session" 0:8080 0:9
ok $? 'ports are forwarded'
"$porter" echo "$(port_to 8080)" 10000000 >"$scratch/out" 2>>"$err" &&
    grep -q '^10000000 bytes' "$scratch/out"
ok $? 'what is sent comes back, behind the end of what was sent'
twenty_at_once
ok $? 'twenty at once, each its own'
"$porter" hold "$(port_to 9)" >"$scratch/out" 2>&1
grep -q reset "$scratch/out" &&
    grep -q 'no connection to port 9: nothing listens' "$scratch/forward.err"
ok $? 'where nothing listens a connection is cut, and the member says why'
# what listens here asks now and then over a connection of its own
await 100 no_more_than $((of_manager + 1)) "${pid[cluster]}" &&
    await 100 no_more_than "$of_member" "${pid[member1]}"
ok $? 'nothing is left with the manager, nor with the member'

# ---- the machine dies ----

"$porter" hold "$(port_to 8080)" >"$scratch/held" 2>&1 &
holder=$!
started+=("$holder")
activity() { "$xenoserver" activity --state "$scratch/cluster" "$@" 2>>"$err"; }
lasts() { # its byte, by a manager that has no xenodomd of its own
    activity -o json "$session" | tr -d ' \n' |
        grep -q '"sent_bytes":0,"got_bytes":1,'
}
await 300 lasts && ! activity "$session" | grep -q 'not all is known'
ok $? 'what is carried is noted while it lasts' || activity "$session" | diag
"$xeno" exec "$session" -- sleep 5678 </dev/null >/dev/null 2>"$scratch/no" &
last=$!
started+=("$last")
await 60 has 'sleep 5678'
kill_9 "${pid[member1]}"
wait "$last"
rc=$?
[ $rc -eq 7 ] && grep -q '^  because: the machine that it runs on is gone' \
    "$scratch/no"
rc=$?
[ $rc -eq 0 ] || diag "$scratch/no"
ok $rc 'a member is killed: a command is cut off, and why is said'
wait "$holder"
grep -q reset "$scratch/held" &&
    await 60 grep -q 'port 8080: the machine that it runs on is gone' \
        "$scratch/forward.err"
rc=$?
[ $rc -eq 0 ] || diag "$scratch/forward.err"
ok $rc 'and so are connections'
refused() { # BECAUSE
    x true 2>"$scratch/no"
    [ $? -eq "$1" ] && grep -q "^  because: .*$2" "$scratch/no"
}
await 60 refused 10 'is not there\|does not answer'
ok $? 'none begins meanwhile'
member 1
again() { x true 2>>"$err"; }
await 60 again
ok $? 'its agent is back: commands run'
await 60 has_no 'sleep 5678'
ok $? 'and of that which was cut off nothing is left'
kill_9 "${pid[cluster]}"
manager 3s && await 60 again
ok $? 'so it is with the manager'
"$xeno" exec "$session" -- sleep 6789 </dev/null >/dev/null 2>"$scratch/no" &
last=$!
started+=("$last")
await 60 has 'sleep 6789'
kill -STOP "${pid[member1]}"
wait "$last"
rc=$?
[ $rc -eq 3 ] && grep -q 'the machine that it ran on is lost' "$scratch/no"
rc=$?
[ $rc -eq 0 ] || diag "$scratch/no"
ok $rc 'a machine that says nothing is lost, and the command with it'
wait "$forward"
[ $? -eq 3 ] && grep -q 'the session has ended: the machine that it ran on is lost' \
    "$scratch/forward.err"
ok $? 'and with its session what listens here'
"$xeno" session forward -o json "$session" 0:8080 >"$scratch/no" 2>>"$err"
[ $? -eq 3 ] && grep -q '"because": ".*is lost' "$scratch/no"
ok $? 'which is said as JSON, too'
kill -CONT "${pid[member1]}"
"$xenodev" down --keep 2>>"$err"
[ -z "${VERBOSE-}" ] || diag "$err"
plan
