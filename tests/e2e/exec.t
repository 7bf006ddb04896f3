#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Commands beside a task: their streams and ends, that they are held, counted and
# ended as the task is, what is refused and why, and that nothing is left.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
tasks_or_skip
burner=$XN_BUILD/tests/e2e/burner
typist=$XN_BUILD/tests/e2e/typist
trap ends_all EXIT

x() { # WORDS...: a command, with nothing to read
    timeout 120 "$xeno" exec "$session" -- "$@" </dev/null
}

refuses() { # RC BECAUSE NAME WORDS...: of xeno exec
    local want=$1 because=$2 name=$3
    shift 3
    is_refused "$want" "$because" exec "$@"
    ok $? "$name" || diag "$scratch/no"
}

look() { # FIELD: of the session's last task
    "$xeno" task show "$session" -o json >"$scratch/look" 2>>"$err" &&
        field "$1" "$scratch/look"
}

has_no() { # WORD: no process inside is called by it
    ! x sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" " "' 2>>"$err" | grep -q "$1"
}

has() { ! has_no "$1"; }

carriers() { # processes that the keeper has begun, but for the task's monitor
    local pid n=0
    for pid in $(cat "/proc/$keeper/task/$keeper/children"); do
        case $(readlink "/proc/$pid/exe") in */xeno-keeper) n=$((n + 1)) ;; esac
    done
    echo "$n"
}

has_carriers() { [ "$(carriers)" -eq "$1" ]; }

forgets_freed
up --servers 1
new_task -e COLOUR=blue -e LANG=C -f "burner=$burner" -- \
    sh -c 'echo up; exec sleep 10000'
name=$(task_name "$session" 1)
runs() { [ "$(of_task 1 "$name" state)" = running ]; }
await 100 runs
look_at_it

# ---- streams and ends ----

x sh -c 'echo out; echo err >&2; exit 7' >"$out" 2>"$scratch/e"
[ $? -eq 7 ] && [ "$(cat "$out")" = out ] && [ "$(cat "$scratch/e")" = err ]
ok $? 'output and errors come apart, and the code is its own'
head -c 3000000 /dev/urandom >"$scratch/data"
"$xeno" exec "$session" -- cat <"$scratch/data" 2>>"$err" |
    cmp - "$scratch/data" >/dev/null
ok $? 'what is sent comes back, to its end'
[ "$(echo 'some words' | "$xeno" exec "$session" -- tr a-z A-Z)" = 'SOME WORDS' ]
ok $? 'a filter filters'
"$xeno" exec "$session" -- true <"$scratch/data" 2>>"$err"
ok $? 'who reads nothing ends all the same'
x sh -c 'kill -KILL $$' >/dev/null 2>&1
[ $? -eq 137 ]
ok $? 'a signal ends one: 128 and its number'
x /no/such 2>"$scratch/e"
[ $? -eq 127 ] && grep -q 'No such file' "$scratch/e"
ok $? 'one that is not there: 127'
x /etc/passwd 2>/dev/null
[ $? -eq 126 ]
ok $? 'one that cannot be run: 126'
[ "$(x sh -c 'echo a; (sleep 1000; echo b) & echo c')" = "$(printf 'a\nc')" ]
ok $? 'what it leaves in the background is not waited for'

# ---- as the task is ----

[ "$(x sh -c 'echo $HOME $COLOUR; pwd; hostname; id -u; tr "\0" " " </proc/1/cmdline |
    grep -c bwrap')" = "$(printf '/home/task blue\n/home/task\ntask\n1000\n1')" ]
ok $? 'it is where the task is, as who it is'
[ "$(x sh -c 'tr "\0" "\n" </proc/$$/environ | grep "^LANG="')" = LANG=C ]
ok $? "a variable that the task's client set is as he set it"
x sh -c 'grep -E "^(Cap|NoNew|Seccomp:|SigIgn)" /proc/self/status' >"$out"
[ "$(grep -c 'Cap.*:.0000000000000000$' "$out")" -eq 5 ] &&
    grep -q 'SigIgn:.*0000000$' "$out" &&
    grep -q 'NoNewPrivs:.1' "$out" && grep -q 'Seccomp:.2' "$out"
rc=$?
[ $rc -eq 0 ] || diag "$out"
ok $rc 'without a capability, behind its filter'
echo secret >"$scratch/secret"
"$burner" listen "$scratch/port" &
started+=("$!")
await 60 test -s "$scratch/port"
timeout 120 "$xeno" exec "$session" -- ./burner escape $$ \
    "$(cat "$scratch/port")" "$scratch/secret" </dev/null >"$out" 2>>"$err"
[ $? -eq 0 ] && [ "$(grep -c '^held' "$out")" -ge 50 ] &&
    ! grep -q ESCAPED "$out"
rc=$?
[ $rc -eq 0 ] || grep -v '^held' "$out" | diag
ok $rc "$(grep -c '^held' "$out") ways out are closed to it"
before=$(look cpu_ns)
x ./burner work 50 >/dev/null 2>>"$err"
[ $(($(look cpu_ns) - before)) -gt 350000000 ]
ok $? 'what it uses the meter of its task counts'

# ---- a terminal ----

t() { # WORDS...: a command with one, before somebody who does as he is told
    TERM=some-type "$typist" "$xeno" exec -t "$session" -- "$@" >"$out" \
        2>"$scratch/e"
}

echo end | t sh -c 'tty; stty size; echo $TERM
    test -t 0 && test -t 1 && test -t 2 && echo all; exit 7'
[ $? -eq 7 ] && [ "$(tr -d '\r' <"$out")" = \
    "$(printf '/dev/pts/0\n30 90\nsome-type\nall')" ]
rc=$?
[ $rc -eq 0 ] || diag "$out" "$scratch/e"
ok $rc 'it has a terminal of the sandbox, of our size and type'
printf '%s\n' 'expect >' 'modes raw' 'type three words\x7f\x7f\r' \
    'expect [three wor]' 'modes cooked' end |
    t sh -c 'printf "> "; read line; echo "[$line]"'
ok $? 'keys go there as they are typed, and ours is what it was afterwards' ||
    diag "$scratch/e"
printf '%s\n' 'expect ready' 'size 41 123' 'expect now 41 123' 'type \x03' \
    'modes cooked' end |
    t sh -c 'trap "echo now \$(stty size)" WINCH; echo ready
        while :; do sleep 0.1; done'
[ $? -eq 130 ]
ok $? 'so do a new size of the window, and ctrl-C' || diag "$scratch/e"
printf '%s\n' 'modes raw' 'type one\r\x04' end | t cat
[ $? -eq 0 ] && [ "$(tr -d '\r' <"$out")" = "$(printf 'one\none')" ]
ok $? 'ctrl-D ends its input' || diag "$scratch/e"
echo end | t sh -c 'seq 9000; exec sh -c "echo the end"'
[ $? -eq 0 ] && [ "$(wc -l <"$out")" -eq 9001 ] && tail -n 1 "$out" | grep -q end
ok $? 'what it says last is heard'
[ "$(echo end | t sh -c 'echo a; (trap "" HUP; sleep 1000; echo b) & echo c
    sleep 0.1'; tr -d '\r' <"$out")" = "$(printf 'a\nc')" ]
ok $? 'what it leaves in the background is not waited for'
for signal in 1 2 3 15; do
    printf '%s\n' 'expect here' 'modes raw' "signal $signal" 'modes cooked' end |
        t sh -c 'echo here; exec sleep 3456'
    [ $? -eq 130 ] && await 60 has_no 'sleep 3456'
    ok $? "signal $signal ends it, and ours is what it was" || diag "$scratch/e"
done
printf '%s\n' 'expect here' 'modes raw' 'signal 20' stopped 'modes cooked' \
    'signal 18' 'modes raw' 'type x\r' 'modes cooked' end |
    t sh -c 'echo here; read line; exit 9'
[ $? -eq 9 ]
ok $? 'who is stopped has ours back, and who goes on has none' || diag "$scratch/e"
printf '%s\n' 'expect held' end |
    t ./burner escape $$ "$(cat "$scratch/port")" "$scratch/secret"
[ $? -eq 0 ] && [ "$(grep -c '^held' "$out")" -ge 50 ] && ! grep -q ESCAPED "$out"
ok $? 'it is a way out no more than the others' || diag "$out"
refuses 2 'no terminal' 'one for who has none himself' -t "$session" -- true

# ---- who leaves ----

leaves() { # SIGNAL CODE
    "$xeno" exec "$session" -- sleep 4321 </dev/null 2>>"$err" &
    left=$!
    started+=("$left")
    await 60 has 'sleep 4321' || return 1
    kill "-$1" "$left"
    wait "$left"
    [ $? -eq "$2" ] && await 60 has_no 'sleep 4321'
}
# a background job of a shell ignores SIGINT from its start on
leaves TERM 130
ok $? 'SIGTERM ends it, there and here'
leaves KILL 137
ok $? 'who is killed here leaves none there'

# his end stands behind all that a connection holds
"$xeno" exec "$session" -- sleep 5432 </dev/zero 2>>"$err" &
full=$!
started+=("$full")
await 60 has 'sleep 5432'
stands_still() { # it reads no more of its input
    local before
    before=$(grep rchar "/proc/$full/io")
    read -rt 1 <> <(:)
    [ "$before" = "$(grep rchar "/proc/$full/io")" ]
}
await 60 stands_still
kill -KILL "$full"
wait "$full"
await 60 has_no 'sleep 5432'
ok $? 'nor does who was not read'

# ---- who does not read ----

before=$(rss "$agent")
mkfifo "$scratch/slow"
"$xeno" exec "$session" -- cat /dev/zero </dev/null >"$scratch/slow" \
    2>>"$err" &
zero=$!
started+=("$zero")
exec 8<"$scratch/slow"
head -c 100000 <&8 >/dev/null
await 60 stands && [ $(($(rss "$agent") - before)) -lt 8192 ]
ok $? 'who does not read makes it wait, and little is held'
exec 8<&-
wait "$zero"
await 60 has_no 'cat /dev/zero'
ok $? 'when he is gone it ends'

# ---- how many ----

many=()
for _ in $(seq 16); do
    "$xeno" exec "$session" -- sleep 1234 </dev/null 2>>"$err" &
    many+=("$!")
done
started+=("${many[@]}")
await 100 has_carriers 16
refuses 4 'as many commands' 'more at once than there may be' \
    "$session" -- true
kill -TERM "${many[@]}"
wait "${many[@]}"
await 100 has_carriers 0 && await 60 x true # the list of children may be cut short
ok $? 'their places are free again'

# ---- refusals ----

refuses 3 '' 'a session that nobody knows' "$(printf '%064d' 7)" -- true
refuses 3 'no such task' 'a task that there is not' "$session/7" -- true
refuses 2 'no command' 'no command' "$session" --
refuses 2 'no JSON' 'JSON' -o json "$session" -- true
# shellcheck disable=SC2046 # that many words
refuses 2 '64 words' 'a command that is too long' "$session" -- $(seq 100)
"$xeno" task pause "$session" >/dev/null 2>>"$err"
refuses 4 'task is paused' 'a task that is paused' "$session" -- true
"$xeno" task resume "$session" >/dev/null 2>>"$err"
x true
ok $? 'it takes commands when it goes on'

# ---- while it stands still ----

"$xeno" exec "$session" -- sh -c 'while :; do :; done' </dev/null 2>>"$err" &
started+=("$!")
spins() { [ "$(look cpu_ns)" -gt $((before + 500000000)) ]; }
before=$(look cpu_ns)
await 60 spins
"$xeno" task pause "$session" >/dev/null 2>>"$err"
before=$(look cpu_ns)
read -rt 1 <> <(:)
[ $(($(look cpu_ns) - before)) -lt 200000000 ]
ok $? 'one that runs stands still when its task does'
"$xeno" task resume "$session" >/dev/null 2>>"$err"

# ---- the end ----

await 100 no_more_than $((of_agent + 4)) "$agent"
"$xeno" exec "$session" -- sleep 5678 </dev/null >"$out" 2>"$scratch/no" &
last=$!
started+=("$last")
await 60 has 'sleep 5678'
"$xeno" task stop "$session" >/dev/null 2>>"$err"
wait "$last"
rc=$?
[ $rc -eq 143 ] || [ $rc -eq 137 ] || { [ $rc -eq 4 ] && grep -q 'task has ended' "$scratch/no"; }
ok $? 'it ends with its task'
refuses 4 'task has ended' 'a task that has ended' "$session" -- true
await 100 gone "$keeper"
ok $? 'the keeper is gone'
await 100 no_more_than "$of_agent" "$agent"
ok $? 'and nothing is left with the agent'
"$xeno" stop "$session" >/dev/null 2>>"$err"
refuses 3 'session has ended' 'a session that has ended' "$session" -- true
[ -z "$(find /sys/fs/cgroup -name "*$name*" 2>/dev/null)" ]
ok $? 'no control group is left'
down >/dev/null 2>>"$err"
ok $? 'the platform goes away'
plan
