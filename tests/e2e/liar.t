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
    blamed=
    for i in 1 2 3 4 5 6 7 8 9 10; do
        XENO_NODES=$(node_url 1) "$xenofind" -n all -o json \
            >"$scratch/json" 2>"$scratch/err"
        blamed=$(printf '%s\n' $blamed $(named node "$scratch/json") | sort -u)
    done
    [ "$blamed" = "$liar_id" ] || echo "# blamed: $blamed; liar: $liar_id"
    [ "$blamed" = "$liar_id" ]
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

XN_LIE=hide up --servers 3 --noded 2="$liar"
# Through an honest node: one that lies about all copies is no copy's fault.
ask='1 3'
truth --paranoid
ok $? "hide: --paranoid finds what is hidden"
down

for how in alter uncertified; do
    XN_LIE=$how up --servers 1 --noded 1="$liar"
    "$xenofind" -o json >"$scratch/json" 2>"$scratch/err"
    [ $? -eq 9 ]
    ok $? "$how: where only lies come, exit 9"
    down
done
plan
