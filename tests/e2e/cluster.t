#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A cluster: three machines, each with its xenodomd and an agent as a member,
# behind one manager with one advertisement.  Sessions go where they fit; agents
# are killed and come back, and find what runs; one machine is killed whole: its
# session ends, with the reason and the money, the others go on, and the
# advertisement does without it within 10 s.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
tasks_or_skip
. "${XN_SRC:-.}/tests/e2e/cluster.sh"

manager() { # GRACE
    local members="" i
    for i in 1 2 3; do
        members="$members https://${api[member$i]}#${id[member$i]}"
    done
    agent cluster --node "$XENO_NODES" --set price.currency=USD \
        --set price.per_hour=0.1 --set sell.charge=1s \
        --set "cluster.members=$members" --set "cluster.grace=$1"
}

offers() { # MACHINES,CPUSMPS
    [ "$("$xenofind" ServerName:cluster -c Machines,ClusterCPUsmps -o csv \
        2>>"$scratch/err" | tr -d '\r' | tail -n 1)" = "$1" ]
}

begin() { # N: into session[N], which takes most of a machine
    session[$1]=$("$xeno" run --detach --new --max 5USD ServerName:cluster \
        CPUsmps:1500.. MemoryMB:64.. -- \
        sh -c "echo here is $1; read word; echo \$word" 2>>"$scratch/err")
    [ -n "${session[$1]}" ] || diag "$scratch/err"
    [ -n "${session[$1]}" ]
}

machine_of() { # SESSION: the number of the one that has its task
    local i
    for i in 1 2 3; do
        "$xenodomd" --state "$scratch/domd$i" status "$(task_name "$1" 1)" \
            >/dev/null 2>&1 && echo "$i"
    done
}

keeper_of() { # N SESSION
    "$xenodomd" --state "$scratch/domd$1" status "$(task_name "$2" 1)" |
        sed -n 's/^keeper //p'
}

status_has() {
    "$xenoserver" status --state "$scratch/cluster" >"$scratch/status" \
        2>>"$scratch/err" && grep -Eq "$1" "$scratch/status"
}

charged_more() { # SESSION THAN
    session_is running "$1" &&
        awk -v a="$(field charged "$scratch/look.json")" -v b="$2" \
            'BEGIN { exit !(a > b) }'
}

up --servers 1
takes_corps

# ---- how an operator makes one, with join alone
joins() { # CODE TEXT WORD...: at a machine that nobody has joined yet
    local rc code=$1 text=$2
    "$xenoserver" join --state "$scratch/joins" --config "$scratch/joins.conf" \
        --label joins --listen-api 127.0.0.1:7999 "${corps[1]}" "${@:3}" \
        >"$scratch/out" 2>&1
    rc=$?
    [ "$rc" -eq "$code" ] && grep -q -- "$text" "$scratch/out"
    rc=$?
    [ $rc -eq 0 ] || diag "$scratch/out"
    return $rc
}
some=$(printf '%064d' 7)
joins 2 'cluster.manager is no id' cluster.manager=otter &&
    joins 2 'sell.xenodomd is not set' "cluster.manager=$some" &&
    [ ! -e "$scratch/joins.conf" ]
ok $? "what makes no member is refused, and nothing is written"
joins 0 "cluster.members='https://127.0.0.1:7999#[0-9a-f]\{64\}'" \
    "cluster.manager=$some" "sell.xenodomd=$scratch/domd1/socket" &&
    ! grep -q 'not yet\|a node at' "$scratch/out" &&
    grep -q "^ *manager = \"$some\"" "$scratch/joins.conf"
ok $? "a machine joins as a member, and is told what its manager must be"

# ---- it comes to be: the manager's id first, which members are told
agent cluster --node "$XENO_NODES" --set price.currency=USD \
    --set price.per_hour=0.1
ok $? "an agent, with its id"
kill_9 "${pid[cluster]}"
for i in 1 2 3; do
    domd "$i" && member "$i"
    ok $? "a member with its xenodomd: $i"
done
manager 10m
ok $? "one manager speaks for them"
await 60 offers 3,6000
ok $? "one advertisement for three machines"
"$xenofind" ServerName:member-1 -o csv >/dev/null 2>&1
[ $? -eq 3 ]
ok $? "and none for a member"

# ---- placement by fit
declare -A session at
for i in 1 2 3; do
    begin "$i"
    ok $? "session $i begins"
    at[$i]=$(machine_of "${session[$i]}")
done
[ "$(printf '%s\n' "${at[@]}" | sort | tr -d '\n')" = 123 ]
ok $? "each where it fits: on machines ${at[1]} ${at[2]} ${at[3]}"
"$xeno" run --max 5USD ServerName:cluster CPUsmps:1500.. -- true \
    >"$scratch/out" 2>&1
rc=$?
[ $rc -eq 4 ] && grep -q "CPUsmps: 1500 asked, 500 free" "$scratch/out"
rc=$?
[ $rc -eq 0 ] || diag "$scratch/out"
ok $rc "a fourth fits nowhere, and is told what is free on one machine"
await 60 status_has "^machine .* there: 1 sessions, free 500 of 2000 CPUsmps"
ok $? "xenoserver status tells of the machines"
"$xenoserver" status --state "$scratch/member1" >"$scratch/out" 2>&1 &&
    grep -q '^state *member' "$scratch/out" &&
    grep -Eq '^asked .*\([0-9] s ago\)' "$scratch/out" &&
    grep -q '^xenodomd *there' "$scratch/out"
rc=$?
[ $rc -eq 0 ] || diag "$scratch/out"
ok $rc "and a member of itself"
"$xenoserver" metrics --state "$scratch/member1" >"$scratch/out" 2>&1 &&
    grep -q '^xeno_member_xenodomd_up 1$' "$scratch/out"
ok $? "in numbers, too"
"$xenoserver" doctor --state "$scratch/member1" >"$scratch/out" 2>&1
grep -q '^ok *member ' "$scratch/out" &&
    ! grep -Eq '^(warn|fail) +(xenohostd|node)' "$scratch/out"
rc=$?
[ $rc -eq 0 ] || diag "$scratch/out"
ok $rc "and its doctor knows it as one"
for i in 1 2 3; do
    "$xeno" console "${session[$i]}" 2>>"$scratch/err" | tr -d '\r' |
        grep -qx "here is $i"
    ok $? "the console of session $i"
done

# ---- who is not the manager
agent impostor --node "$XENO_NODES" --set price.currency=USD \
    --set price.per_hour=0.1 --set "cluster.members=\
https://${api[member1]}#${id[member1]} https://${api[member2]}#${id[cluster]}"
log_says() { grep -q "$1" "$scratch/$2.log"; }
await 60 log_says "${api[member1]} is not there: not permitted" impostor
ok $? "a member refuses a server that is not its manager"
await 60 log_says "${api[member2]} is not there: identity not proved" impostor
ok $? "and another key in its place is not taken for it"
kill_9 "${pid[impostor]}"

# ---- agents die and come back; nothing ends
kill_9 "${pid[member${at[1]}]}"
await 60 status_has "^machine .* silent: 1 sessions"
ok $? "a member's agent is killed: its machine is silent"
await 60 offers 2,4000
ok $? "and not offered"
session_is running "${session[1]}"
ok $? "its session waits for it"
"$xenoserver" doctor --state "$scratch/cluster" >"$scratch/doctor" 2>&1
grep -q "is silent, 1 sessions" "$scratch/doctor"
rc=$?
[ $rc -eq 0 ] || diag "$scratch/doctor"
ok $rc "and xenoserver doctor names it"
member "${at[1]}" && await 60 offers 3,6000
ok $? "it comes back, and is offered"
session_is running "${session[1]}"
before=$(field charged "$scratch/look.json")
await 60 charged_more "${session[1]}" "${before:-0}"
ok $? "its session runs on, and is charged"
kill_9 "${pid[cluster]}"
manager 10m && await 60 charged_more "${session[2]}" 0
ok $? "the manager is killed, comes back, and finds what runs"
kill_9 "${pid[domd${at[3]}]}"
await 60 offers 2,4000
domd "${at[3]}" && await 60 offers 3,6000
ok $? "so does a member whose xenodomd was killed"
echo well | "$xeno" console --input "${session[3]}" >/dev/null 2>>"$scratch/err"
await 60 session_is ended "${session[3]}"
[ "$(field reason "$scratch/look.json")" = "its task has ended" ]
ok $? "a task whose machine lost all but its keeper ends by itself"
begin 3
ok $? "another takes its place"
at[3]=$(machine_of "${session[3]}")

# ---- one machine dies whole
kill_9 "${pid[cluster]}"
manager 3s && await 60 charged_more "${session[2]}" 0
n=${at[2]}
keeper=$(keeper_of "$n" "${session[2]}")
kill_9 "${pid[member$n]}" "${pid[domd$n]}" "$keeper"
since=$SECONDS
await 60 offers 2,4000
rc=$?
# Seconds are the machine's matter: it is said, and the bound is the issue's.
[ $rc -eq 0 ] && echo "# the advertisement followed in $((SECONDS - since)) s"
ok $rc "machine $n is killed: the advertisement follows"
await 60 session_is ended "${session[2]}"
ok $? "its session ends"
[ "$(field reason "$scratch/look.json")" = \
    "the machine that it ran on is lost" ]
ok $? "with the reason"
order=$(field order "$scratch/look.json")
"$xeno" bill "$order" >"$scratch/bill" 2>>"$scratch/err"
# what was fenced for it, less what was charged, is back
awk '$1 == "charged" { c = $2 } $1 == "released" { r = $2 }
     $1 == "verified" { v = 1 }
     END { exit !(v && r > 0 && c > 0 && c < 0.01) }' "$scratch/bill"
rc=$?
[ $rc -eq 0 ] || diag "$scratch/bill"
ok $rc "what it did not use is released: $(grep '^released' "$scratch/bill")"
for i in 1 3; do
    session_is running "${session[$i]}"
    before=$(field charged "$scratch/look.json")
    await 60 charged_more "${session[$i]}" "${before:-0}"
    ok $? "session $i runs on, and is charged"
done

# ---- a machine that stands still is lost; what it runs is ended once it is back
n=${at[3]}
kill -STOP "${pid[member$n]}"
await 60 session_is ended "${session[3]}"
ok $? "a member that says nothing is lost like one that is gone"
kill -CONT "${pid[member$n]}"
stopped() {
    [ "$("$xenodomd" --state "$scratch/domd$n" status \
        "$(task_name "${session[3]}" 1)" | sed -n 's/^state //p')" = ended ]
}
await 60 stopped
ok $? "back again, it is told to end what nobody pays for"
session_is running "${session[1]}"
ok $? "and the last goes on"
"$xenodev" down --keep 2>>"$scratch/err"
"$xenocorp" audit verify "$XENODEV_STATE/corp-beta.example" \
    >"$scratch/audit" 2>&1
rc=$?
[ $rc -eq 0 ] || diag "$scratch/audit"
ok $rc "XenoCorp's books add up"
[ -z "${VERBOSE-}" ] || diag "$scratch/err"
plan
