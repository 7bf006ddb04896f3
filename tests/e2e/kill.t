# SPDX-License-Identifier: GPL-3.0-or-later
# Servers are killed at once, exactly the holders of all copies of one token
# among them: every live server is findable again by itself at every survivor,
# the dead are gone when their lease ends, and come back.
# XN_SOAK=1: 6 of 24, once for each of several tokens and once whoever the lot
# falls on ("-"); else 3 of 8.
. "$XN_SRC/tests/e2e/lib.sh"

servers=8 token_near=2 token_far=1 victims_n=3 tokens=EnvType soon=300
if [ -n "${XN_SOAK-}" ]; then
    servers=24 token_near=3 token_far=2 victims_n=6 soon=30
    tokens='EnvType CPUsmps PricePerHour ServerName MemoryMB -'
fi

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
        [ "$1" = - ] && continue
        names_at "$n" "$1:*" >"$scratch/got" 2>/dev/null
        [ -z "$(comm -13 "$scratch/got" "$scratch/live")" ] || return 1
    done
}

choose_victims() { # TOKEN SEED: the token's holders, and some more
    local n
    victims=
    [ "$1" = - ] || victims=$("$holders" "$XENODEV_STATE" "$1" "$token_near" \
        "$token_far")
    for n in $(seq "$servers" | shuf --random-source=<(yes "$2")); do
        [ "$(echo "$victims" | wc -w)" -lt "$victims_n" ] || break
        echo "$victims" | grep -qx "$n" || victims="$victims
$n"
    done
    alive=$(seq "$servers" | grep -vxF "$victims")
    echo "# killed:" $victims
}

took() { # WHAT: since SECONDS was set to 0
    echo "# $1 after $SECONDS s"
}

# Kills the holders, awaits the living at every survivor.
kill_holders() { # TOKEN SEED
    alive=$(seq "$servers")
    await 300 all_find "$scratch/all"
    ok $? "$1: every server is findable at every node"
    choose_victims "$1" "$2"
    server_names $alive >"$scratch/live"
    "$xenodev" kill $victims
    SECONDS=0
    await "$soon" all_find_living "$1"
    ok $? "$1: every live server is findable within $soon s"
    took "every live server at every survivor"
}

bring_back() { # TOKEN
    "$xenodev" start $victims
    ok $? "$1: the dead start again"
}

end() {
    alive=$(seq "$servers")
    SECONDS=0
    await 300 all_find "$scratch/all"
    ok $? "and are findable at every node"
    took "all back"
    down
    ok $? "the platform went away"
}

server_names $(seq "$servers") >"$scratch/all"
up --servers "$servers" --lease 20s
round=0
for token in $tokens; do
    round=$((round + 1))
    kill_holders "$token" "$round"
    await 300 all_find "$scratch/live"
    rc=$?
    [ "$rc" -eq 0 ] ||
        diff "$scratch/live" "$scratch/got" | diag
    ok "$rc" "$token: the dead are gone when their lease ends"
    took "the dead gone"
    bring_back "$token"
done
end

# With the usual lease no publisher has its renewal due meanwhile: what comes
# back comes since the nodes see to it.
for token in ${XN_SOAK:+$tokens}; do
    [ "$token" != - ] || continue
    echo "# with a lease of 15 minutes"
    up --servers "$servers"
    kill_holders "$token" 1
    bring_back "$token"
    end
done
plan
