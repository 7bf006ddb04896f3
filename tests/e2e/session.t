#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A sale on a real platform: quote, order, session, claims while xenohostd is
# killed with -9 in between, stop; and the XenoCorp's books say what the server
# and the client's own bill say.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
xeno=$XN_BUILD/tools/xeno
xenocorp=$XN_BUILD/corp/xenocorp

field() { # NAME FILE: of xeno's JSON
    sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$2"
}

look() { # the session, into look.json
    "$xeno" session show "$server" "$session" -o json >"$scratch/look.json" \
        2>>"$scratch/err"
}

claims_reach() { # N: so many have a receipt
    look && [ "$(field claims "$scratch/look.json")" -ge "$1" ]
}

is_ended() {
    look && [ "$(field state "$scratch/look.json")" = ended ]
}

restart_host() {
    "$xenodev" kill 1 >>"$scratch/err" 2>&1 &&
        "$xenodev" start 1 >>"$scratch/err" 2>&1
}

up --servers 2
printf 'sell {\n    charge = 1s\n}\n' >>"$XENODEV_STATE/host-01.conf"
restart_host
ok $? "a server that claims each second"
line=$(grep -o ' id=[0-9a-f]* .*api=[0-9.:]*' "$XENODEV_STATE/log/host-01.log" |
    tail -n 1)
id=${line# id=}
id=${id%% *}
server=https://${line##*api=}#$id

cat >"$scratch/want.xml" <<'X'
<EnvironmentalRequirements>
  <QoS><CPUsmps>100</CPUsmps></QoS>
  <Resources><MemoryMB>64</MemoryMB></Resources>
</EnvironmentalRequirements>
X
"$xeno" quote "$server" "$scratch/want.xml" --save "$scratch/quote" \
    -o json >"$scratch/quote.json" 2>"$scratch/err"
ok $? "a quote"
currency=$(field currency "$scratch/quote.json")
corp=
for at in $XENO_CORP; do # whose client the server's XenoCorp knows
    XENO_CORP=$at "$xeno" quote "$server" >/dev/null 2>&1 && corp=$at
done
"$xeno" order new "1$currency" --corp "$corp" -o json >"$scratch/order.json" \
    2>>"$scratch/err"
ok $? "an order"
order=$(field serial "$scratch/order.json")
"$xeno" order narrow "$order" --quote "$scratch/quote" >/dev/null \
    2>>"$scratch/err"
ok $? "narrowed to the quote"
"$xeno" session new "$server" "$order" --quote "$scratch/quote" \
    --requirements "$scratch/want.xml" -o json >"$scratch/new.json" \
    2>>"$scratch/err"
ok $? "a session"
session=$(field session "$scratch/new.json")
[ -n "$session" ] || { diag "$scratch/err"; bail "no session"; }
"$xeno" session new "$server" "$order" --quote "$scratch/quote" \
    --requirements "$scratch/want.xml" -o json >"$scratch/again.json" \
    2>>"$scratch/err"
[ "$(field session "$scratch/again.json")" = "$session" ]
ok $? "the same again is the same session"
await 300 claims_reach 2
ok $? "claims are taken"
restart_host
ok $? "xenohostd is killed and starts again"
before=$(field claims "$scratch/look.json")
await 300 claims_reach $((before + 2))
ok $? "claims go on behind the others"
kept=$XENO_KEY/sessions/$session
cp "$kept" "$scratch/kept"
# Another order pays from now on; the one before is closed and charged.
"$xeno" order new "2$currency" --for 3h --corp "$corp" -o json \
    >"$scratch/order2.json" 2>>"$scratch/err"
first=$order
order=$(field serial "$scratch/order2.json")
"$xeno" session extend "$session" "$order" -o json >"$scratch/extended.json" \
    2>>"$scratch/err" && [ "$(field extended "$scratch/extended.json")" = 1 ] &&
    [ "$(field order "$scratch/extended.json")" = "$order" ]
ok $? "extended by another order"
restart_host
"$xeno" session extend "$session" "$order" -o json >"$scratch/extended.json" \
    2>>"$scratch/err" && [ "$(field extended "$scratch/extended.json")" = 1 ]
ok $? "the same again is one, after a kill -9 too"
"$xeno" session extend "$session" "$first" >/dev/null 2>"$scratch/refused"
[ $? -eq 5 ] && grep -q 'narrowed to something else' "$scratch/refused"
ok $? "not by an order that is bound"
"$xeno" bill "$first" -o json >"$scratch/bill1.json" 2>>"$scratch/err" &&
    "$xeno" order show "$first" -o json >"$scratch/show.json" \
        2>>"$scratch/err" && [ "$(field state "$scratch/show.json")" = closed ]
ok $? "the bill of the one before verifies, and it is closed"
look
[ "$(field before "$scratch/look.json")" = "$(field charged "$scratch/show.json")" ]
ok $? "with what the session says was charged before"
before=$(field claims "$scratch/look.json")
await 300 claims_reach $((before + 2))
ok $? "claims go on under the new one"
# Prices that rise meanwhile are no surprise.
"$XN_BUILD/hostagent/xenoserver" offer --state "$XENODEV_STATE/host-01" \
    --config "$XENODEV_STATE/host-01.conf" PricePerHour=9 >/dev/null \
    2>>"$scratch/err" &&
    "$xeno" order new "2$currency" --for 3h --corp "$corp" -o json \
        >"$scratch/order3.json" 2>>"$scratch/err"
ok $? "the server asks more, and there is one more order"
order=$(field serial "$scratch/order3.json")
"$xeno" session extend "$session" "$order" >/dev/null 2>"$scratch/refused"
[ $? -eq 5 ] && grep -q 'PricePerHour is 9 .* by now, and was' "$scratch/refused"
ok $? "it does not pay for that unawares"
"$xeno" session extend "$session" "$order" --dearer -o json \
    >"$scratch/extended.json" 2>>"$scratch/err" &&
    [ "$(field extended "$scratch/extended.json")" = 2 ]
ok $? "but where that is said"
before=$(field claims "$scratch/extended.json")
await 300 claims_reach $((before + 2))
ok $? "and is charged for"
# As for who did not hear that it was extended.
cp "$scratch/kept" "$kept"
"$xeno" session stop "$session" >/dev/null 2>>"$scratch/err"
ok $? "stopped, though another order is known for it"
cp "$scratch/kept" "$kept"
"$xeno" stop "$session" "$session" >/dev/null 2>>"$scratch/err"
ok $? "the same again is no error"
restart_host
await 300 is_ended
ok $? "the last claim is taken, after another kill -9"

charged=$(field charged "$scratch/look.json")
claims=$(field claims "$scratch/look.json")
"$xeno" bill "$order" -o json >"$scratch/bill.json" 2>>"$scratch/err"
ok $? "the client's bill verifies"
grep -q "\"$charged\"" "$scratch/bill.json"
ok $? "and says what the server says: $charged $currency by $claims claims"
"$xeno" order show "$order" -o json >"$scratch/show.json" 2>>"$scratch/err"
[ "$(field state "$scratch/show.json")" = closed ] &&
    [ "$(field charged "$scratch/show.json")" = "$charged" ]
ok $? "the XenoCorp's books as well, and the order is closed"
down >/dev/null 2>>"$scratch/err"
ok $? "the platform goes away"
[ "$n_tests" -gt 0 ] && diag "$scratch/err"
plan
