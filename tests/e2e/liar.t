# SPDX-License-Identifier: GPL-3.0-or-later
# A node lies in every way it can: nothing false is accepted, what it hides is
# found through another copy, it is named; where only lies come, exit 9.
. "$XN_SRC/tests/e2e/lib.sh"

server_names 1 2 3 4 5 >"$scratch/all"

# The ids of nodes that an answer blames, without doubles.
blamed() {
    grep -o '"node": *"[0-9a-f]*"' "$1" | sort -u | grep -o '[0-9a-f]\{64\}'
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
    XN_LIE=$how up --servers 5 --noded 2="$liar"
    ask='1 2 3 4 5'
    truth
    ok $? "$how: every answer is true and whole"
    liar_id=$(sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p' \
        "$XENODEV_STATE/platform.json" | sed -n 5p)
    XENO_NODES=$(node_url 2) "$xenofind" -n all -o json \
        >"$scratch/json" 2>"$scratch/err"
    [ "$(blamed "$scratch/json")" = "$liar_id" ] ||
        { echo "blamed: $(blamed "$scratch/json"); liar: $liar_id"; cat "$scratch/err"; } | diag
    grep -q . "$scratch/err" && [ "$(blamed "$scratch/json")" = "$liar_id" ]
    ok $? "$how: the liar is named, and nobody else"
    down
    ok $? "$how: the platform went away"
done

XN_LIE=hide up --servers 5 --noded 2="$liar"
# Through an honest node: one that lies about all copies is no copy's fault.
ask='1 3 4 5'
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
