#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# xenodomd --nat: three network namespaces, the world's, this host's with the
# bridge, and one in a guest's place.
. "${XN_SRC:?}/tests/tap.sh"
PATH=$PATH:/usr/sbin:/sbin

skip_all() {
    echo "1..0 # SKIP $*"
    exit 0
}

[ "$(id -u)" -eq 0 ] || skip_all "it makes network namespaces: not root"
for name in ip nft unshare nsenter; do
    command -v "$name" >/dev/null || skip_all "no $name here"
done
space() { # NAME: a namespace as long as its process lives
    mkfifo "$scratch/$1"
    unshare -n sleep infinity 3<>"$scratch/$1" >/dev/null 2>&1 &
    eval "$1=$!"
}
ends() {
    kill "${world-}" "${host-}" "${guest-}" "${domd-}" 2>/dev/null
    wait
    rm -rf "$scratch"
}
trap ends EXIT
space world
space host
space guest
own() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
for pid in "$world" "$host" "$guest"; do
    await 10 own "$pid"
done
in_() { # PID COMMAND...
    nsenter -t "$1" -n "${@:2}"
}
{
    in_ "$host" ip link add br0 type bridge &&
        in_ "$host" ip link add up0 type veth peer name eth0 netns "$world" &&
        in_ "$host" ip link add vif1.0 type veth peer name eth0 netns "$guest" &&
        in_ "$host" nft list ruleset
} 2>"$scratch/err" || skip_all "no bridge, veth or nftables here"
in_ "$host" ip link set vif1.0 master br0 up
in_ "$host" ip addr add 10.9.0.1/24 dev br0
in_ "$host" ip link set br0 up
in_ "$host" ip addr add 192.0.2.1/24 dev up0
in_ "$host" ip link set up0 up
in_ "$world" ip addr add 192.0.2.2/24 dev eth0
in_ "$world" ip link set eth0 up
in_ "$world" ip route add 10.9.0.0/24 via 192.0.2.1
in_ "$guest" ip addr add 10.9.0.2/24 dev eth0
in_ "$guest" ip link set eth0 up
in_ "$guest" ip route add default via 10.9.0.1

domd() { # becomes it
    exec nsenter -t "$host" -n \
        "$XN_BUILD/keeper/xenodomd" --state "$scratch/state" --nat \
        --bridge br0 --addresses 10.9.0.2-10.9.0.9/24 --gateway 10.9.0.1 "$@"
}
(domd) >"$scratch/out" 2>&1
[ $? -eq 4 ] && grep -q 'try: .*ip_forward=1' "$scratch/out"
ok $? 'where this host forwards nothing, that is said and nothing begun'

in_ "$host" bash -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
hears() { # PID ADDRESS: nobody listens there, which it says
    in_ "$1" timeout 2 bash -c ": <>/dev/tcp/$2/9" 2>&1 | grep -q refused
}
await 20 hears "$guest" 192.0.2.1
await 20 hears "$world" 10.9.0.2
ok $? 'without it a guest is reached from outside'
mkfifo "$scratch/ready"
exec 4<>"$scratch/ready"
domd --ready-fd 3 3>&4 >"$scratch/domd" 2>&1 &
domd=$!
read -rt 30 line <&4
[ "${line-}" = 'ready xenodomd' ]
rc=$?
ok $rc 'with --nat it starts'
[ $rc -eq 0 ] || diag "$scratch/domd"
# who answers must send it to the host: a guest's own address has no route now
in_ "$world" ip route del 10.9.0.0/24
await 20 hears "$guest" 192.0.2.2
ok $? "what a guest sends goes out under the host's address, and is answered"
in_ "$world" ip route add 10.9.0.0/24 via 192.0.2.1
! hears "$world" 10.9.0.2
ok $? 'nobody outside reaches it by himself'
hears "$world" 192.0.2.1
ok $? 'nor is the host closed'
in_ "$world" ip addr add 169.254.169.254/32 dev eth0
in_ "$host" ip route add 169.254.169.254 via 192.0.2.2
hears "$host" 169.254.169.254 && ! hears "$guest" 169.254.169.254
ok $? "what this host is told about itself is no guest's to ask for"
in_ "$host" nft list table ip xenodomd >"$scratch/once"
kill "$domd"
wait "$domd"
domd --ready-fd 3 3>&4 >>"$scratch/domd" 2>&1 &
domd=$!
read -rt 30 line <&4 && grep -q masquerade "$scratch/once" &&
    in_ "$host" nft list table ip xenodomd | cmp -s - "$scratch/once"
ok $? 'another start leaves the same rules, once'
plan
