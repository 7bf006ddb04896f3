#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Money from the account to the bill, by the programs that people use: orders,
# narrowings, a server that charges, bills that are verified, and what each
# refusal ends with.
. "$XN_SRC/tests/e2e/lib.sh"
. "$XN_SRC/tests/e2e/tasks.sh"
seller=$XN_BUILD/tests/e2e/seller
relay=
goes_away_too() {
    [ -n "$relay" ] && kill "$relay" 2>/dev/null
    goes_away
}
trap goes_away_too EXIT

# run CODE NAME COMMAND...: ends with that, and where it fails says so in three
# lines.
run() {
    local rc want=$1 name=$2
    shift 2
    "$@" >"$scratch/out" 2>"$scratch/err"
    rc=$?
    if [ $rc -eq "$want" ]; then
        if [ "$want" -eq 0 ] || [ "$want" -eq 10 ] ||
            { grep -q "^xeno.*\[XS-$want-" "$scratch/err" &&
                grep -q '^  because: ' "$scratch/err"; }; then
            ok 0 "$name"
            return 0
        fi
    fi
    ok 1 "$name"
    echo "exit $rc, not $want" | diag
    diag "$scratch/out" "$scratch/err"
    return 1
}

says() { # PATTERN NAME: the last one printed that
    local rc
    grep -Eq -- "$1" "$scratch/out" "$scratch/err"
    rc=$?
    [ "$rc" -eq 0 ] || diag "$scratch/out" "$scratch/err"
    ok "$rc" "$2"
}

field() { # KEY: of the JSON that came last, the first of that name
    sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\).*/\1/p" "$scratch/out" | head -n 1
}

up --servers 2 --currency GBP
corp_dir=$XENODEV_STATE/corp-alpha.example
orders=$XENO_KEY/orders
alpha=${XENO_CORP%% *}

# ---- registering ----
run 0 "who is registered is told so" "$xeno" register -o json
[ "$(field new)" = false ] && [ "$(field balance)" = 100 ]
ok $? "with the account's balance"
before=$(ls -li "$XENO_KEY"/*.pem)
"$xeno" register >/dev/null
[ "$before" = "$(ls -li "$XENO_KEY"/*.pem)" ]
ok $? "and nothing is changed"
export XENO_KEY_OTHER=$scratch/other
XENO_KEY=$XENO_KEY_OTHER run 0 "another registers" "$xeno" register --label pat
[ "$(stat -c %a "$XENO_KEY_OTHER" "$XENO_KEY_OTHER/key.pem" | tr '\n' ' ')" = \
    "700 600 " ]
ok $? "its folder is its own"
XENO_KEY=$XENO_KEY_OTHER run 5 "without an account: money" \
    "$xeno" order new 1GBP
XENO_KEY=$scratch/nobody run 6 "without a key: identity" "$xeno" order list

# ---- more than one XenoCorp ----
run 0 "what is in the accounts" "$xeno" account
says "^alpha.example +GBP +100 GBP +0 GBP" "at the one"
says "^beta.example +GBP +100 GBP +0 GBP" "and at the other"
run 0 "as JSON, of one by its name" "$xeno" account --corp beta.example -o json
[ "$(field schema)" = xeno.accounts/1 ] && [ "$(field balance)" = 100 ] &&
    [ "$(grep -c '"balance"' "$scratch/out")" -eq 1 ]
ok $? "which has no other's"
run 3 "in a currency that there is no account in" "$xeno" account EUR
run 2 "in one that is none" "$xeno" account pounds
run 0 "an order at the second" "$xeno" order new 1GBP --corp beta.example
says "^XenoCorp +beta.example" "says whose it is"
run 0 "and so does the list" "$xeno" order list
says "beta.example" "of all of them"
run 0 "in the account it is fenced" "$xeno" account GBP
says "^beta.example +GBP +99 GBP +1 GBP" "and there no more"
run 2 "a XenoCorp that is not known" "$xeno" order new 1GBP --corp gamma.example
says "alpha.example, beta.example" "is told those that are"
XENO_KEY=$scratch/nobody run 6 "nobody's accounts" "$xeno" account

# ---- orders ----
day=$(date -u -d '+100 days' +%F)
run 0 "an order for an hour from then on" "$xeno" order new 1GBP \
    --from "${day}T00:00:00Z" --for 1h -o json
[ "$(field until)" = "${day}T01:00:00Z" ]
ok $? "ends an hour after it began"
run 2 "one for after the year" "$xeno" order new 1GBP \
    --from 2100-01-01T00:00:00Z --for 1h
says "2100-01-01T01:00:00Z.* 366 days" "is told when that would be"
run 2 "one that ended" "$xeno" order new 1GBP --until 2020-01-01T00:00:00Z
says "2020-01-01T00:00:00Z.* is over" "is told so without asking"
says "xeno order new --help" "and where to look"
run 2 "an amount that is too large" "$xeno" order new 9999999999999GBP
says "too large" "is told that"
"$xeno" order void "$("$xeno" order list -o json |
    sed -n 's/.*"serial": "\(.*\)".*/\1/p' | tail -n 1)" >/dev/null
run 0 "an order is issued" "$xeno" order new 5GBP --note "first" -o json
first=$(field serial)
run 5 "more than the account holds: money" "$xeno" order new 96GBP
run 2 "no amount: usage" "$xeno" order new 5
run 0 "orders are listed" "$xeno" order list
says "^${first:0:12} +issued +5 GBP .*first" "with what they are for"
run 0 "limits narrow" "$xeno" order narrow "${first:0:8}" --amount 3GBP \
    --type Linux --most-per-hour 2GBP
run 5 "a wider one is refused" "$xeno" order narrow "$first" --amount 4GBP
says "XS-5-WIDENS" "with its reason"
run 5 "as is another type" "$xeno" order narrow "$first" --type NetBSD
XENO_KEY=$XENO_KEY_OTHER run 3 "nobody sees another's order" \
    "$xeno" order show "$first"
cp -r "$orders" "$XENO_KEY_OTHER/"
XENO_KEY=$XENO_KEY_OTHER run 6 "nor narrows one that he stole" \
    "$xeno" order narrow "$first" --amount 1GBP
run 0 "an order is made void" "$xeno" order void \
    "$("$xeno" order new 7GBP -o json | sed -n 's/.*"serial": "\(.*\)".*/\1/p')"
says "7 GBP, in your account again" "and the money is back"

# ---- an answer that is lost ----
mkfifo "$scratch/port"
"$seller" relay "${alpha%%#*}" >"$scratch/port" &
relay=$!
read -r -t 300 port <"$scratch/port"
# Where the time is not enough for the handshake, nothing was changed: longer.
for patience in 2 8 32 128; do
    XENO_CORP=https://127.0.0.1:$port#${alpha##*#} "$xeno" order new 2GBP \
        --note lost --timeout ${patience}s >"$scratch/out" 2>"$scratch/err"
    lost=$?
    [ $lost -eq 7 ] || break
done
[ $lost -eq 11 ] && grep -q 'XS-11-UNKNOWN' "$scratch/err"
ok $? "no answer: outcome unknown"
await 300 sh -c "'$xeno' order list -o json | grep -q '\"amount\": \"2\"'"
ok $? "though the order was issued"
run 0 "the same again" "$xeno" order new 2GBP --note lost
says "asked again" "says that it was asked before"
[ "$("$xeno" order list -o json | grep -c '"amount": "2"')" -eq 1 ]
ok $? "and is the same order"
run 0 "a third time" "$xeno" order new 2GBP --note lost -o json
[ "$("$xeno" order list -o json | grep -c '"amount": "2"')" -eq 2 ]
ok $? "is another"
ls "$orders" | grep -q '^new-'
[ $? -ne 0 ]
ok $? "nothing is left of the attempts"
kill "$relay"
relay=

# ---- a server sells ----
run 0 "what a server is called here" "$xenofind" -n 1 -o address
run 0 "is what a quote is asked of" "$xeno" quote "$(cat "$scratch/out")"
says "^an hour +[0-9.]+ GBP$" "which has a price in money"
says "^XenoCorp +(alpha|beta).example" "and whose orders it is for"
"$seller" quote "$alpha" "$scratch/stall" "$scratch/quote" || bail "no quote"
run 0 "the order is signed away to a quote" \
    "$xeno" order narrow "$first" --quote "$scratch/quote"
says "^closed " "and closed"
run 9 "nothing stands over that" "$xeno" order narrow "$first" --amount 1GBP
"$seller" sell "$alpha" "$scratch/stall" "$orders/$first" "$scratch/quote" lie \
    >"$scratch/charged" 2>"$scratch/sell.err"
ok $? "the server charges it; a micro-unit too much is refused" ||
    diag "$scratch/sell.err"
[ -s "$scratch/charged" ] || diag "$scratch/sell.err"
run 0 "the bill" "$xeno" bill "$first"
says "a stall <on> a market" "says what it was for"
says "^XenoCorp +alpha.example" "and whose bill it is"
run 0 "and is verified" "$xeno" bill "$first" --verify
says "3 claims with their receipts" "claim by claim"
run 0 "as JSON" "$xeno" bill "$first" -o json
micro=$(cat "$scratch/charged")
[ "$(field schema)" = xeno.bill/1 ] && [ "$(field state)" = closed ] &&
    [ "$(field charged)" = "0.$(printf %06d "$micro" | sed 's/0*$//')" ]
ok $? "it is what the server charged"
run 0 "all bills" "$xeno" bill --verify
says "^total " "have a sum"
run 5 "a charged order cannot be void" "$xeno" order void "$first"

# ---- a bill that was tampered with ----
run 0 "a bill is kept" "$xeno" bill "$first" --save "$scratch/bill"
run 0 "and gone over without asking anybody" \
    env XENO_KEY="$XENO_KEY_OTHER" "$xeno" bill --file "$scratch/bill" --verify
for change in 's/<Amount>0\.5/<Amount>0.4/' 's/<UsedHours>0/<UsedHours>1/' \
    's/<PricePerHour>0\.1/<PricePerHour>0.2/' 's/<Amount>3</<Amount>4</' \
    's/<State>final/<State>finaL/' 's/<Charge>0/<Charge>1/'; do
    LC_ALL=C sed "$change" "$scratch/bill" >"$scratch/bad"
    if cmp -s "$scratch/bill" "$scratch/bad"; then
        [ "$change" = 's/<State>final/<State>finaL/' ] ||
            [ "$change" = 's/<Charge>0/<Charge>1/' ] ||
            ok 1 "$change changes nothing"
        continue
    fi
    run 9 "$change: integrity" "$xeno" bill --file "$scratch/bad"
done
head -c 3000 "$scratch/bill" >"$scratch/bad"
run 9 "one that was cut" "$xeno" bill --file "$scratch/bad"

# ---- the broker ----
client=$(openssl pkey -in "$XENO_KEY/key.pem" -pubout -outform DER 2>/dev/null |
    sha256sum | cut -d' ' -f1)
run 0 "the broker lists clients" "$xenocorp" client list "$corp_dir"
says "developer" "by their names"
run 0 "and servers" "$xenocorp" server list "$corp_dir"
says "stall" "by theirs"
run 0 "orders" "$xenocorp" order list "$corp_dir" -o json
says "$first" "of everybody"
run 0 "one order" "$xenocorp" order show "$corp_dir" "$first"
says "^state +closed" "and its state"
run 0 "charges" "$xenocorp" charge list "$corp_dir"
says "a stall <on> a market" "and what for"
run 0 "one charge" "$xenocorp" charge show "$corp_dir" "$first" 2
says "<Sequence>2</Sequence>" "as it was signed"
run 0 "an order by its first digits" "$xenocorp" order show "$corp_dir" \
    "${first:0:12}"
says "^serial +$first" "is that order"
run 0 "its charges" "$xenocorp" charge list "$corp_dir" "${first:0:4}"
run 0 "a client's charges" "$xenocorp" charge list "$corp_dir" \
    --client "${client:0:8}"
says "a stall <on> a market" "are these"
run 3 "an order that is none" "$xenocorp" order show "$corp_dir" ffff0000ffff
run 0 "refused claims" "$xenocorp" charge list "$corp_dir" --refused
says "CLAIM_PRICE" "and why"
claim=$(awk '/CLAIM_PRICE/ { print $1; exit }' "$scratch/out")
run 0 "what a refused claim said" "$xenocorp" charge show "$corp_dir" \
    --refused "$claim"
says "<Activity>a stall" "word for word"
says "^refused: CLAIM_PRICE: " "and why"
run 3 "one that is none" "$xenocorp" charge show "$corp_dir" --refused ffff0000
if [ -n "$client" ] && command -v openssl >/dev/null; then
    run 0 "a client's account" "$xenocorp" client show "$corp_dir" "$client" GBP
    says "^balance_GBP" "with its balance"
    run 0 "credit" "$xenocorp" client credit "$corp_dir" "$client" 20GBP c-1
    says "^credit +20 GBP" "is given"
    run 0 "money is paid in" "$xenocorp" client pay-in "$corp_dir" \
        "${client:0:12}" 3GBP p-1
    says "^client +....-developer" "for the client with these first digits"
    run 1 "another amount by that reference" "$xenocorp" client pay-in \
        "$corp_dir" "$client" 4GBP p-1
    says "reference was used" "is refused, with its reason"
    run 2 "fewer digits than the list shows" "$xenocorp" client pay-in \
        "$corp_dir" "${client:0:8}" 3GBP p-2
    run 0 "do for looking" "$xenocorp" client show "$corp_dir" "${client:0:8}"
    run 0 "and for a client's orders" "$xenocorp" order list "$corp_dir" \
        "${client:0:8}"
    run 3 "a client that is none" "$xenocorp" client show "$corp_dir" 00000000
    run 2 "a client that cannot be" "$xenocorp" order list "$corp_dir" pat
else
    ok 0 "a client's account # SKIP no openssl"
fi

# ---- terminals, pipes, devices ----
"$xeno" order new 1GBP --note "$(printf 'a long note %.0s' 1 2 3 4 5 6 7 8 9)" \
    >/dev/null
if command -v script >/dev/null; then
    script -qec "stty cols 110; '$xeno' order list" /dev/null </dev/null |
        tr -d '\r' | sed 's/\x1b\[K//g' >"$scratch/out"
    [ "$(wc -L <"$scratch/out")" -le 110 ] && grep -q 'a long note' "$scratch/out"
    ok $? "a table is as wide as its terminal" || diag "$scratch/out"
else
    ok 0 "a table is as wide as its terminal # SKIP no script"
fi
"$xeno" order list | cat >"$scratch/out"
[ "$(grep -o 'a long note' "$scratch/out" | wc -l)" -eq 9 ]
ok $? "and whole in a pipe"
mkfifo "$scratch/pipe"
cat "$scratch/pipe" >"$scratch/bill2" &
run 0 "a bill is kept in a pipe" "$xeno" bill "$first" --save "$scratch/pipe"
wait $!
[ -p "$scratch/pipe" ] && cmp -s "$scratch/bill" "$scratch/bill2"
ok $? "which is one afterwards as well"

# ---- a XenoCorp that is down ----
pid=$(sed -n 's/.*"pid": \([0-9]*\).*/\1/p' "$XENODEV_STATE/platform.json" |
    head -n 1)
kill_9 "$pid"
XENO_CORP=$alpha run 7 "a XenoCorp that is down: network" \
    "$xeno" order new 1GBP
run 10 "other XenoCorps' orders are listed" "$xeno" order list
says "^[0-9a-f]{12} .*beta.example" "in part"
run 10 "and their bills" "$xeno" bill -o json
says '"corp_name": "beta.example"' "as well"
run 10 "and accounts" "$xeno" account
says "^beta.example +GBP" "as well"
run 7 "all that were asked are down: network" "$xeno" account \
    --corp alpha.example
run 10 "an order is shown all the same" "$xeno" order show "$first"
says "^narrowings +2" "with all its papers"
down
ok $? "and all goes away"
plan
