# SPDX-License-Identifier: GPL-3.0-or-later
# Tasks of an ordinary user, without cgroups: they fight what stops them, and
# look for memory that nobody counts and for time that nobody holds them to.
. "$XN_SRC/tests/tap.sh"
domd=$XN_BUILD/keeper/xenodomd
if ! why=$("$domd" check 2>&1); then
    echo "1..0 # SKIP $(printf '%s' "$why" | tr '\n' ' ')"
    exit 0
fi
# As root a task is another user than its keeper, and half of this cannot be
# tried: so another one than root has the daemon.
as=()
if [ "$(id -u)" -eq 0 ]; then
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    "${as[@]}" true 2>/dev/null || {
        echo "1..0 # SKIP no other user to be"
        exit 0
    }
    chmod 755 "$scratch"
fi
bin=$scratch/bin
mkdir -m 755 "$bin"
cp "$domd" "$XN_BUILD/keeper/xeno-keeper" "$XN_BUILD/tests/e2e/burner" "$bin"
mkdir "$scratch/home"
[ ${#as[@]} -eq 0 ] || chown 65534:65534 "$scratch/home"
state=$scratch/home/state
daemon=

# What root may, another may not everywhere.
if ! why=$(cd / && "${as[@]}" "$bin/xenodomd" check 2>&1); then
    echo "1..0 # SKIP $(printf '%s' "$why" | tr '\n' ' ')"
    exit 0
fi

x() { (cd / && exec "${as[@]}" "$bin/xenodomd" --state "$state" "$@"); }

goes_away() {
    local name
    for name in /proc/[0-9]*; do # keepers: they stay in that folder
        [ "$(readlink "$name/cwd" 2>/dev/null)" = "$state/sessions" ] &&
            kill -9 "${name#/proc/}" 2>/dev/null
    done
    [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null
    rm -rf "$scratch"
}
trap goes_away EXIT
trap 'exit 99' INT TERM

(cd / && exec "${as[@]}" "$bin/xenodomd" --state "$state" \
    --keeper "$bin/xeno-keeper" --memory 8192 --meter perf) 2>"$scratch/log" &
daemon=$!
await 180 x list >/dev/null 2>&1 ||
    { diag "$scratch/log"; bail "no daemon"; }

field() { x status "$1" 2>/dev/null | sed -n "s/^$2 //p"; }

is() { [ "$(field "$1" "$2")" = "$3" ]; }

run() { # NAME [--set KEY=VALUE]... -- ARG...
    local name=$1
    shift
    x start "$name" --set "put=burner=$bin/burner" "$@"
}

says() { [ "$(field "$1" console_bytes)" -gt 0 ] 2>/dev/null; }

# Since N ms of its run and NS of its CPU time, is it held to 50 ms/s?  What it
# takes too much for a while it owes.
held() { # NAME MS NS
    local run cpu
    is "$1" end 'evaded its cap' && return 0
    run=$(field "$1" run_ms) cpu=$(field "$1" cpu_ns)
    [ -n "$run" ] && [ $((run - $2)) -ge 1500 ] &&
        [ $(((cpu - $3) / 1000000)) -le $(((run - $2) / 10)) ]
}

exact() { case $(field "$1" meter) in perf) true ;; *) false ;; esac; }

# ---- signals
for how in freeze slay; do
    run "t-$how" --set cpu_ms_per_s=50 -- /bin/sh -c "exec ./burner $how"
    await 180 says "t-$how"
    if exact "t-$how"; then
        await 300 held "t-$how" 0 0
        rc=$?
        [ $rc -eq 0 ] || x status "t-$how" | diag
        ok $rc "who sends all others a signal to $how them is held to its cap"
    else
        ok 0 "held to its cap # SKIP $(field "t-$how" meter)"
    fi
    x stop "t-$how" >/dev/null 2>&1
    await 180 is "t-$how" state ended
    ok $? "and can be ended"
done

# ---- while it is being stopped
run t-s --set cpu_ms_per_s=50 -- /bin/sh -c 'exec ./burner stubborn'
await 180 says t-s
at=$(field t-s run_ms) cpu=$(field t-s cpu_ns)
x stop t-s --grace 60000
if exact t-s; then
    await 180 held t-s "$at" "$cpu"
    ok $? "a cap holds while a task is being stopped"
else
    ok 0 "a cap while it is being stopped # SKIP $(field t-s meter)"
fi
x stop t-s
await 180 is t-s state ended
run t-q -- /bin/sh -c 'exec ./burner stubborn'
await 180 says t-q
at=$(field t-q run_ms)
x stop t-q --grace 60000
x stop t-q --grace 1
await 180 is t-q state ended
[ $(($(field t-q run_ms) - at)) -lt 55000 ]
ok $? "who asks to have it stopped sooner is heard"

# ---- memory
run t-m --set memory_mib=32 -- /bin/sh -c 'exec ./burner share 64'
await 180 is t-m state ended && is t-m end memory
ok $? "shared memory counts"
run t-n --set memory_mib=32 -- /bin/sh -c 'exec ./burner share 16'
await 180 says t-n
looked() { # its memory was, several times
    ! is t-n state running || [ "$(field t-n run_ms)" -ge 1000 ]
}
await 180 looked
is t-n state running
ok $? "once"
x stop t-n
run t-h -- /bin/sh -c 'exec ./burner hoard'
await 180 is t-h state ended
x console t-h >"$scratch/hoard"
[ "$(grep -c '^held' "$scratch/hoard")" -eq 3 ]
rc=$?
[ $rc -eq 0 ] || diag "$scratch/hoard"
ok $rc "memory that no process has mapped is not to be had"
plan
