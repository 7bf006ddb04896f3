# SPDX-License-Identifier: GPL-3.0-or-later
# For tests that run tasks on a platform: sourced behind lib.sh.

xeno=$XN_BUILD/tools/xeno
xenocorp=$XN_BUILD/corp/xenocorp
xenodomd=$XN_BUILD/keeper/xenodomd

tasks_or_skip() {
    local why
    why=$("$xenodomd" check 2>&1) && return
    echo "1..0 # SKIP $(printf '%s' "$why" | tr '\n' ' ')"
    exit 0
}

field() { # NAME FILE: the first of that name in xeno's JSON
    sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$2" |
        head -n 1
}

last_field() { # NAME FILE: the last of it
    sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$2" |
        tail -n 1
}

pid_of() { # host|domd|node N
    sed -n "/\"number\": $2,/,\$p" "$XENODEV_STATE/platform.json" |
        sed -n "/\"$1\": {/,\$p" | sed -n 's/^ *"pid": \([0-9]*\),$/\1/p' |
        head -n 1
}

kill_9() { # PID...: and they are gone
    local pid
    kill -9 "$@" 2>/dev/null
    for pid; do
        await 60 gone "$pid"
    done
}

gone() { # PID: is it, or a zombie of another's, with its last thread?
    local tasks=(/proc/"$1"/task/*) stat
    # Its files, and the locks on them, go after its memory and before this state.
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
    [[ ${stat##*) } == [ZX]* ]] && [ ${#tasks[@]} -le 1 ]
}

d() { # N WORD...: what xenodomd of server N says
    local state=$XENODEV_STATE/domd-0$1
    shift
    "$xenodomd" --state "$state" "$@"
}

of_task() { # N NAME KEY
    d "$1" status "$2" 2>/dev/null | sed -n "s/^$3 //p"
}

task_name() { # SESSION NUMBER
    echo "${1:0:32}-$2"
}

keepers() { # of this platform; a keeper stays in the folder of sessions
    local cwd
    for cwd in $(find /proc/[0-9]* -maxdepth 1 -name cwd \
        -lname "$XENODEV_STATE/domd-*/sessions" 2>/dev/null); do
        case $(readlink "${cwd%/cwd}/exe" 2>/dev/null) in
        */xeno-keeper) echo "${cwd//[!0-9]/}" ;;
        esac
    done
}

session_is() { # STATE SESSION: leaves it in look.json
    "$xeno" session show "$2" -o json >"$scratch/look.json" \
        2>>"$scratch/err" && [ "$(field state "$scratch/look.json")" = "$1" ]
}

# ---- connections to a task, and commands beside it

err=$scratch/err
out=$scratch/out
started=() # in the background, to be ended with the test

ends_all() { # for EXIT
    [ ${#started[@]} -eq 0 ] || kill -KILL "${started[@]}" 2>/dev/null
    goes_away
}

descriptors() { # PID
    find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}

no_more_than() { # COUNT PID
    [ "$(descriptors "$2")" -le "$1" ]
}

# Where memory is to be counted, before anything is started: a sanitizer keeps
# what was freed, as a rule.
forgets_freed() {
    export ASAN_OPTIONS="${ASAN_OPTIONS:-}:quarantine_size_mb=1"
    ASAN_OPTIONS+=:thread_local_quarantine_size_kb=64
}

rss() { # PID...: their memory in KiB
    local of sum=0
    for of; do
        sum=$((sum + $(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' \
            "/proc/$of/status")))
    done
    echo "$sum"
}

new_task() { # xeno run's words: a detached task; its session is kept
    "$xeno" run --detach --keep -o json CPUsmps:1000.. "$@" \
        >"$scratch/run" 2>>"$err" || bail "no task runs: $(cat "$err")"
    session=$(field session "$scratch/run")
}

look_at_it() { # at its agent and its keeper, and what these have open
    agent=$(pid_of host 1)
    keeper=$(of_task 1 "$(task_name "$session" 1)" keeper)
    of_agent=$(descriptors "$agent")
    of_keeper=$(descriptors "$keeper")
}

is_refused() { # RC BECAUSE WORDS...: of xeno; what it said is in $scratch/no
    local want=$1 because=$2
    shift 2
    timeout 120 "$xeno" "$@" </dev/null >"$out" 2>"$scratch/no"
    [ $? -eq "$want" ] && grep -q "^  because: .*$because" "$scratch/no" &&
        grep -q '^  try: .' "$scratch/no"
}

# Connections to what listens at 8080 inside, where all that is sent comes back.
twenty_at_once() {
    local many=() n pid rc=0
    for n in $(seq 20); do
        "$porter" echo "$(port_to 8080)" $((n * 10007)) >/dev/null 2>>"$err" &
        many+=("$!")
    done
    for pid in "${many[@]}"; do wait "$pid" || rc=1; done
    return $rc
}

stands() { # a cat inside sleeps in a write
    x sh -c 'for p in /proc/[0-9]*; do
        grep -q "^cat" $p/cmdline && grep -q "^State:.S" $p/status && echo yes
    done' 2>>"$err" | grep -q yes
}
