#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Real xenonodeds, each in a network namespace of its own, behind a bridge, and
# xenofind asking all the time while nodes are killed, stopped, cut off, restarted
# one by one, and one of them is crowded.  It wants root, for the namespaces.
# SOAK=short (8 nodes) or full (64); NODES, RATE (questions a second), STOP (s),
# CUT (s); XN_SOAK_DIR: where.
set -u
: "${XN_SRC:?}" "${XN_BUILD:?}"
skip() {
    echo "1..0 # SKIP $1"
    exit 0
}
case ${SOAK:-short} in
short) nodes=8 rate=4 stop=6 cut=6 calm=3 crowd=400 ;;
*) nodes=64 rate=20 stop=60 cut=60 calm=20 crowd=10000 ;;
esac
nodes=${NODES:-$nodes} rate=${RATE:-$rate} stop=${STOP:-$stop} cut=${CUT:-$cut}
crowd=${CROWD:-$crowd} ads=$((nodes > 40 ? nodes : 40))

# ---- outside: a world of its own that goes away with us ----
if [ -z "${XN_SOAK_INSIDE:-}" ]; then
    [ "$(id -u)" -eq 0 ] || skip 'it wants root, for network namespaces'
    command -v ip >/dev/null || skip 'it wants ip (apt-get install iproute2)'
    unshare -n ip link add xn0 type bridge 2>/dev/null ||
        skip 'this kernel gives no network namespaces with bridges'
    room=${TMPDIR:-/tmp}
    [ -w /dev/shm ] && room=/dev/shm
    dir=$(mktemp -d -p "${XN_SOAK_DIR:-$room}") || exit 99
    trap 'rm -rf "$dir"' EXIT
    XN_SOAK_INSIDE=$dir unshare --net --mount --pid --fork --kill-child \
        --mount-proc bash "$0"
    rc=$?
    exit $rc
fi

# ---- inside ----
dir=$XN_SOAK_INSIDE
play=$XN_BUILD/tests/soak/overlay_play
points=0 bad=0
tap() { # RC NAME
    points=$((points + 1))
    [ "$1" -eq 0 ] || bad=1
    [ "$1" -eq 0 ] && echo "ok $points - $2" || echo "not ok $points - $2"
}
bail() {
    echo "Bail out! $1"
    tail -n 5 "$dir"/*.log | sed 's/^/# /'
    exit 99
}
mount -t tmpfs none /run && mkdir /run/netns || bail 'no folder for namespaces'
ip link set lo up
# Two switches: who is cut off hangs on the second.
for b in 0 1; do
    ip link add xn$b type bridge && ip link set xn$b up || bail 'no bridge'
done
ip addr add 10.9.0.1/16 dev xn0

address() { echo "10.9.1.$1"; } # N
url() { echo "https://10.9.1.$1:7001"; }
for ((i = 1; i <= nodes; i++)); do
    ip netns add n$i && ip link add v$i type veth peer name e0 netns n$i &&
        ip link set v$i master xn0 up && ip -n n$i link set lo up &&
        ip -n n$i addr add "$(address $i)/16" dev e0 &&
        ip -n n$i link set e0 up || bail 'no namespace'
done

# ---- programs ----
line=
ready() { # NAME: until it is
    line=
    read -r -t 300 line <"$dir/$1.ready" || line=
    rm -f "$dir/$1.ready"
    [[ $line == ready* ]] || bail "$1 does not start"
}
declare -A pid
start_node() { # N: not ready yet
    rm -f "$dir/node$1.ready"
    mkfifo "$dir/node$1.ready"
    ip netns exec n$1 "$XN_BUILD/node/xenonoded" --state "$dir/node$1" \
        --label node-$1 --listen "$(address $1):7000" \
        --listen-api "$(address $1):7001" --corp "$corp" \
        --set limits.anonymous=0 --set limits.certified=0 \
        --set index.lease=1h --ready-fd 9 9>"$dir/node$1.ready" \
        </dev/null >>"$dir/node$1.log" 2>&1 8>&- &
    pid[$1]=$!
}
end_node() { # N SIGNAL
    kill "-$2" "${pid[$1]}"
    wait "${pid[$1]}" 2>/dev/null
}
settle() { # SECONDS
    "$play" settle "$dir/client" "$1" $((nodes - 1)) "${urls[@]}" \
        2>>"$dir/play.log"
}

mkfifo "$dir/corp.ready"
"$XN_BUILD/corp/xenocorpd" --state "$dir/corp" --name soak.example \
    --listen-api 10.9.0.1:7001 --set register.per_minute=0 \
    --set limits.anonymous=0 --set limits.certified=0 \
    --ready-fd 9 9>"$dir/corp.ready" </dev/null >"$dir/corp.log" 2>&1 &
ready corp
id=${line#* id=}
corp="https://10.9.0.1:7001#${id%% *}"
mkdir "$dir/client"
urls=()
for ((i = 1; i <= nodes; i++)); do start_node $i; urls+=("$(url $i)"); done
for ((i = 1; i <= nodes; i++)); do ready node$i; done
"$play" publish "$corp" "$dir/corp" "$dir/client" $ads "${urls[@]}" \
    2>>"$dir/play.log" && settle 300
tap $? "$nodes nodes are linked to each other and hold $ads advertisements"
[ $bad -eq 0 ] || bail 'no overlay'
printf 'find {\n    lease = "1h"\n}\n' >"$dir/xeno.conf"
export XENO_CORP=$corp XENO_KEY=$dir/client XENO_CONFIG=$dir/xeno.conf

private_kb() { # of each node
    for p in "${pid[@]}"; do
        awk '/^Private_/ { kb += $2 } END { print kb }' /proc/$p/smaps_rollup
    done | sort -n
}
private_kb >"$dir/kb"
read -r least middle most < <(awk '{ v[NR] = $1 }
    END { print v[1], v[int((NR + 1) / 2)], v[NR] }' "$dir/kb")
echo "# private memory with $((nodes - 1)) links: $middle kB ($least to $most)"
[ "$most" -le 8192 ]
tap $? 'a node has 8 MB of its own at most'

# ---- asking, all the time ----
mkfifo "$dir/phases"
"$XN_BUILD/tests/soak/overlay_ask" "$XN_BUILD/discovery/xenofind" $rate $ads \
    "${urls[@]}" <"$dir/phases" >"$dir/asked" 2>>"$dir/play.log" &
asker=$!
exec 8>"$dir/phases"
phase() {
    echo "$1" >&8
    echo "# $SECONDS s: $1"
}

phase calm
sleep "$calm"

phase kill
for n in 1 $((nodes / 2)) $((nodes - 1)); do
    end_node $n KILL
    sleep 2
    start_node $n
    ready node$n
done
settle 300
tap $? 'who was killed is back'

phase stop
kill -STOP "${pid[1]}" "${pid[$((nodes / 3))]}"
sleep "$stop"
kill -CONT "${pid[1]}" "${pid[$((nodes / 3))]}"
settle 300
tap $? "who was stopped for $stop s is back"

phase cut
for ((i = 1; i <= nodes; i += 2)); do ip link set v$i master xn1; done
sleep "$cut"
phase heal
for ((i = 1; i <= nodes; i += 2)); do ip link set v$i master xn0; done
settle 600
tap $? "half of them were cut off for $cut s, and all are linked again"

phase rolling
for ((i = 1; i <= nodes; i++)); do
    end_node $i TERM
    start_node $i
    ready node$i
done
settle 300
tap $? 'all were restarted, one after the other'

phase normal
sleep "$calm"
harass() { # PHASE WORD...: while that goes on
    mkfifo "$dir/stop"
    ip netns exec n2 "$play" "${@:2}" <"$dir/stop" >"$dir/$1" \
        2>>"$dir/play.log" 8>&- &
    local it=$!
    exec 7>"$dir/stop"
    until grep -q ready "$dir/$1" || ! kill -0 $it; do sleep 0.1; done
    phase "$1"
    sleep "$calm"
    phase "after-$1"
    exec 7>&-
    wait $it
    sed -n 's/^[0-9]/# &/p' "$dir/$1"
    rm "$dir/stop"
}
# From the second node's address, at the askers' own entry.
harass crowded crowd $crowd "$(address 1):7000" "$(address 1):7001"
harass storm storm "$(address 1):7000" "$(address 1):7001"

exec 8>&-
wait $asker
rc=$?
grep ' asked ' "$dir/asked" | sed 's/^/# /'
tap $rc 'no question failed but for partial answers, and no answer was wrong'
[ $rc -eq 0 ] || grep -v ' asked ' "$dir/asked" | sed 's/^/# /'
for what in crowded storm; do
    awk -v what=$what '$1 == "normal" { n = $13 } $1 == what { w = $13 }
        END { exit !(n && w && w < 2 * n) }' "$dir/asked"
    tap $? "p99 while $what is under twice what it is else"
done
private_kb >"$dir/kb"
echo "# private memory after all that: $(tail -n 1 "$dir/kb") kB at most"
grep -hE 'assert|Sanitizer|ERROR' "$dir"/*.log | head -n 5 >"$dir/cries"
[ ! -s "$dir/cries" ]
tap $? 'no node cried out'
sed 's/^/# /' "$dir/cries"
if [ -n "${XN_SOAK_KEEP:-}" ]; then cp -r "$dir" "$XN_SOAK_KEEP"; fi
echo "1..$points"
exit $bad
