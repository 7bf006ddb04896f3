#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Sessions while everything is killed with -9: host agents, what runs their
# tasks, keepers, tasks, index nodes, the XenoCorp, and the client that buys.  At
# each kill at least 20 run.
# At the end there are as many orders as sessions as keepers, each ran once and
# is paid once, the books add up, and nothing is left.  SOAK=short (what `make
# check` runs) or full; SEED repeats the order of what is killed.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
tasks_or_skip
case ${SOAK:-short} in
short) rounds=${ROUNDS:-8} total=500 ends=1 ;; # of them in each round
*) rounds=${ROUNDS:-2000} total=${SESSIONS:-2000} ends=12 ;;
esac
live=20 more=2 # as many more are started, since some end by themselves
SEED=${SEED:-$RANDOM}
RANDOM=$SEED
tag=soak$$
started=0 least=$total kills=0
mkdir "$scratch/began"
echo "# seed $SEED"

note() { echo "$*" >>"$scratch/err"; }

told() { # what a long run shows of itself as it goes on
    note "$*"
    [ "$rounds" -lt 100 ] || echo "# $SECONDS s: $*"
}

# ---- sessions

# The console says who it is, once.  One waits for a word, one has orphans, one
# ends by itself, the others stay.
job='echo begun $2; case $3 in'
job+=' 0) read word ;;'
job+=' 1) (sh -c "sleep 1000 & sleep 1000" & sleep 1000 &); sleep 1000 ;;'
job+=' 2) sleep 5 ;;'
job+=' *) sleep 1000 ;; esac'

bought() { # I: its name was told
    [ "$(wc -c <"$scratch/began/$1" 2>/dev/null)" = 65 ]
}

buy() { # I: false: not yet, the same again goes on
    "$xeno" run --detach --timeout 10s CPUsmps:50.. MemoryMB:64.. \
        "ServerName:server-0$((1 + $1 % 2))" -- \
        /bin/sh -c "$job" job $tag "$1" $(($1 % 8)) \
        >"$scratch/began/$1" 2>>"$scratch/err"
    bought "$1"
}

# Whoever is killed before has nothing to show of having run once.
has_begun() { # I
    local bytes
    bytes=$(of_task $((1 + $1 % 2)) "$(task_name "$(cat "$scratch/began/$1")" 1)" \
        console_bytes)
    [ "${bytes:-0}" -gt 0 ]
}

buy_one() { # I: until it has been bought, and its task says so
    await 300 buy "$1" && await 300 has_begun "$1"
}

begin() { # N: so many more, three at a time
    local i pids=()
    for ((i = 0; i < $1 && started < total; i++)); do
        started=$((started + 1))
        buy_one "$started" &
        pids+=($!)
        if [ ${#pids[@]} -ge 3 ]; then
            wait "${pids[@]}"
            pids=()
        fi
    done
    [ ${#pids[@]} -eq 0 ] || wait "${pids[@]}"
}

n_live() { keepers | wc -l; }

running() { # names of sessions that run, in no order that could be foreseen
    "$xeno" list -o json 2>>"$scratch/err" |
        grep -B 1 '"state": "running"' |
        sed -n 's/^ *"session": "\([0-9a-f]*\)",/\1/p' |
        shuf --random-source=<(yes "$RANDOM")
}

no_session() {
    "$xeno" list -o json >"$scratch/list" 2>>"$scratch/err" &&
        ! grep -q '"session":' "$scratch/list"
}

end_some() { # N
    local sessions
    read -ra sessions <<<"$(running | head -n "$1" | tr '\n' ' ')"
    [ ${#sessions[@]} -eq 0 ] ||
        "$xeno" stop "${sessions[@]}" >/dev/null 2>>"$scratch/err"
}

tasks() { # processes of theirs, but for bubblewrap's
    grep -lsaE "^/bin/sh.*$tag" /proc/[0-9]*/cmdline | cut -d/ -f3
}

# ---- kills

corps() { # pids
    sed -n '/"corps": \[/,/\]/s/^ *"pid": \([0-9]*\),$/\1/p' \
        "$XENODEV_STATE/platform.json"
}

restart() { # SERVER
    "$xenodev" start "$1" 2>>"$scratch/err" && return
    note "server $1 did not start"
    return 1
}

strike() { # a kill; what it was is in struck
    local server=$((1 + RANDOM % 2)) pid client
    kills=$((kills + 1))
    struck=$1
    case $1 in
    host | domd | node)
        kill_9 "$(pid_of "$1" $server)"
        begin 1 & # meets a server of which half is dead
        client=$!
        restart $server
        wait "$client"
        [ $started -ge $total ] || started=$((started + 1))
        ;;
    corp) # and an agent, which has claims under way
        # shellcheck disable=SC2046 # several words
        kill_9 $(corps) "$(pid_of host $server)"
        begin 1 &
        client=$!
        restart $server
        wait "$client"
        [ $started -ge $total ] || started=$((started + 1))
        ;;
    both)
        kill_9 "$(pid_of host $server)" "$(pid_of domd $server)"
        restart $server
        ;;
    keepers)
        # shellcheck disable=SC2046 # several words
        kill -9 $(keepers | shuf -n 2 --random-source=<(yes "$RANDOM"))
        ;;
    tasks)
        # shellcheck disable=SC2046
        kill -9 $(tasks | shuf -n 2 --random-source=<(yes "$RANDOM"))
        ;;
    client)
        [ $started -lt $total ] || return
        started=$((started + 1))
        buy $started &
        pid=$!
        read -rt "0.$((RANDOM % 9))" <> <(:)
        kill -9 $(children "$pid") >/dev/null 2>&1
        wait "$pid" 2>/dev/null
        bought $started || await 300 buy $started
        await 300 has_begun $started
        ;;
    esac
}

children() { # of a shell
    cat "/proc/$1/task/$1/children" 2>/dev/null
}

# ---- the soak

up --servers 2
mounts() { # that have to do with it; other tests have some of their own
    grep -cE "$scratch|bwrap|xeno|newroot|oldroot" /proc/self/mountinfo
}
mounts=$(mounts)
for n in 1 2; do
    printf 'sell {\n    charge = 1s\n    sessions = 1000\n}\n' >>"$XENODEV_STATE/host-0$n.conf"
    kill_9 "$(pid_of host $n)"
done
"$xenodev" start 1 2 2>>"$scratch/err"
ok $? "two servers that claim each second"
victims=(host keepers domd tasks client both corp node)
while [ "$kills" -lt "$rounds" ] && [ "$started" -lt "$total" ]; do
    begin $((live + more - $(n_live)))
    now=$(n_live)
    while [ "$now" -lt "$live" ] && [ "$started" -lt "$total" ]; do
        begin $((live - now))
        now=$(n_live)
    done
    [ "$now" -ge "$live" ] || break
    [ "$now" -ge "$least" ] || least=$now
    strike "${victims[kills % ${#victims[@]}]}"
    told "$struck killed, $now ran, $started of $total sessions begun"
    end_some "$ends"
done
total=$started
[ "$kills" -ge ${#victims[@]} ] && [ "$least" -ge "$live" ]
ok $? "$kills kills, $least sessions and more at each"
rc=0
for ((i = 1; i <= total; i++)); do bought $i || { rc=1 && note "$i: no name"; }; done
ok $rc "$total sessions were bought"
told "all of them are ended"
while ! no_session && [ $SECONDS -lt $((due = ${due:-SECONDS + 600})) ]; do
    end_some 64
done
no_session
ok $? "all of them end"

# ---- what came of it

n_of() { # STATE: of the orders
    grep -c "\"state\": \"$1\"" "$scratch/orders"
}
cat "$scratch"/began/* | sort >"$scratch/names"
[ "$(uniq "$scratch/names" | wc -l)" -eq "$total" ]
ok $? "each is one of its own"
"$xeno" order list -o json >"$scratch/orders" 2>>"$scratch/err"
[ "$(n_of closed)" -eq "$total" ] &&
    [ $(($(n_of closed) + $(n_of void))) -eq "$(grep -c '"serial"' "$scratch/orders")" ]
ok $? "each has its order, none is open"
for folder in "$XENODEV_STATE"/domd-0[12]/sessions/*; do
    basename "$folder"
done | sort >"$scratch/kept"
cut -c 1-32 "$scratch/names" | sed 's/$/-1/' | sort |
    diff - "$scratch/kept" >"$scratch/diff"
rc=$?
[ $rc -eq 0 ] || diag "$scratch/diff"
ok $rc "each had one keeper, and nothing else had"
rc=0
for ((i = 1; i <= total; i++)); do
    name=$(task_name "$(cat "$scratch/began/$i")" 1)
    [ "$(d $((1 + i % 2)) console "$name" | tr -d '\r')" = "begun $i" ] && continue
    rc=1
    note "$i: $name wrote '$(d $((1 + i % 2)) console "$name")'"
done
ok $rc "each ran once"
# Those that a server refused, and that were taken back, have one too.
"$xeno" bill -o json >"$scratch/bills" 2>>"$scratch/err"
rc=$?
verified=$(grep -c '"verified": true' "$scratch/bills")
[ $rc -eq 0 ] && [ "$verified" -eq "$(grep -c '"serial"' "$scratch/orders")" ]
ok $? "each bill verifies: $verified, $(n_of void) of them of orders taken back"
[ $rc -eq 0 ] || echo "# xeno bill: exit $rc"

# ---- what is left

left() { # processes that have to do with it
    keepers
    tasks
}
no_more() { [ -z "$(left)" ]; }
await 60 no_more
ok $? "no process"
find "$XENODEV_STATE"/domd-0[12]/sessions -mindepth 2 ! -name console \
    ! -name exit ! -name lock ! -name spec ! -name meter >"$scratch/files"
[ ! -s "$scratch/files" ]
rc=$?
[ $rc -eq 0 ] || diag "$scratch/files"
ok $rc "no socket, no note of a control group, no half a file"
[ -z "$(find /sys/fs/cgroup -maxdepth 6 -type d -name 'xeno-*' -printf '%f\n' \
    2>/dev/null | cut -d- -f 2- | grep -xFf "$scratch/kept")" ]
ok $? "no control group"
[ "$(mounts)" -eq "$mounts" ]
ok $? "no mount"

descriptors() { # of the servers' programs
    local n
    for n in 1 2; do
        find "/proc/$(pid_of host $n)/fd" "/proc/$(pid_of domd $n)/fd" \
            -mindepth 1 -printf '%l\n' | sed 's/[0-9]\+/N/g'
    done | sort
}
has_namespace() { descriptors | grep -qE '^(mnt|net|pid|user|ipc|uts):'; }
! has_namespace
ok $? "no namespace is held"
descriptors >"$scratch/fds"
for n in 1 2; do
    kill_9 "$(pid_of host $n)" "$(pid_of domd $n)"
done
"$xenodev" start 1 2 2>>"$scratch/err"
own() { # but for links to others, and what a store opens at its first change
    grep -vE '^socket|/store' "$@"
}
few() { # as many as those have that were just started
    [ "$(own "$scratch/fds" | wc -l)" -le "$(descriptors | own | wc -l)" ]
}
await 60 few
rc=$?
[ $rc -eq 0 ] || descriptors | diff - "$scratch/fds" | diag
ok $rc "no descriptor"
# Some forty; with one left over of each session it would be twice that.
[ "$(grep -c '^socket' "$scratch/fds")" -le 60 ]
ok $? "few links: $(grep -c '^socket' "$scratch/fds")"

"$xenodev" down --keep 2>>"$scratch/err"
for corp in "$XENODEV_STATE"/corp-*; do
    "$xenocorp" audit verify "$corp" >>"$scratch/audit" 2>&1
    ok $? "the books of ${corp##*/corp-} add up"
done
[ -z "$(left)" ] || ok 1 "nothing runs after it: $(left)"
[ -z "${VERBOSE-}" ] || diag "$scratch/err"
plan
