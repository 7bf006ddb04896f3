# SPDX-License-Identifier: GPL-3.0-or-later
# For tests that make a cluster beside a platform: agents and xenodomds of their
# own.  Sourced behind lib.sh and tasks.sh.

xenohostd=$XN_BUILD/hostagent/xenohostd
xenoserver=$XN_BUILD/hostagent/xenoserver
declare -A pid api id
goes_away_too() {
    local cwd keeper=()
    kill -9 "${pid[@]}" 2>/dev/null
    for cwd in $(find /proc/[0-9]* -maxdepth 1 -name cwd \
        -lname "$scratch/domd*/sessions" 2>/dev/null); do
        keeper+=("${cwd//[!0-9]/}")
    done
    [ ${#keeper[@]} -eq 0 ] || kill -9 "${keeper[@]}" 2>/dev/null
    for cwd in "$scratch"/domd*; do
        "$xenodomd" --state "$cwd" sweep >/dev/null 2>&1
    done
    goes_away
}
trap goes_away_too EXIT

# spawn NAME COMMAND...: until it is ready.
spawn() {
    local name=$1
    shift
    rm -f "$scratch/$name.ready"
    mkfifo "$scratch/$name.fifo"
    "$@" --ready-fd 12 12>"$scratch/$name.fifo" >>"$scratch/$name.log" 2>&1 &
    pid[$name]=$!
    disown # its end by kill is no news
    head -n 1 "$scratch/$name.fifo" >"$scratch/$name.ready"
    rm "$scratch/$name.fifo"
    id[$name]=$(sed -n 's/.* id=\([0-9a-f]*\).*/\1/p' "$scratch/$name.ready")
    api[$name]=$(sed -n 's/.* api=//p' "$scratch/$name.ready")
    [ -s "$scratch/$name.ready" ] || diag "$scratch/$name.log"
    [ -s "$scratch/$name.ready" ]
}

agent() { # NAME OPTION...
    local name=$1
    shift
    spawn "$name" "$xenohostd" --state "$scratch/$name" --label "$name" \
        --listen-api "${api[$name]:-127.0.0.1:0}" "${corps[@]}" \
        --set limits.connects=0 "$@"
}

member() { # N
    agent "member$1" --set "cluster.manager=${id[cluster]}" \
        --set offer.cpu_smps=2000 --set offer.memory_mb=1024 \
        --set "sell.xenodomd=$scratch/domd$1/socket"
}

domd() { # N
    spawn "domd$1" "$xenodomd" --state "$scratch/domd$1" --memory 4096 \
        --keeper "$XN_BUILD/keeper/xeno-keeper"
}

takes_corps() { # the platform's, as options of an agent
    local urls i
    read -r -a urls <<<"$XENO_CORP"
    corps=()
    for ((i = ${#urls[@]} - 1; i >= 0; i--)); do
        corps+=(--corp "${urls[$i]}")
    done
}
