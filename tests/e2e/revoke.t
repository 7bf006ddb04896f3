# SPDX-License-Identifier: GPL-3.0-or-later
# A XenoCorp revokes a server and the node beside it: within a minute the others
# have dropped the node's links, nobody finds the server, and so it stays after a
# restart of a node and while the revoked ones try on.
. "$XN_SRC/tests/e2e/lib.sh"
xeno=$XN_BUILD/tools/xeno
xenocorp=$XN_BUILD/corp/xenocorp
gone=3 others='1 2 4'

linked_to() { # N ID: is the node of that id among N's links?
    "$xeno" overlay peers --node "$(node_url "$1")" -o json \
        >"$scratch/peers" 2>"$scratch/peers.err" || return 2
    grep -q "\"$2\"" "$scratch/peers"
}
none_linked() {
    local n
    for n in $others; do
        linked_to "$n" "$id"
        [ $? -eq 1 ] || return 1
    done
}
all_linked() {
    local n
    for n in $others; do linked_to "$n" "$id" || return 1; done
}
all_but_one() { # what each of the others finds
    local n
    for n in $others; do
        names_at "$n" >"$scratch/got" 2>/dev/null
        cmp -s "$scratch/got" "$scratch/left" || return 1
    done
}
member() { # ROLE NAME-OR-ID: its id, at whichever XenoCorp it is
    local dir
    for dir in "$XENODEV_STATE"/corp-*; do
        [ -e "$dir/key.pem" ] || continue
        "$xenocorp" "$1" list -o json "$dir" >"$scratch/members" 2>/dev/null || continue
        corp=$dir
        grep -q "$2" "$scratch/members" && return 0
    done
    return 1
}

up --servers 4
id=$(node_id "$gone")
server_names 1 2 3 4 >"$scratch/all"
server_names $others >"$scratch/left"
await 300 all_linked
ok $? 'all nodes are linked to the one'

server=$("$xenofind" -n all -o jsonl ServerName:server-03 |
    sed -n 's/.*"id": *"\([0-9a-f]\{64\}\)".*/\1/p')
member node "$id" && "$xenocorp" node revoke "$corp" "${id:0:12}" \
    --why 'left the market' >"$scratch/out" 2>&1
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/out"
ok "$rc" 'its XenoCorp revokes the node'
SECONDS=0
await 60 none_linked
ok $? 'within a minute no other node is linked to it'
echo "# after $SECONDS s"

member server "$server" && "$xenocorp" server revoke "$corp" "${server:0:12}" \
    --why 'left the market' >"$scratch/out" 2>&1
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/out"
ok "$rc" 'its XenoCorp revokes the server'
await 60 all_but_one
ok $? 'within a minute nobody finds the server'
"$xenofind" -n all -o csv -c ServerName --paranoid 2>/dev/null | grep -q server-03
[ $? -eq 1 ]
ok $? 'nor do all copies together'
"$xenocorp" server list "$corp" | grep -q "${server:0:12}.*20[0-9][0-9]-.*20[0-9][0-9]-.*20[0-9][0-9]-"
ok $? 'the list of servers says when it was revoked'

"$xenodev" kill 1 && "$xenodev" start 1
ok $? 'another node starts again'
await 300 all_but_one
ok $? 'the server is not found there either'
none_linked
ok $? 'and the revoked node is linked to nobody'
down
ok $? 'all goes away'
plan
