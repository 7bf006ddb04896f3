#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Tasks live with the platform of xenodev and end with it: killed with their
# server, ended by `down`, nothing left; and where a machine can make no sandbox,
# servers say so and sell what is reserved.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
domd=$XN_BUILD/keeper/xenodomd
tag=p$$ # names of sessions are names of cgroups

x() { # SERVER WORD...
    local state=$XENODEV_STATE/domd-0$1
    shift
    "$domd" --state "$state" "$@"
}

is() { # SERVER NAME KEY VALUE
    [ "$(x "$1" status "$2" 2>/dev/null | sed -n "s/^$3 //p")" = "$4" ]
}

keepers() { # of this platform; a keeper stays in the folder of sessions
    local pid
    for pid in /proc/[0-9]*; do
        case $(readlink "$pid/cwd" 2>/dev/null) in
        "$XENODEV_STATE"/domd-*) echo "${pid#/proc/}" ;;
        esac
    done
}

groups() { find /sys/fs/cgroup -maxdepth 6 -type d -name "xeno-$tag-*" 2>/dev/null; }

url_of() { # SERVER: its host agent
    local line
    line=$(grep -o ' id=[0-9a-f]* .*api=[0-9.:]*' \
        "$XENODEV_STATE/log/host-0$1.log" | tail -n 1)
    set -- "${line# id=}" "${line##*api=}"
    echo "https://$2#${1%% *}"
}

cat >"$scratch/want.xml" <<'X'
<EnvironmentalRequirements>
  <Resources><MemoryMB>64</MemoryMB></Resources>
</EnvironmentalRequirements>
X
sells() { # MANAGER
    "$xeno" quote "$(url_of 1)" "$scratch/want.xml" -o json >"$scratch/quote" \
        2>"$scratch/err" && grep -q "\"manager\": \"$1\"" "$scratch/quote" &&
        return 0
    diag "$scratch/err" "$scratch/quote"
    return 1
}

if "$domd" check >/dev/null 2>&1; then
    up --servers 2
    ! grep -q 'run no tasks' "$scratch/up.err" && await 300 sells sandbox
    ok $? 'where sandboxes can be made, servers run tasks'
    "$xenodev" status | grep -cE '^domd server-0[12] *[0-9]' | grep -qx 2
    ok $? 'status shows what runs them'
    for server in 1 1 2 2; do
        n=$((${n:-0} + 1))
        x $server start $tag-$n -- /bin/sh -c 'echo up; exec sleep 1000'
    done
    is 1 $tag-1 state running && is 1 $tag-2 state running &&
        is 2 $tag-3 state running && is 2 $tag-4 state running
    ok $? 'tasks run on both'
    kill_9 "$(pid_of domd 1)"
    [ "$(keepers | wc -l)" -ge 4 ]
    ok $? 'tasks outlive what started them'
    "$xenodev" start 1 && is 1 $tag-1 state running &&
        is 1 $tag-2 state running
    ok $? 'start starts what is missing, and finds them'
    "$xenodev" start 1 2>"$scratch/err"
    [ $? -eq 4 ] && grep -q 'runs already' "$scratch/err"
    ok $? 'once'
    "$xenodev" kill 1
    [ "$(keepers | wc -l)" -ge 2 ] && is 2 $tag-3 state running
    ok $? 'kill leaves the tasks of other servers alone'
    "$xenodev" start 1 2>"$scratch/err" && is 1 $tag-1 end 'keeper died' &&
        is 1 $tag-2 end 'keeper died'
    ok $? 'and kills those of its own'
    "$xenodev" down --keep
    [ -z "$(keepers)" ] && [ -z "$(groups)" ]
    rc=$?
    [ $rc -eq 0 ] || keepers | diag
    ok $rc 'down ends tasks, and leaves no control group'
    up
    is 2 $tag-3 end stopped && is 2 $tag-4 end stopped
    ok $? 'their end is on record when the platform comes back'
    x 1 start $tag-5 -- /bin/sleep 1000 && x 2 start $tag-6 -- /bin/sleep 1000
    "$xenodev" kill 1 # nobody is left to sweep
    down && [ -z "$(groups)" ]
    ok $? 'down sweeps after what was killed, and nothing is left'
else
    ok 0 'tasks on a platform # SKIP this machine makes no sandboxes'
fi

# ---- where there can be none
cat >"$scratch/without" <<'EOF'
echo 0 >/proc/sys/user/max_user_namespaces || exit 99
"$1" up --servers 1
EOF
if unshare -Ur sh -c \
    'echo 0 >/proc/sys/user/max_user_namespaces' 2>/dev/null; then
    unshare -Ur sh "$scratch/without" "$xenodev" >"$scratch/env" \
        2>"$scratch/up.err"
    rc=$?
    eval "$(cat "$scratch/env")"
    [ $rc -eq 0 ] && grep -q 'servers run no tasks' "$scratch/up.err" &&
        grep -q '^  try: *sysctl -w user.max_user_namespaces' "$scratch/up.err"
    rc=$?
    [ $rc -eq 0 ] || diag "$scratch/up.err"
    ok $rc 'without user namespaces it comes up and says why nothing runs'
    "$xenodev" status | grep -q ^domd
    [ $? -eq 1 ]
    ok $? 'nothing is there that could'
    sells reserve
    ok $? 'its servers sell reserved capacity'
    down
    ok $? 'it goes away'
else
    ok 0 'a platform without sandboxes # SKIP unshare cannot make one'
fi
plan
