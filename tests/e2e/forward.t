#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Ports of this machine that lead to a task's: bytes both ways, ends, who does
# not read, what is refused and why, and that nothing is left.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
tasks_or_skip
porter=$XN_BUILD/tests/e2e/porter
trap ends_all EXIT

says() { # TEXT TIMES
    [ "$("$xeno" console "$session" 2>>"$err" | grep -c "$1")" -ge "$2" ]
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

refuses() { # RC BECAUSE NAME WORDS...
    local want=$1 because=$2 name=$3 words
    shift 3
    words=("$@")
    is_refused "$want" "$because" session forward "${words[@]}"
    ok $? "$name"
    "$xeno" session forward -o json "${words[@]}" >"$out" 2>"$scratch/no.json"
    [ $? -eq "$want" ] && grep -q "\"because\": \".*$because" "$out" &&
        grep -q '"try": "..*"' "$out"
    ok $? "$name, as JSON" || diag "$scratch/no" "$out"
}

forgets_freed
up --servers 1
# On this machine, not in the task: nobody gets there.
for outside in 47611 47612 47613 47614; do
    "$porter" serve 127.0.0.1 "$outside" >"$scratch/outside" 2>/dev/null &
    started+=("$!")
    await 20 grep -q ready "$scratch/outside" && break
done
new_task -f "porter=$porter" -- \
    sh -c './porter serve 127.0.0.1 8080 & exec ./porter serve ::1 8081'
await 100 says ready 2
ok $? 'a task listens, at either loopback address'
look_at_it

forward "$session" 0:8080 0:8081 0:9 "127.0.0.1:0:$outside"
ok $? 'its ports are forwarded'
"$porter" echo "$(port_to 8080)" 10000000 >"$out" 2>>"$err" &&
    grep -q '^10000000 bytes' "$out"
ok $? 'what is sent comes back, behind the end of what was sent'
"$porter" echo "$(port_to 8081)" 100000 >"$out" 2>>"$err"
ok $? 'by IPv6 inside, too'
twenty_at_once
ok $? 'twenty at once, each its own'

# ---- where nobody is ----

"$porter" hold "$(port_to 9)" >"$out" 2>&1
grep -q reset "$out" &&
    grep -q 'no connection to port 9: nothing listens' "$scratch/forward.err"
ok $? 'where nothing listens a connection is cut, and it is said why'
"$porter" hold "$(port_to "$outside")" >"$out" 2>&1
grep -q reset "$out" &&
    grep -q "to port $outside: nothing listens" "$scratch/forward.err"
ok $? "no connection leads to the server's own ports"
refuses 1 'in use' 'a port that is taken' "$session" "$(port_to 8080):8080"
refuses 2 'no \[' 'what is no port' "$session" 70000
refuses 2 'no \[' 'port 0 of a task' "$session" 8080:0
refuses 3 '' 'a session that nobody knows' "$(printf '%064d' 7)" 0:8080
refuses 3 'no such task' 'a task that there is not' "$session/7" 0:8080

# ---- who does not read ----

before=$(rss "$agent" "$forward")
mkfifo "$scratch/word"
"$porter" flood "$(port_to 8080)" <"$scratch/word" 2>>"$err" &
flood=$!
started+=("$flood")
exec 8>"$scratch/word"
await 200 says stalled 1
ok $? 'who does not read makes the task wait'
[ $(($(rss "$agent" "$forward") - before)) -lt 16384 ]
ok $? 'and what is held meanwhile is little'
kill -KILL "$flood"
await 200 says 'let go' 1
ok $? 'when he is gone, the task is told'
exec 8>&-

# ---- a task that stands still ----

"$xeno" task pause "$session" >/dev/null 2>>"$err"
refuses 4 'task is paused' 'a task that is paused' "$session" 0:8080
"$porter" hold "$(port_to 8080)" >"$out" 2>&1
grep -q reset "$out" && grep -q 'task is paused' "$scratch/forward.err"
ok $? 'it gets no connection, which is said'
"$xeno" task resume "$session" >/dev/null 2>>"$err"
"$porter" echo "$(port_to 8080)" 1000 >/dev/null 2>>"$err"
ok $? 'it gets some when it goes on'

# ---- ctrl-C ----

"$porter" hold "$(port_to 8080)" >"$scratch/held" 2>&1 &
holder=$!
started+=("$holder")
taken=$(port_to 8080)
more() { [ "$(descriptors "$agent")" -gt "$of_agent" ]; }
await 100 more
kill -INT "$forward"
wait "$forward"
ok $? 'ctrl-C ends it'
wait "$holder"
! "$porter" echo "$taken" 10 >/dev/null 2>&1
ok $? 'with all that it carried, and nothing listens any more'
await 100 no_more_than "$of_agent" "$agent" &&
    await 100 no_more_than "$of_keeper" "$keeper"
ok $? 'nothing of it is left with the agent, nor with the keeper'
"$xeno" session forward -o json "$session" 127.0.0.1:0:9 >"$scratch/json" \
    2>>"$err" &
forward=$!
started+=("$forward")
await 100 grep -q '"schema": "xeno.forward/1"' "$scratch/json"
ok $? 'as JSON it says where it listens'
"$porter" hold "$(sed -n 's/.*"127\.0\.0\.1:\([0-9]*\)".*/\1/p' \
    "$scratch/json")" >/dev/null 2>&1
cut_is_told() {
    grep -q '"schema": "xeno.cut/1"' "$scratch/json" &&
        grep -q '"because": "nothing listens on port 9 there"' "$scratch/json"
}
await 60 cut_is_told
ok $? 'and why a connection was cut'
kill -TERM "$forward"
wait "$forward"

# ---- the end ----

forward "$session" 0:8080
"$porter" hold "$(port_to 8080)" >"$scratch/held" 2>&1 &
holder=$!
started+=("$holder")
await 100 more
"$xeno" task stop "$session" >/dev/null 2>>"$err"
wait "$holder"
grep -q 'reset\|closed' "$scratch/held"
ok $? 'a connection ends with its task'
refuses 4 'task has ended' 'a task that has ended' "$session" 0:8080
kill -0 "$forward" && "$xeno" task new "$session" -f "porter=$porter" -- \
    ./porter serve 127.0.0.1 8080 >/dev/null 2>>"$err"
await 100 says ready 1
"$porter" echo "$(port_to 8080)" 1000 >/dev/null 2>>"$err"
ok $? 'the next task of the session gets connections'
"$xeno" stop "$session" >/dev/null 2>>"$err"
"$porter" hold "$(port_to 8080)" >/dev/null 2>&1
wait "$forward"
[ $? -eq 3 ] && grep -q 'the session has ended: stopped' "$scratch/forward.err"
ok $? 'with its session it ends, and says why'
refuses 3 'session has ended' 'a session that has ended' "$session" 0:8080
! grep -q 'ERROR\|error ' "$XENODEV_STATE"/log/host-01.log
ok $? 'the agent has seen no error'
down >/dev/null 2>>"$err"
ok $? 'the platform goes away'
plan
