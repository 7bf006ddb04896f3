# SPDX-License-Identifier: GPL-3.0-or-later
# Who interrupts what brings a platform up leaves no process behind; who hangs
# up on an answer hears no complaint; who finds nothing hears why.
. "$XN_SRC/tests/e2e/lib.sh"

ours() { # the processes whose command line names our folder
    local p
    for p in /proc/[0-9]*; do
        [ "${p#/proc/}" != $$ ] &&
            tr '\0' ' ' 2>/dev/null <"$p/cmdline" | grep -q "$scratch/platform" &&
            echo "${p#/proc/}"
    done
}

none_left() {
    [ -z "$(ours)" ]
}

began() { # FILE: a program has got as far as its log
    [ -e "$XENODEV_STATE/log/$1" ]
}

# So far from each other that `up` is not done before we have looked.
{
    echo 'rtt_ms 4'
    printf '0 5000 5000 5000\n5000 0 5000 5000\n'
    printf '5000 5000 0 5000\n5000 5000 5000 0\n'
} >"$scratch/far.txt"

# interrupt SIGNAL FILE NAME: as soon as that log is there.
interrupt() {
    local pid rc
    # Who runs us may be deaf to these (nohup, a job in the background), and
    # deafness is inherited.
    env --default-signal=INT,TERM,HUP "$xenodev" up --servers 4 \
        --latency "$scratch/far.txt" >"$scratch/env" 2>"$scratch/up.err" &
    pid=$!
    await 300 began "$2" || bail "up did not begin"
    kill -s "$1" "$pid"
    wait "$pid" 2>/dev/null
    rc=$?
    [ "$rc" -eq $((128 + $(kill -l "$1"))) ]
    ok $? "$3: it dies of the signal"
    none_left
    ok $? "$3: no process is left"
    [ ! -e "$XENODEV_STATE" ] && [ ! -s "$scratch/env" ]
    ok $? "$3: no state is left"
    for pid in $(ours); do kill "$pid"; done
    rm -rf "$XENODEV_STATE"
}

interrupt INT corp-alpha.example.log 'while the first XenoCorp starts'
interrupt TERM node-01.log 'while nodes start'
interrupt HUP host-04.log 'while host agents start'

# Killed outright it cannot clean up; what it had started is known all the same.
kill_9() { # FILE: as soon as that log is there
    "$xenodev" up --servers 4 >"$scratch/env" 2>"$scratch/up.err" &
    pid=$!
    await 300 began "$1" || bail "up did not begin"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
    "$xenodev" down >/dev/null 2>&1
    ok $? "after kill -9 of xenodev, down works ($1)"
    await 300 none_left
    ok $? 'and leaves no process'
    rm -rf "$XENODEV_STATE"
}

for log in corp-beta.example node-01 host-04; do
    kill_9 $log.log
done

cd "$scratch" || bail "no scratch folder"
"$xenodev" up --servers 2 --state "it's here" >"$scratch/env" 2>"$scratch/up.err"
ok $? 'a relative state folder with a quote in its name'
cd / || bail "no root folder"
eval "$(cat "$scratch/env")"
[ "$XENODEV_STATE" = "$(realpath "$scratch")/it's here" ] &&
    [ -n "$("$xenofind" -o name 2>>"$scratch/find.err")" ]
ok $? 'its environment works from another folder'
mkfifo "$scratch/gone"
{
    read -r _ <"$scratch/gone" # until there is no reader
    "$xenofind" -o json 2>"$scratch/pipe.err"
    echo $? >"$scratch/rc"
} | {
    exec <&-
    : >"$scratch/gone"
}
[ "$(cat "$scratch/rc")" -eq 141 ] && [ ! -s "$scratch/pipe.err" ]
ok $? 'xenofind ends without a word when nobody reads its answer'
"$xenofind" -o csv >/dev/full 2>"$scratch/full.err"
[ $? -eq 1 ] && grep -q 'because: No space left' "$scratch/full.err"
ok $? 'xenofind says that there is no room for its answer'
"$xenofind" PricePerHour:..99 --currency CHF 2>"$scratch/find.err"
[ $? -eq 3 ] && grep -q 'of 2 known, 2 ask for other money' "$scratch/find.err"
ok $? 'who asks in a currency that nobody takes is told so'
"$xenofind" CPUsmp:1.. 2>"$scratch/find.err"
[ $? -eq 3 ] && grep -q "advertises 'CPUsmp', did you mean CPUsmps" "$scratch/find.err"
ok $? 'who misspells a token is told so'
"$xenodev" kill 1 1 && "$xenodev" start 1 1 && "$xenodev" status |
    grep -cE '^(node|host) server-01 *[0-9]' | grep -qx 2
ok $? 'a server named twice is started once'
"$xenodev" down
ok $? 'it goes away'
plan
