#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What a server, a XenoCorp and the client's own tool refuse of a sale: each
# says what, because and try, as text and as a JSON object, with its exit code.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
xeno=$XN_BUILD/tools/xeno
out=$scratch/out
err=$scratch/err

field() { # NAME FILE
    sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$2" |
        head -n 1
}

refuses() { # RC BECAUSE NAME WORDS...
    local want=$1 because=$2 name=$3 rc at=0 words
    shift 3
    words=("$@")
    while [ "$at" -lt $# ] && [ "${words[at]}" != -- ]; do at=$((at + 1)); done
    "$xeno" "$@" >"$out" 2>"$err"
    rc=$?
    [ "$rc" -eq "$want" ] && grep -q "\[XS-$want-[A-Z_]*\]\$" "$err" &&
        grep -q "^  because: .*$because" "$err" && grep -q '^  try: .' "$err"
    ok $? "$name"
    "$xeno" "${words[@]:0:at}" -o json "${words[@]:at}" >"$out" 2>"$err.json"
    [ $? -eq "$want" ] && grep -q '"schema": "xeno.error/1"' "$out" &&
        grep -q "\"error\": \"XS-$want-[A-Z_]*\"" "$out" &&
        grep -q "\"because\": \".*$because" "$out" &&
        grep -q '"try": "..*"' "$out"
    ok $? "$name, as JSON"
    grep -q "because: .*$because" "$err" && [ "$rc" -eq "$want" ] ||
        diag "$err" "$out"
}

works() { # WORDS...
    "$xeno" "$@" -o json >"$out" 2>"$err" && return
    diag "$err"
    bail "xeno $1 $2 failed"
}

want() { # FILE CPUsmps
    printf '%s<QoS><CPUsmps>%s</CPUsmps></QoS></%s>' \
        '<EnvironmentalRequirements>' "$2" EnvironmentalRequirements >"$1"
}

new_order() { # WORDS...: its serial is in order
    works order new "1$currency" --corp "$corp" "$@"
    order=$(field serial "$out")
}

operate() { # the first server
    "$XN_BUILD/hostagent/xenoserver" "$@" --state "$XENODEV_STATE/host-01" \
        --config "$XENODEV_STATE/host-01.conf" >"$out" 2>"$err" || diag "$err"
}

images=$scratch/images
chmod 755 "$scratch" # as root, tasks are other users
mkdir -m 755 "$images"
printf 'not what was meant' >"$images/one.tar"
up --servers 2 --images "$images"
operate offer SetUp=0.25
# One quote serves to the end, however slow that is.
printf 'sell {\n    quote = 1h\n}\n' >>"$XENODEV_STATE/host-01.conf"
"$xenodev" kill 1 2>"$err" && "$xenodev" start 1 2>"$err" ||
    bail 'the server does not start again'
line=$(grep -o ' id=[0-9a-f]* .*api=[0-9.:]*' "$XENODEV_STATE/log/host-01.log" |
    tail -n 1)
id=${line# id=}
id=${id%% *}
server=https://${line##*api=}#$id
want "$scratch/some" 100
want "$scratch/less" 90
want "$scratch/much" 99999999
"$xeno" quote "$server" "$scratch/some" --save "$scratch/quote" -o json \
    >"$out" 2>"$err" || bail 'no quote'
currency=$(field currency "$out")
corp=
for at in $XENO_CORP; do # whose client the server's XenoCorp knows
    XENO_CORP=$at "$xeno" quote "$server" >/dev/null 2>&1 && corp=$at
done

# Setting up alone costs all of it; what becomes of that is seen at the end.
spent=
if "$XN_BUILD/keeper/xenodomd" check >/dev/null 2>&1; then
    new_order
    works order narrow "$order" --quote "$scratch/quote" \
        --amount "0.25$currency"
    works session new "$server" "$order" --quote "$scratch/quote"
    spent=$(field session "$out")
fi

refuses 4 'free' 'requirements that nobody can meet' \
    quote "$server" "$scratch/much"
printf '<EnvironmentalRequirements>%s</EnvironmentalRequirements>' \
    '<Virtualisation>pvh</Virtualisation>' >"$scratch/pvh"
refuses 4 'does not meet Virtualisation:pvh' 'a PVH domain where there is none' \
    quote "$server" "$scratch/pvh"
refuses 5 'account\|enough\|hold' 'more than the account has' \
    order new "1000000$currency" --corp "$corp"

new_order --server "$(printf '%064d' 7)"
refuses 5 'Server' 'an order for another server' \
    order narrow "$order" --quote "$scratch/quote"
new_order --type Plan9
refuses 5 'Plan9\|type' 'an order for another environment' \
    order narrow "$order" --quote "$scratch/quote"
new_order
refuses 5 'setting up alone' 'less than setting up costs' \
    order narrow "$order" --quote "$scratch/quote" --amount "0.1$currency"
refuses 5 'amount\|wide' 'a narrowing that widens' \
    order narrow "$order" --amount "2$currency"
refuses 5 '' 'an order that is not narrowed to a server' \
    session new "$server" "$order" --quote "$scratch/quote"

works order narrow "$order" --quote "$scratch/quote"
refuses 4 'meet' 'a quote for less than the requirements' \
    session new "$server" "$order" --quote "$scratch/quote" \
    --requirements "$scratch/much"
"$xeno" quote "$server" "$scratch/less" --save "$scratch/other" >/dev/null 2>&1
refuses 5 'another quote' 'another quote than the order is narrowed to' \
    session new "$server" "$order" --quote "$scratch/other"
printf 'scraps' >"$scratch/scraps"
refuses 9 '' 'what is no quote' \
    session new "$server" "$order" --quote "$scratch/scraps"
works session new "$server" "$order" --quote "$scratch/quote"
session=$(field session "$out")
refuses 5 'accepted' 'an order taken back that was accepted' \
    order void "$order"
if why=$("$XN_BUILD/keeper/xenodomd" check 2>&1); then
    refuses 9 'SHA-256' 'an image with a wrong hash' \
        task new "$session" --image "one.tar@sha256:$(printf '%064d' 7)" \
        -- /bin/true
    [ -z "$(find "$images" -mindepth 2)" ]
    ok $? 'of which nothing is kept'
else
    ok 0 "an image with a wrong hash # SKIP $(printf '%s' "$why" | tr '\n' ' ')"
fi
works stop "$session"

new_order
works order void "$order"
works order narrow "$order" --quote "$scratch/quote"
refuses 5 'void' 'a void order' \
    session new "$server" "$order" --quote "$scratch/quote"

# As long as it takes here to issue and narrow it.
for life in 2 4 16 60 240; do
    "$xeno" order new "1$currency" --corp "$corp" --for "${life}s" -o json \
        >"$out" 2>"$err" || continue
    order=$(field serial "$out")
    "$xeno" order narrow "$order" --quote "$scratch/quote" >"$out" 2>"$err" &&
        break
done
read -rt $((life + 1)) <> <(:) # nothing tells that its time has passed
refuses 8 'has ended' 'an order whose time is over' \
    session new "$server" "$order" --quote "$scratch/quote"

is_spent() {
    "$xeno" session show "$spent" -o json >"$out" 2>"$err" &&
        [ "$(field reason "$out")" = 'the order is spent' ]
}

is_warned() {
    is_spent && [ "$(field warned "$out")" = 5 ]
}

if [ -n "$spent" ]; then
    await 300 is_spent
    ok $? 'a session whose order is spent says so'
    await 300 is_warned # with the receipt for what is spent
    ok $? 'and that less than 5 % is left'
    refuses 5 'the order is spent' 'a task where the order is spent' \
        task new "$spent" -- true
fi

operate drain
refuses 4 '' 'a server that is drained' quote "$server" "$scratch/some"
down >/dev/null 2>>"$err"
ok $? 'the platform goes away'
plan
