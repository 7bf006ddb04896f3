#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Whom a task talked to stands in a note of the claim: who reads it, what binds
# it, and that nothing is left of it once its time is over.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
tasks_or_skip
porter=$XN_BUILD/tests/e2e/porter
xenoserver=$XN_BUILD/hostagent/xenoserver
err=$scratch/err
started=()

ends_all() {
    [ ${#started[@]} -eq 0 ] || kill -KILL "${started[@]}" 2>/dev/null
    goes_away
}
trap ends_all EXIT

operator() { # OPTION...: what the operator reads
    "$xenoserver" activity --state "$XENODEV_STATE/host-01" "$@" 2>>"$err"
}

client() { # WORD...: what the client reads
    "$xeno" session activity "$@" 2>>"$err"
}

noted() { # SENT GOT: bytes of all connections to port 8080, in all notes
    operator "$session" | awk -v s="$1" -v g="$2" '
        /own port 8080 / && /peer 127\.0\.0\.1:[1-9]/ && / carried$/ {
            for (i = 1; i < NF; i++) {
                if ($i == "sent") sent += $(i + 1)
                if ($i == "got") got += $(i + 1)
            }
        }
        END { exit !(sent == s && got == g) }'
}

forgotten() { [ -z "$(operator)" ]; }

again() { # the server, with what stands in its configuration now
    "$xenodev" kill 1 >/dev/null 2>>"$err" &&
        "$xenodev" start 1 >/dev/null 2>>"$err"
}

up --servers 1
"$xeno" run --detach --keep -o json CPUsmps:1000.. -f "porter=$porter" -- \
    ./porter serve 127.0.0.1 8080 >"$scratch/run" 2>>"$err" ||
    bail "no task runs: $(cat "$err")"
session=$(field session "$scratch/run")
server=$(field server "$XENO_KEY/sessions/$session")
says_ready() { "$xeno" console "$session" 2>>"$err" | grep -q ready; }
await 100 says_ready
[ -z "$(operator "$session")" ]
ok $? 'who talked to nobody has no note'

"$xeno" session forward "$session" 0:8080 >"$scratch/forward" 2>>"$err" &
started+=("$!")
await 100 grep -q leads "$scratch/forward"
port=$(sed -n 's/^127\.0\.0\.1:\([0-9]*\) leads.*/\1/p' "$scratch/forward")
"$porter" echo "$port" 50000 >/dev/null 2>>"$err"
await 300 noted 50000 50001
ok $? 'a connection that has ended: its peer, port, and bytes each way' ||
    operator "$session" | diag
"$porter" hold "$port" >/dev/null 2>&1 &
started+=("$!")
"$porter" echo "$port" 70000 >/dev/null 2>>"$err"
lasts() { # its first byte; none of the others' is said twice
    operator -o json "$session" | tr -d ' \n' |
        grep -q '"sent_bytes":0,"got_bytes":1,'
}
await 300 lasts && await 300 noted 120000 120003
ok $? 'one that lasts is noted while it does' || operator "$session" | diag

# ---- what binds it ----

note=$(operator "$session" | awk '$1 == "note" { print $2; exit }')
claim=$(operator "$session" | awk '$1 == "session" { print $4; exit }')
"$xeno" bill -o json >"$scratch/bill" 2>>"$err"
[ ${#note} -eq 64 ] && [ -n "$claim" ] &&
    grep -q "\"activity\": \"tasks in a sandbox; note $note\"" "$scratch/bill"
ok $? "its hash is in the claim, and so in the client's bill" ||
    diag "$scratch/bill"

# ---- who reads it ----

[ "$(client "$session")" = "$(operator "$session")" ]
ok $? 'the client reads the notes of his session'
client -o json "$session" | grep -q '"schema": "xeno.activity/1"'
ok $? 'as JSON, too'
corp=$(tr ' ,' '\n\n' <<<"$XENO_CORP" |
    grep "$(field corp "$XENO_KEY/sessions/$session")")
as_bob() { XENO_KEY=$scratch/bob XENO_CORP=$corp "$xeno" "$@"; }
as_bob register --label bob >/dev/null 2>>"$err"
as_bob session activity "$server" "$session" >"$scratch/bob.out" \
    2>"$scratch/bob.err"
[ $? -eq 3 ] && grep -q 'no such session' "$scratch/bob.err" &&
    ! grep -q 'peer' "$scratch/bob.out"
rc=$?
[ $rc -eq 0 ] || diag "$scratch/bob.out" "$scratch/bob.err"
ok $rc 'nobody else reads them'
operator "$(printf '%064d' 7)" >"$scratch/none"
[ $? -eq 0 ] && [ ! -s "$scratch/none" ]
ok $? 'of a session without one there is none'

# ---- how long it is kept ----

"$xeno" stop "$session" >/dev/null 2>>"$err"
again && [ -n "$(operator "$session")" ]
ok $? 'they outlive their session and the agent'
printf 'activity {\n    kept = "1s"\n}\n' >>"$XENODEV_STATE/host-01.conf"
again && await 20 forgotten
ok $? 'what is too old is not told'
sleep 3 # it is dropped within a quarter of that time
sed -i 's/kept = "1s"/kept = "90d"/' "$XENODEV_STATE/host-01.conf"
again && forgotten
ok $? 'and has gone from the store'
! grep -q 'ERROR\|error ' "$XENODEV_STATE"/log/host-01.log
ok $? 'the agent has seen no error'
down >/dev/null 2>>"$err"
ok $? 'the platform goes away'
plan
