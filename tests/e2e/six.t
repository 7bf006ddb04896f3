#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# IPv6: a XenoCorp, nodes, a server and a client that know nothing else, and an
# overlay in which some nodes have the one kind of address and some the other.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
declare -A pid=() ready=()

goes_away() {
    local name
    for name in "${!pid[@]}"; do kill -9 "${pid[$name]}" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$scratch"
}

start() { # NAME PROGRAM OPTION...: its ready line is ready[NAME]
    local name=$1 line=
    shift
    mkfifo "$scratch/$name.ready"
    "$@" --state "$scratch/$name" --ready-fd 9 9>"$scratch/$name.ready" \
        >"$scratch/$name.out" 2>"$scratch/$name.log" </dev/null &
    pid[$name]=$!
    read -r line <"$scratch/$name.ready"
    ready[$name]=$line
    [[ $line == ready* ]] && return
    diag "$scratch/$name.log"
    bail "$name did not start"
}

node() { # NAME ADDRESS
    start "$1" "$XN_BUILD/node/xenonoded" --corp "$corp" --label "$1" \
        --listen "$2:0" --listen-api "$2:0"
}

api_of() { # NAME
    echo "https://${ready[$1]##*api=}"
}

linked_to() { # NAME N
    "$XN_BUILD/tools/xeno" overlay status --node "$(api_of "$1")" -o json \
        >"$scratch/status" 2>"$scratch/status.err" &&
        grep -q "\"links\": $2," "$scratch/status"
}

found_at() { # NAME
    XENO_NODES=$(api_of "$1") "$xenofind" -n all -o csv -c ServerName \
        >"$scratch/found" 2>"$scratch/find.err" && grep -q otter "$scratch/found"
}

if ! grep -q " lo$" /proc/net/if_inet6 2>/dev/null; then
    echo "1..0 # SKIP this machine has no IPv6"
    exit 0
fi
start corp "$XN_BUILD/corp/xenocorpd" --name alpha.example \
    --listen-api '[::1]:0'
corp=$(cat "$scratch/corp.out")
export XENO_CORP=$corp XENO_KEY=$scratch/key
[[ $corp =~ ^https://\[::1\]:[0-9]+#[0-9a-f]{64}$ ]]
ok $? 'a XenoCorp on IPv6 says where it is'
node six '[::1]'
node sixth '[::1]'
node four 127.0.0.1
[[ ${ready[six]} == *' links=[::1]:'*' api=[::1]:'* ]]
ok $? 'nodes with it too'
for name in six sixth four; do
    await 300 linked_to "$name" 2
    ok $? "$name is linked to both others" || diag "$scratch/status.err"
done
cat >"$scratch/host.conf" <<'END'
offer {
    name = "otter"
    environments = "Linux 6.1 pv"
}
price {
    currency = "GBP"
    per_hour = "0.0121"
}
END
start host "$XN_BUILD/hostagent/xenohostd" --corp "$corp" --label otter \
    --config "$scratch/host.conf" --node "$(api_of six)" \
    --listen-api '[::1]:0'
for name in six sixth four; do
    await 300 found_at "$name"
    ok $? "its server is found at $name" || diag "$scratch/find.err"
done
plan
