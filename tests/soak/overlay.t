#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Real xenonodeds, each in a network namespace of its own, behind a bridge, and
# xenofind asking all the time while nodes are killed, stopped, cut off, restarted
# one by one, and one of them is crowded.  It wants root, for the namespaces.
# SOAK=short (8 nodes) or full (64); NODES, RATE (questions a second), STOP (s),
# CUT (s), CROWD (connections), PARTS (faults, floods); XN_SOAK_DIR: where.
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
parts=${PARTS:-faults floods}
# Where nodes come and go, or seem to, one has fewer links: 6 for each leaf.
enough=$((nodes > 48 ? 48 : nodes - 1))

# ---- outside: a world of its own that goes away with us ----
if [ -z "${XN_SOAK_INSIDE:-}" ]; then
    [ "$(id -u)" -eq 0 ] || skip 'it wants root, for network namespaces'
    command -v ip >/dev/null || skip 'it wants ip (apt-get install iproute2)'
    unshare -n ip link add xn0 type veth 2>/dev/null ||
        skip 'this kernel gives no network namespaces with links'
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
    tail -qn 3 "$dir"/*.log | tail -n 20 | sed 's/^/# /'
    exit 99
}
mount -t tmpfs none /run && mkdir /run/netns || bail 'no folder for namespaces'
# One router between all: neighbours in one segment would be more than the table
# of the whole kernel holds.  The second half has a network of its own, and the
# corp, those who ask and who does harm are in the first.
ip link set lo up && ip addr add 10.9.0.1/32 dev lo &&
    echo 1 >/proc/sys/net/ipv4/ip_forward || bail 'no router'
plug() { # NAME ADDRESS: a namespace
    ip netns add "$1" && ip link add "v$1" type veth peer name e0 netns "$1" &&
        ip link set "v$1" up && ip route add "$2" dev "v$1" src 10.9.0.1 &&
        ip -n "$1" link set lo up && ip -n "$1" addr add "$2/32" dev e0 &&
        ip -n "$1" link set e0 up &&
        ip -n "$1" route add 10.9.0.1 dev e0 &&
        ip -n "$1" route add default via 10.9.0.1
}
halves() { # add|del: nothing goes from one to the other
    ip rule "$1" pref 10 from 10.9.1.0/24 to 10.9.2.0/24 blackhole &&
        ip rule "$1" pref 11 from 10.9.2.0/24 to 10.9.1.0/24 blackhole
}
address() { echo "10.9.$(($1 > nodes / 2 ? 2 : 1)).$1"; } # N
url() { echo "https://$(address $1):7001"; }
plug ask 10.9.1.254 && plug harm 10.9.1.253 || bail 'no namespace'
for ((i = 1; i <= nodes; i++)); do
    plug n$i "$(address $i)" || bail 'no namespace'
done
in_ask=(ip netns exec ask)

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
        --set limits.connects=0 \
        --set index.lease=1h --ready-fd 9 9>"$dir/node$1.ready" \
        </dev/null >>"$dir/node$1.log" 2>&1 8>&- &
    pid[$1]=$!
}
end_node() { # N SIGNAL
    kill "-$2" "${pid[$1]}"
    wait "${pid[$1]}" 2>/dev/null
}
settle() { # SECONDS LINKS
    "${in_ask[@]}" "$play" settle "$dir/client" "$1" "$2" "${urls[@]}" \
        2>>"$dir/play.log"
}

mkfifo "$dir/corp.ready"
"${in_ask[@]}" "$XN_BUILD/corp/xenocorpd" --state "$dir/corp" --name soak.example \
    --listen-api 10.9.1.254:7001 --set register.per_minute=0 \
    --set nodes.per_day=0 \
    --set limits.anonymous=0 --set limits.certified=0 --set limits.connects=0 \
    --ready-fd 9 9>"$dir/corp.ready" </dev/null >"$dir/corp.log" 2>&1 &
ready corp
id=${line#* id=}
corp="https://10.9.1.254:7001#${id%% *}"
mkdir "$dir/client"
urls=()
for ((i = 1; i <= nodes; i++)); do start_node $i; urls+=("$(url $i)"); done
for ((i = 1; i <= nodes; i++)); do ready node$i; done
"${in_ask[@]}" "$play" publish "$corp" "$dir/corp" "$dir/client" $ads "${urls[@]}" \
    2>>"$dir/play.log" && settle 300 $((nodes - 1))
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
"${in_ask[@]}" "$XN_BUILD/tests/soak/overlay_ask" "$XN_BUILD/discovery/xenofind" $rate $ads \
    "${urls[@]}" <"$dir/phases" >"$dir/asked" 2>>"$dir/play.log" &
asker=$!
exec 8>"$dir/phases"
phase() {
    echo "$1" >&8
    echo "# $SECONDS s: $1"
}

phase calm
sleep "$calm"

faults() {
    phase kill
    for n in 1 $((nodes / 2)) $((nodes - 1)); do
        end_node $n KILL
        sleep 2 # so long it is gone: how its neighbours take it is what counts
        start_node $n
        ready node$n
    done
    settle 300 $enough
    tap $? 'who was killed is back'

    phase stop
    kill -STOP "${pid[1]}" "${pid[$((nodes / 3))]}"
    sleep "$stop"
    kill -CONT "${pid[1]}" "${pid[$((nodes / 3))]}"
    settle 300 $enough
    tap $? "who was stopped for $stop s is back"

    phase cut
    halves add || bail 'cannot cut'
    sleep "$cut"
    phase heal
    halves del || bail 'cannot heal'
    settle 600 $enough
    tap $? "half of them were cut off for $cut s, and all are linked again"

    phase rolling
    for ((i = 1; i <= nodes; i++)); do
        end_node $i TERM
        start_node $i
        ready node$i
    done
    settle 300 $enough
    tap $? 'all were restarted, one after the other'
}

harass() { # PHASE WORD...: while that goes on
    mkfifo "$dir/stop"
    phase "$1"
    ip netns exec harm "$play" "${@:2}" <"$dir/stop" >"$dir/$1" \
        2>>"$dir/play.log" 8>&- &
    local it=$!
    exec 7>"$dir/stop"
    # It says so once all its connections stand; where it ends first, as well.
    until grep -q ready "$dir/$1" || ! kill -0 $it; do sleep 0.1; done
    sleep "$calm"
    phase "after-$1"
    exec 7>&-
    wait $it
    sed -n 's/^[0-9]/# &/p' "$dir/$1"
    rm -f "$dir/stop"
    sleep "$((calm / 4))" # how it all ends at once is not the next one's
}

floods() {
    phase normal
    sleep "$calm"
    # From an address of its own, at the askers' own entry.
    harass crowded crowd $crowd "$(address 1):7000" "$(address 1):7001"
    harass storm storm "$(address 1):7000" "$(address 1):7001"
}

for part in $parts; do $part; done

exec 8>&-
wait $asker
rc=$?
grep ' asked ' "$dir/asked" | sed 's/^/# /'
tap $rc 'no question failed but for partial answers, and no answer was wrong'
[ $rc -eq 0 ] || grep -v ' asked ' "$dir/asked" | sed 's/^/# /'
grep -q '^normal ' "$dir/asked" && for what in crowded storm; do
    awk -v what=$what '$1 == "normal" { n = $13 } $1 == what { w = $13 }
        END { exit !(n && w && w < 2 * n) }' "$dir/asked"
    rc=$?
    # A dozen questions have no p99 to speak of.
    [ "${SOAK:-short}" = short ] ||
        tap $rc "p99 while $what is under twice what it is else"
done
private_kb >"$dir/kb"
echo "# private memory after all that: $(sed -n "$(((nodes + 1) / 2))p" "$dir/kb") kB," \
    "$(tail -n 1 "$dir/kb") at most"
grep -hE 'assert|Sanitizer|ERROR' "$dir"/*.log | head -n 5 >"$dir/cries"
[ ! -s "$dir/cries" ]
tap $? 'no node cried out'
sed 's/^/# /' "$dir/cries"
if [ -n "${XN_SOAK_KEEP:-}" ]; then cp -r "$dir" "$XN_SOAK_KEEP"; fi
echo "1..$points"
exit $bad
