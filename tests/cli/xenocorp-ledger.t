#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The ledger's file, spoilt in every way: noticed, named, refused with exit 9.
set -u
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
xenocorp=$XN_BUILD/corp/xenocorp
n=0 bad=0

ok() { # RC NAME
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        sed 's/^/# /' "$tmp/out" "$tmp/err"
        bad=1
    fi
}

run() { # CODE WORD COMMAND...: ends with that code and says that word
    local code=$1 word=$2 rc
    shift 2
    "$@" >"$tmp/out" 2>"$tmp/err"
    rc=$?
    [ "$rc" -eq "$code" ] && grep -qi -- "$word" "$tmp/out" "$tmp/err"
}

fresh() { # the folder as it was
    rm -rf "$tmp/a"
    cp -r "$tmp/good" "$tmp/a"
}

run 0 '^id' "$xenocorp" init "$tmp/good" alpha.example
ok $? "init makes key, certificate and ledger"
# Something in it: operations by the program of the soak test.
store=$tmp/good/store.kct
run 0 'receipt *1:' "$xenocorp" audit verify "$tmp/good"
ok $? "audit verify adds an empty ledger up"
rm -f "$store"
"$XN_BUILD/tests/soak/ledger_kill" kill 2 7 "$XN_BUILD/tests/soak/ledger_run" \
    "$store" >"$tmp/out" 2>&1
ok $? "a ledger with operations in it"
[ -s "$store.log1" ] && cp -r "$tmp/good" "$tmp/live"
ok $? "as a kill left it: with a log"
run 0 records "$xenocorp" backup "$tmp/live" "$tmp/first"
rm -f "$store"*
run 0 receipt "$xenocorp" restore "$tmp/good" "$tmp/first"
ok $? "and at rest"
run 0 '^GBP, sum 0' "$xenocorp" audit verify "$tmp/good"
ok $? "it adds up"
receipt=$(awk '$1 == "receipt" { print $2 }' "$tmp/out")
operations=$(awk '$1 == "operations" { print $2 }' "$tmp/out")

run 0 '"xeno.ledger/1"' "$xenocorp" audit export "$tmp/good"
ok $? "audit export prints operations"
[ "$(wc -l <"$tmp/out")" -eq "$operations" ]
ok $? "a line each"
run 0 receipt "$xenocorp" audit verify --expect "$receipt" "$tmp/good"
ok $? "the receipt holds"

flip() { # FILE AT: one bit of the byte there
    local was
    was=$(dd if="$1" bs=1 skip="$2" count=1 2>/dev/null | od -An -tu1 | tr -d ' ')
    printf "\\x$(printf %x $((was ^ 8)))" |
        dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# ---- backup and restore
run 0 records "$xenocorp" backup "$tmp/good" "$tmp/backup"
ok $? "backup"
run 1 'is there already' "$xenocorp" backup "$tmp/good" "$tmp/backup"
ok $? "a backup is never written over"
run 0 "receipt *$receipt" "$xenocorp" restore "$tmp/new" "$tmp/backup"
ok $? "restore gives the same ledger"
run 1 'is there already' "$xenocorp" restore "$tmp/new" "$tmp/backup"
ok $? "a store is never restored over"
size=$(stat -c %s "$tmp/backup")
for at in 3 700 $((size / 2)) $((size - 20)); do
    cp "$tmp/backup" "$tmp/bad"
    flip "$tmp/bad" "$at"
    run 9 "$tmp/bad" "$xenocorp" restore "$tmp/other" "$tmp/bad"
    rc=$?
    [ ! -e "$tmp/other/store.kct" ] || rc=1
    ok $rc "a backup with byte $at altered is refused"
done
head -c $((size - 100)) "$tmp/backup" >"$tmp/bad"
run 9 "$tmp/bad" "$xenocorp" restore "$tmp/other" "$tmp/bad"
ok $? "a cut backup is refused"

# ---- the file spoilt
fresh
: >"$tmp/a/store.kct"
run 9 store.kct "$xenocorp" audit verify "$tmp/a"
ok $? "emptied: refused"
run 9 store.kct "$xenocorp" init --ledger "$tmp/a"
ok $? "emptied: not taken for a new one"
fresh
rm "$tmp/a/store.kct"
run 1 'no such file' "$xenocorp" audit verify "$tmp/a"
ok $? "missing: refused"
[ ! -e "$tmp/a/store.kct" ]
ok $? "and not made"
run 0 . "$xenocorp" audit verify "$tmp/good" && fresh &&
    truncate -s $(($(stat -c %s "$store") / 2)) "$tmp/a/store.kct"
run 9 store.kct "$xenocorp" audit verify "$tmp/a"
ok $? "cut: refused"

# ---- the daemon on such a folder
corpd="timeout 300 $XN_BUILD/corp/xenocorpd --listen-api 127.0.0.1:0 --state"
fresh
: >"$tmp/a/store.kct"
# shellcheck disable=SC2086 # a command with its options
run 9 store.kct $corpd "$tmp/a" && [ ! -s "$tmp/a/store.kct" ]
ok $? "emptied: xenocorpd refuses it and leaves it alone"
rm "$tmp/a/store.kct"
# shellcheck disable=SC2086
run 9 XS-9-LEDGER $corpd "$tmp/a" && [ ! -e "$tmp/a/store.kct" ]
ok $? "missing: xenocorpd does not begin anew"

# Bytes flipped all over the file: either nothing that counts was there (free
# room, padding), and the ledger is what it was, or it is noticed.
size=$(stat -c %s "$store") noticed=0 rc=0
for i in $(seq 1 40); do
    at=$((400000 + (size - 400000) * i / 41))
    fresh
    flip "$tmp/a/store.kct" "$at"
    if run 9 . "$xenocorp" audit verify "$tmp/a"; then
        noticed=$((noticed + 1))
    elif ! run 0 "receipt *$receipt" "$xenocorp" audit verify "$tmp/a"; then
        echo "# byte $at"
        rc=1
    fi
done
[ "$noticed" -ge 10 ] || rc=1
echo "# $noticed of 40 flipped bytes noticed, the others were in free room"
ok $rc "a flipped byte is noticed or was in free room"

# ---- the log spoilt; store and log each by itself
fresh() {
    rm -rf "$tmp/a"
    cp -r "$tmp/live" "$tmp/a"
}
fresh
run 0 "receipt *$receipt" "$xenocorp" audit verify "$tmp/a" &&
    cmp -s "$tmp/a/store.kct.log1" "$tmp/live/store.kct.log1"
ok $? "audit verify reads the log, and leaves it"
run 1 'is there already' "$xenocorp" restore "$tmp/a" "$tmp/backup"
ok $? "a store is never restored over a log"
rc=0
for i in $(seq 1 12); do
    fresh
    at=$((300 * i * i))
    flip "$tmp/a/store.kct.log1" "$at"
    run 9 'store.kct.log1: sector' "$xenocorp" audit verify "$tmp/a" || rc=1
done
ok $rc "a flipped byte of the log: named, refused"
# shellcheck disable=SC2086
run 9 'store.kct.log1: sector' $corpd "$tmp/a"
ok $? "by xenocorpd too"
fresh
truncate -s $((1 << 20)) "$tmp/a/store.kct.log1"
run 9 store.kct.log1 "$xenocorp" audit verify "$tmp/a"
ok $? "a cut log: refused"
: >"$tmp/a/store.kct.log1"
run 9 store.kct.log1 "$xenocorp" audit verify "$tmp/a"
ok $? "an emptied log: refused"
rm "$tmp/a/store.kct.log1"
# shellcheck disable=SC2086
run 9 store.kct.log1 $corpd "$tmp/a"
ok $? "a log that is gone: refused"
fresh
rm "$tmp/a/store.kct"
run 9 'its logs are there' "$xenocorp" audit verify "$tmp/a"
ok $? "a store that is gone, its log still there: refused"
run 9 'its logs are there' "$xenocorp" init --ledger "$tmp/a"
ok $? "and no reason to begin anew"
fresh
cp "$tmp/good/store.kct" "$tmp/a/store.kct"
run 9 store.kct.log1 "$xenocorp" audit verify "$tmp/a"
ok $? "a store of another time than its log: refused"

# ---- set back
fresh
run 9 'set back\|not the one' "$xenocorp" audit verify --expect \
    "$((${receipt%%:*} + 1)):${receipt#*:}" "$tmp/a"
ok $? "set back: the receipt tells"
run 2 receipt "$xenocorp" audit verify --expect nonsense "$tmp/a"
ok $? "what is no receipt is refused"

# ---- two processes
fresh
exec 8<>"$tmp/a/store.kct.lock"
flock -n 8
run 4 'another process' "$xenocorp" audit verify "$tmp/a"
ok $? "two processes: the second is refused"
exec 8>&-
echo "1..$n"
exit $bad
