#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A broker who sets bounds: what is paid in at once, mistakes taken back, and
# clients and strangers who ask too often, at a real xenocorpd.
set -u
build=${XN_BUILD:-.}
dir=$(mktemp -d) || exit 99
tool=$build/corp/xenocorp
export XENO_KEY=$dir/ann
corp='' points=0

cleanup() {
    [ -n "$corp" ] && kill "$corp" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT

# run CODE NAME COMMAND...: ends with that, and where it fails says so.
run() {
    local rc want=$1 name=$2
    shift 2
    "$@" >"$dir/out" 2>"$dir/err"
    rc=$?
    [ $rc -eq "$want" ] && { [ "$want" -eq 0 ] ||
        { grep -q '^  because: ' "$dir/err" && grep -q '^  try: ' "$dir/err"; }; }
    tap $? "$name"
}

says() { # PATTERN NAME
    grep -Eq -- "$1" "$dir/out" "$dir/err"
    tap $? "$2"
}

tap() {
    points=$((points + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $points - $2"
    else
        echo "not ok $points - $2"
        sed 's/^/# /' "$dir/out" "$dir/err" "$dir/log"
    fi
}

mkfifo "$dir/ready"
"$build/corp/xenocorpd" --name alpha.example --state "$dir/corp" \
    --set money.most=100 --set orders.burst=2 --set orders.per_minute=1 \
    --set register.burst=3 --set register.per_minute=1 \
    --ready-fd 9 9>"$dir/ready" >"$dir/url" 2>"$dir/log" </dev/null &
corp=$!
read -r -t 300 _ <"$dir/ready" || {
    echo "Bail out! xenocorpd does not start"
    exit 99
}
XENO_CORP=$(cat "$dir/corp/url")
export XENO_CORP

# At the limit, until one is refused: in a slow minute one more may be had.
refused_at_last() { # NAME COMMAND...
    local rc name=$1
    shift
    for _ in {1..10}; do
        "$@" >"$dir/out" 2>"$dir/err"
        rc=$?
        [ $rc -eq 0 ] || break
    done
    [ $rc -eq 4 ] && grep -q '^  because: ' "$dir/err" &&
        grep -q '^  try: ' "$dir/err"
    tap $? "$name"
}

# ---- who registers too often ----
run 0 "a client registers" "$build/tools/xeno" register --label ann
XENO_KEY=$dir/bob run 0 "another" "$build/tools/xeno" register --label bob
XENO_KEY=$dir/pat run 0 "and another" "$build/tools/xeno" register --label pat
newcomer() { # another each time
    strangers=$((strangers + 1))
    XENO_KEY=$dir/eve-$strangers "$build/tools/xeno" register \
        --label eve-$strangers
}
strangers=0
refused_at_last "one too many from there is refused" newcomer
says 'because: .*registrations from one address: 3 at once, then 1 a minute' \
    "and told what there is"
says 'try: .*in [1-6][0-9]? seconds?' "and when to ask again"

# ---- money ----
client=$("$tool" client list "$dir/corp" -o json |
    tr -d ' \n' | sed 's/.*-ann","id":"\([0-9a-f]*\)".*/\1/')
run 2 "more than may be paid in at once" \
    "$tool" client pay-in "$dir/corp" "$client" 100.01GBP typo
says 'at most 100 GBP' "is told how much may"
run 0 "a payment" "$tool" client pay-in "$dir/corp" "$client" 20GBP bank-1
run 0 "a mistake" "$tool" client pay-in "$dir/corp" "$client" 90GBP bank-2
run 1 "is not taken back under another amount" \
    "$tool" client take-back "$dir/corp" "$client" 9GBP bank-2
run 0 "is taken back" "$tool" client take-back "$dir/corp" "$client" 90GBP bank-2
says '^balance +20 GBP' "and gone from the account"
run 0 "once" "$tool" client take-back "$dir/corp" "$client" 90GBP bank-2
says '^balance +20 GBP' "for one reference"
run 3 "what never came is not taken back" \
    "$tool" client take-back "$dir/corp" "$client" 5GBP bank-3
run 0 "what was paid in is listed" \
    "$tool" client pay-ins "$dir/corp" "$client" GBP
says '20 +GBP +bank-1 +-$' "what is still there"
says '90 +GBP +bank-2 +2[0-9]{3}-' "and what was taken back, and when"
run 0 "as JSON" "$tool" client pay-ins "$dir/corp" "$client" GBP -o json
says '"schema": "xenocorp.payins/1"' "with its schema"

# ---- who orders too often ----
run 0 "an order" "$build/tools/xeno" order new 5GBP -o json
serial=$(sed -n 's/.*"serial": "\(.*\)".*/\1/p' "$dir/out")
run 5 "money that is set apart is not taken back" \
    "$tool" client take-back "$dir/corp" "$client" 20GBP bank-1
says '15 GBP of the account are free' "what is free is said"
run 0 "a second order" "$build/tools/xeno" order new 5GBP
refused_at_last "one too many" "$build/tools/xeno" order new 1GBP
says 'because: .*orders of one client: 2 at once, then 1 a minute' \
    "is told what there is"
says 'try: .*in [1-6][0-9]? seconds?' "and when to ask again"
run 0 "an order is void all the same" "$build/tools/xeno" order void "$serial"

kill "$corp"
wait "$corp"
corp=''
run 0 "the books add up" "$tool" audit verify "$dir/corp"
"$tool" audit export "$dir/corp" >"$dir/out" 2>"$dir/err"
says '"take-back"' "and name what was taken back"
echo "1..$points"
