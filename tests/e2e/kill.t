# SPDX-License-Identifier: GPL-3.0-or-later
# Servers are killed at once, exactly the holders of all copies of one token
# among them: every live server is findable again by itself at every survivor,
# the dead are gone when their lease ends, and come back.
# XN_SOAK=1: 6 of 24, several times; else 3 of 8.
. "$XN_SRC/tests/e2e/lib.sh"

servers=8 token_near=2 token_far=1 more=0 rounds=1
[ -z "${XN_SOAK-}" ] || servers=24 token_near=3 token_far=2 more=1 rounds=5
token=EnvType

all_find() { # what file $1 lists, at every survivor in $alive
    local n
    for n in $alive; do
        names_at "$n" >"$scratch/got" 2>/dev/null
        cmp -s "$scratch/got" "$1" || return 1
    done
}

# Every live one is there; the dead may still be.
all_find_living() {
    local n
    for n in $alive; do
        names_at "$n" >"$scratch/got" 2>/dev/null
        [ -z "$(comm -13 "$scratch/got" "$scratch/live")" ] || return 1
        names_at "$n" EnvType:Linux >"$scratch/got" 2>/dev/null
        [ -z "$(comm -13 "$scratch/got" "$scratch/live")" ] || return 1
    done
}

choose_victims() { # the token's holders, and some more
    local n
    victims=$("$holders" "$XENODEV_STATE" "$token" "$token_near" "$token_far")
    for n in $(seq "$servers" | shuf --random-source=<(yes "$1")); do
        [ "$(echo "$victims" | wc -w)" -lt $((token_near + token_far + more)) ] ||
            break
        echo "$victims" | grep -qx "$n" || victims="$victims
$n"
    done
    alive=$(seq "$servers" | grep -vxF "$victims")
    echo "# killed:" $victims
}

up --servers "$servers" --lease 20s
server_names $(seq "$servers") >"$scratch/all"
for round in $(seq "$rounds"); do
    alive=$(seq "$servers")
    await 30 all_find "$scratch/all"
    ok $? "round $round: every server is findable at every node"
    choose_victims "$round"
    server_names $alive >"$scratch/live"
    "$xenodev" kill $victims
    await 30 all_find_living
    ok $? "round $round: every live server is findable within 30 s"
    await 60 all_find "$scratch/live"
    rc=$?
    [ "$rc" -eq 0 ] ||
        diff "$scratch/live" "$scratch/got" | diag
    ok "$rc" "round $round: the dead are gone when their lease ends"
    "$xenodev" start $victims
    ok $? "round $round: the dead start again"
done
alive=$(seq "$servers")
await 30 all_find "$scratch/all"
ok $? "and are findable at every node"
down
ok $? "the platform went away"
plan
