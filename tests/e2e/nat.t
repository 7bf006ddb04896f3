#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Real xenonodeds, two of which nobody can dial: each in a network namespace of
# its own, where it listens for itself alone. It wants root.
if [ -z "${XN_NAT_INSIDE:-}" ]; then
    why=
    [ "$(id -u)" -eq 0 ] || why='it wants root, for network namespaces'
    command -v ip >/dev/null || why='it wants ip (apt-get install iproute2)'
    [ -n "$why" ] || unshare -n ip link add xn0 type veth 2>/dev/null ||
        why='this kernel gives no network namespaces with links'
    [ -z "$why" ] || { echo "1..0 # SKIP $why"; exit 0; }
    XN_NAT_INSIDE=1 exec unshare --net --mount --pid --fork --kill-child \
        --mount-proc bash "$0"
fi
. "$XN_SRC/tests/tap.sh"
dir=$scratch
play=$XN_BUILD/tests/soak/overlay_play
xeno=$XN_BUILD/tools/xeno

mount -t tmpfs none /run && mkdir /run/netns && ip link set lo up &&
    ip addr add 10.9.0.1/32 dev lo || bail 'no room for namespaces'
plug() { # NAME ADDRESS: a namespace that can dial us
    ip netns add "$1" && ip link add "v$1" type veth peer name e0 netns "$1" &&
        ip link set "v$1" up && ip route add "$2" dev "v$1" src 10.9.0.1 &&
        ip -n "$1" link set lo up && ip -n "$1" addr add "$2/32" dev e0 &&
        ip -n "$1" link set e0 up && ip -n "$1" route add 10.9.0.1 dev e0
}
plug n4 10.9.0.4 && plug n5 10.9.0.5 || bail 'no namespaces'
in_ns() { # N COMMAND...: where node N is
    if [ "$1" -gt 3 ]; then
        ip netns exec "n$1" "${@:2}"
    else
        "${@:2}"
    fi
}
url() { # N, as seen from where it is
    if [ "$1" -gt 3 ]; then
        echo https://127.0.0.1:7001
    else
        echo "https://10.9.0.1:710$1"
    fi
}
ready() { # NAME
    line=
    read -r -t 300 line <"$dir/$1.ready" || line=
    [[ $line == ready* ]] || { diag "$dir/$1.log"; bail "$1 does not start"; }
}
start() { # NAME COMMAND...
    mkfifo "$dir/$1.ready"
    "${@:2}" --ready-fd 9 9>"$dir/$1.ready" </dev/null >>"$dir/$1.log" 2>&1 &
    ready "$1"
}
start corp "$XN_BUILD/corp/xenocorpd" --state "$dir/corp" --name nat.example \
    --listen-api 10.9.0.1:7200 --set register.per_minute=0
id=${line#* id=}
export XENO_CORP="https://10.9.0.1:7200#${id%% *}"
node() { # N LISTEN SETTING...
    local settings=() set
    for set in "${@:3}"; do settings+=(--set "$set"); done
    start "node$1" in_ns "$1" "$XN_BUILD/node/xenonoded" --state "$dir/node$1" \
        --label "node-$1" --corp "$XENO_CORP" --listen "$2" \
        --listen-api "$(url "$1" | cut -c9-)" --set index.lease=1h \
        "${settings[@]}"
}
for n in 1 2 3; do node $n 10.9.0.1:700$n; done
for n in 4 5; do node $n 127.0.0.1:7000 overlay.address=none links.private=true; done

mkdir "$dir/client"
in_ns 1 "$play" publish "$XENO_CORP" "$dir/corp" "$dir/client" 3 "$(url 1)" \
    "$(url 2)" "$(url 3)" 2>"$dir/play.log"
rc=$?
printf 'find {\n    lease = "1h"\n}\n' >"$dir/xeno.conf"
export XENO_KEY=$dir/client XENO_CONFIG=$dir/xeno.conf
[ "$rc" -eq 0 ] || diag "$dir/play.log"
ok "$rc" 'three nodes that can be dialled hold ads'
status() { # N FIELD
    in_ns "$1" "$xeno" overlay status --node "$(url "$1")" -o json 2>&1 |
        sed -n "s/^ *\"$2\": \"*\([^\",]*\)\"*,*\$/\1/p" | head -n 1
}
linked() { # all that can be
    for n in 1 2 3; do [ "$(status $n links)" = 2 ] || return 1; done
    for n in 4 5; do
        [ "$(status $n links)" = 3 ] && [ "$(status $n settled)" = true ] ||
            return 1
    done
}
await 120 linked
ok $? 'two others dialled all of them, and count with none'
peers() { # N
    in_ns "$1" "$xeno" overlay peers --node "$(url "$1")" -o json >"$dir/peers" 2>&1
}
good=0
for n in 1 2 3; do
    peers $n && [ "$(grep -c '"guest": true' "$dir/peers")" -eq 2 ] &&
        [ "$(grep -c '"address": ""' "$dir/peers")" -eq 2 ] || good=1
done
[ "$good" -eq 0 ] || diag "$dir/peers"
ok $good 'which tell them for what they are'
in_ns 1 "$xeno" overlay peers --node "$(url 1)" >"$dir/peers" 2>&1 &&
    [ "$(grep -c '^ *guest .*there' "$dir/peers")" -eq 2 ]
ok $? 'in the table too'
owners=
for n in 1 2 3 4 5; do
    in_ns $n "$xeno" overlay trace CPUsmps --node "$(url $n)" -o json \
        >"$dir/trace" 2>&1
    owners+=$(sed -n 's/^ *"owner": "\([0-9a-f]*\)",*$/\1/p' "$dir/trace")$'\n'
done
[ "$(printf %s "$owners" | sort -u | wc -l)" -eq 1 ] && [ "${#owners}" -eq 325 ]
ok $? 'all five know one owner'
ids=$(for n in 1 2 3; do status $n id; done)
grep -qxF "$(printf %s "$owners" | head -n 1)" <<<"$ids"
ok $? 'who can be dialled'
find_from() { # N HOW-MANY
    in_ns "$1" "$XN_BUILD/discovery/xenofind" --node "$(url "$1")" \
        'CPUsmps:1..' -n 100 -o name >"$dir/found" 2>"$dir/found.err" &&
        [ "$(wc -l <"$dir/found")" -eq "$2" ]
}
find_from 4 3 && find_from 5 3
rc=$?
[ "$rc" -eq 0 ] || diag "$dir/found.err"
ok "$rc" 'through the two everything is found'
mkdir "$dir/other"
in_ns 4 "$play" publish "$XENO_CORP" "$dir/corp" "$dir/other" 2 "$(url 4)" \
    2>"$dir/play.log" && find_from 5 5 && find_from 1 5
rc=$?
[ "$rc" -eq 0 ] || diag "$dir/play.log" "$dir/found.err"
ok "$rc" 'what is published through one is found through the other'
in_ns 1 "$xeno" overlay metrics --node "$(url 1)" >"$dir/metrics" 2>&1
failed=$(awk '/^xeno_overlay_dials_failed_total / { print $2 }' "$dir/metrics")
[ "$failed" = 0 ] && grep -qx 'xeno_overlay_guests 2' "$dir/metrics"
ok $? "nobody dialled them: $failed dials failed"
plan
