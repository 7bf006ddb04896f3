#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# More real xenonodeds than one may be linked to: who asks the same again and
# again asks its owner directly, over a link opened for that (overlay.cache).
. "${XN_SRC:?}/tests/tap.sh"
nodes=16
play=$XN_BUILD/tests/soak/overlay_play
xeno=$XN_BUILD/tools/xeno
pids=()
ends() {
    kill -9 "${pids[@]}" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$scratch"
}
trap ends EXIT

start() { # NAME COMMAND...: its ready line in $line, its pid in $started
    mkfifo "$scratch/$1.ready"
    "${@:2}" --ready-fd 9 9>"$scratch/$1.ready" </dev/null \
        >>"$scratch/$1.log" 2>&1 &
    started=$!
    pids+=("$started")
    line=
    read -r -t 300 line <"$scratch/$1.ready" || line=
    [[ $line == ready* ]] || { diag "$scratch/$1.log"; bail "$1 does not start"; }
}
word() { # NAME: of the ready line
    sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<<"$line "
}
start corp "$XN_BUILD/corp/xenocorpd" --state "$scratch/corp" \
    --name straight.example --listen-api 127.0.0.1:0 --set register.per_minute=0
XENO_CORP="https://$(word api)#$(word id)"
export XENO_CORP
urls=()
declare -A pid_of
for n in $(seq $nodes); do
    start "node$n" "$XN_BUILD/node/xenonoded" --state "$scratch/node$n" \
        --label "node-$n" --corp "$XENO_CORP" --listen 127.0.0.1:0 \
        --listen-api 127.0.0.1:0 --set index.lease=1h --set overlay.links=8 \
        --set overlay.leaves=3
    urls+=("https://$(word api)")
    pid_of[$(word id)]=$started
done
mkdir "$scratch/client"
"$play" publish "$XENO_CORP" "$scratch/corp" "$scratch/client" 3 \
    "${urls[@]}" 2>"$scratch/play.log"
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/play.log"
ok "$rc" "$nodes nodes of 8 links hold ads"
printf 'find {\n    lease = "1h"\n}\n' >"$scratch/xeno.conf"
export XENO_KEY=$scratch/client XENO_CONFIG=$scratch/xeno.conf

field() { # NAME: the first of that name in the last trace
    sed -n "s/^ *\"$1\": \"*\([^\",]*\)\"*,*\$/\1/p" "$scratch/trace" | head -n 1
}
is_far() { # URL: not beside the key
    "$xeno" overlay trace CPUsmps --node "$1" -o json >"$scratch/trace" 2>&1 &&
        [ "$(grep -c '"way"' "$scratch/trace")" -ge 2 ]
}
far() { # whoever asks over others, in $asker
    for asker in "${urls[@]}"; do
        is_far "$asker" && return
    done
    return 1
}
await 60 far
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/trace"
ok "$rc" 'one of them asks for CPUsmps over another'
owner=$(field owner)

finds() { # all three
    "$XN_BUILD/discovery/xenofind" --node "$asker" 'CPUsmps:1..' -n 100 \
        -o name >"$scratch/found" 2>"$scratch/found.err" &&
        [ "$(wc -l <"$scratch/found")" -eq 3 ]
}
metric() { # SAMPLE
    "$xeno" overlay metrics --node "$asker" |
        awk -v name="$1" '$1 == name { print $2 }'
}
# Nodes that have just started answer in part, and say so.
await 60 finds
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/found.err"
ok "$rc" 'once the nodes have settled all is found'
wrong=0
asks() {
    finds || wrong=1
    [ "$(metric xeno_overlay_requests_straight_total)" -gt 3 ]
}
await 120 asks
ok $? 'asked again and again, it asks the owner directly'
[ "$wrong" -eq 0 ] || diag "$scratch/found.err"
ok "$wrong" 'and each time all is found'
kill -9 "${pid_of[$owner]}"
wrong=0
for _ in $(seq 20); do
    finds || wrong=1
done
[ "$wrong" -eq 0 ] || diag "$scratch/found.err"
ok "$wrong" 'as it is when that owner has gone'
plan
