# SPDX-License-Identifier: GPL-3.0-or-later
# A node lies in every way it can: nothing false is accepted, what it hides is
# found through another copy, it is named; where only lies come, exit 9.
. "$XN_SRC/tests/e2e/lib.sh"

# Three servers: each node holds a copy of everything.
server_names 1 2 3 >"$scratch/all"

# The values of a key in the part of the answer that names liars.
named() { # KEY FILE
    tr -d '\n' <"$2" | grep -o '"rejected": *\[[^]]*\]' |
        grep -o "\"$1\": *\"[0-9a-f]*\"" | grep -o '[0-9a-f]\{64\}' | sort -u
}

# Searches at node 1 until somebody is named, ten times at least, and collects
# who is: in $blamed.  Each asks one copy of three, drawn anew: sixty searches
# that all miss the liar are less likely than 1 in 10^10.
search_often() {
    local i
    blamed=
    for i in $(seq 60); do
        XENO_NODES=$(node_url 1) "$xenofind" -n all -o json \
            >"$scratch/json" 2>"$scratch/err"
        blamed=$(printf '%s\n' $blamed $(named node "$scratch/json") | sort -u)
        [ "$how" = old ] && case $(memory_at 3) in
            7777 | '') ;; # or its lease is just being renewed
            *) stale=1 ;;
        esac
        [ "$i" -lt 10 ] || [ -z "$blamed" ] || break
    done
    [ "$blamed" = "$liar_id" ] || echo "# blamed: $blamed; liar: $liar_id"
    [ "$blamed" = "$liar_id" ]
}

# Everything is found, at each of the nodes in $ask, four times.
truth() { # OPTION...
    local n i wrong=0
    for i in 1 2 3 4; do
        for n in $ask; do
            names_at "$n" "$@" >"$scratch/got"
            cmp -s "$scratch/got" "$scratch/all" && continue
            echo "# node $n shows:" $(cat "$scratch/got")
            wrong=1
        done
    done
    return "$wrong"
}

for how in alter other uncertified; do
    XN_LIE=$how up --servers 3 --noded 2="$liar"
    liar_id=$(node_id 2)
    ask='1 3'
    truth
    ok $? "$how: every answer is true and whole"

    # Asked often enough, the liar is among the copies that answer.
    search_often
    ok $? "$how: the liar is named, and nobody else"

    # Through the liar itself nothing false is accepted, and it is named as
    # the one who told.
    names_at 2 >"$scratch/got"
    [ -z "$(comm -13 "$scratch/all" "$scratch/got")" ]
    ok $? "$how: nothing false is accepted from the liar itself"
    XENO_NODES=$(node_url 2) "$xenofind" -n all -o json \
        >"$scratch/json" 2>"$scratch/err"
    [ "$(named via "$scratch/json")" = "$liar_id" ]
    ok $? "$how: and it is named as the one who told"
    down
    ok $? "$how: the platform went away"
done

# ---- what only --paranoid sees ----

# --paranoid at an honest node names the liar, and nobody else.  Who hides
# something is named once the others have had the time to get it.
named_by_paranoia() {
    XENO_NODES=$(node_url 1) "$xenofind" --paranoid -n all -o json \
        >"$scratch/json" 2>"$scratch/err"
    [ "$(named node "$scratch/json")" = "$liar_id" ] || {
        cp "$scratch/err" "$scratch/named.err"
        return 1
    }
}

paranoia() { # HOW
    truth --paranoid
    ok $? "$1: --paranoid finds the truth"
    await 300 named_by_paranoia
    rc=$?
    [ "$rc" -eq 0 ] || diag "$scratch/named.err"
    ok "$rc" "$1: --paranoid names the liar, and nobody else"
}

XN_LIE=hide up --servers 3 --lease 20s --noded 2="$liar"
liar_id=$(node_id 2)
# Through an honest node: one that lies about all copies is no copy's fault.
ask='1 3'
paranoia hide
down

# ---- what was true once ----

# The liar alone, asked directly, shows nothing that is believed.
only_lies() {
    XENO_NODES=$(node_url 2) "$xenofind" -n all -o json \
        >"$scratch/json" 2>"$scratch/err"
    [ $? -eq 9 ]
}

# What the liar sees from now on it will play back.
remember() {
    names_at 2 >"$scratch/got"
    cmp -s "$scratch/got" "$scratch/all"
}

memory_at() { # N OPTION...: server 1's MemoryMB
    local url
    url=$(node_url "$1")
    shift
    XENO_NODES=$url "$xenofind" -n all -o csv -c ServerName,MemoryMB "$@" \
        2>>"$scratch/find.err" | tr -d '\r' | sed -n 's/^server-01,//p'
}

# Server 1 offers something else from now on.
rewrite() {
    local conf=$XENODEV_STATE/host-01.conf
    "$xenodev" kill 1
    sed -i 's/memory_mb = .*/memory_mb = "7777"/' "$conf"
    "$xenodev" start 1
}

is_rewritten() {
    local n
    for n in $ask; do
        [ "$(memory_at "$n" --paranoid)" = 7777 ] || return 1
    done
}

for how in old expired; do
    XN_LIE=$how up --servers 3 --lease 20s --noded 2="$liar"
    liar_id=$(node_id 2)
    ask='1 3'
    await 300 remember
    ok $? "$how: the liar knows what there is"
    if [ "$how" = old ]; then
        rewrite
        ok $? "$how: server 1 offers something else"
        await 300 is_rewritten
        ok $? "$how: --paranoid shows the new version alone"
        await 300 named_by_paranoia
        ok $? "$how: --paranoid names the liar, and nobody else"
    fi
    # A lone copy's word is taken until the lease that it plays back has ended.
    await 300 only_lies
    ok $? "$how: where only lies come, exit 9"
    [ "$(named via "$scratch/json")" = "$liar_id" ]
    ok $? "$how: and the liar is named as the one who told"
    truth
    ok $? "$how: every answer is true and whole"
    stale=0
    search_often
    ok $? "$how: the liar is named, and nobody else"
    [ "$how" = expired ] || ok "$stale" "$how: the old version is never shown"
    paranoia "$how"
    down
    ok $? "$how: the platform went away"
done

for how in alter uncertified; do
    XN_LIE=$how up --servers 1 --noded 1="$liar"
    "$xenofind" -o json >"$scratch/json" 2>"$scratch/err"
    [ $? -eq 9 ]
    ok $? "$how: where only lies come, exit 9"
    down
done
plan
