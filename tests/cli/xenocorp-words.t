# SPDX-License-Identifier: GPL-3.0-or-later
# The staff tool's command line: each mistake is told with its code and with
# the help that helps; options stand wherever they are put.
set -u
xenocorp=$XN_BUILD/corp/xenocorp
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
n=0

run() { # CODE TEXT NAME WORD...: exit code, and what it says; a refusal whole
    local want=$1 text=$2 name=$3 rc good=1
    shift 3
    timeout 300 "$xenocorp" "$@" </dev/null >"$tmp/out" 2>"$tmp/err"
    rc=$?
    n=$((n + 1))
    if [ "$rc" -eq "$want" ] && cat "$tmp/out" "$tmp/err" | grep -qE -- "$text"; then
        [ "$want" -eq 0 ] ||
            { grep -q "^xenocorp: .* \[XS-$want-[A-Z_]*\]$" "$tmp/err" &&
                grep -q '^  because: ' "$tmp/err" &&
                grep -q '^  try:     ' "$tmp/err"; } && good=0
        [ "$want" -ne 0 ] || good=0
    fi
    if [ "$good" -eq 0 ]; then
        echo "ok $n - $name"
    else
        echo "# exit $rc, wanted $want and '$text'; it said:"
        sed 's/^/#   /' "$tmp/out" "$tmp/err" | head -n 12
        echo "not ok $n - $name"
    fi
}

# ---- words ----
run 2 'noun is missing' 'nothing at all'
run 0 '^  xenocorp client pay-in DIR' '-h is help' -h
run 2 'clent.*client' 'a noun that is nearly one' clent list "$tmp/a"
run 2 'lsit.*list' 'a verb that is nearly one' order lsit "$tmp/a"
run 2 'list.*show' 'a noun alone: its verbs' charge
run 2 'DIR is missing' 'a folder that is missing' client list
run 2 'AMOUNT is missing' 'the word that is missing is named' \
    client pay-in "$tmp/a" abcd
run 2 'xenocorp client pay-in --help' 'and the help that has it' \
    client pay-in "$tmp/a" abcd
run 0 '^usage: xenocorp client pay-in .*DIR CLIENT AMOUNT REFERENCE' \
    'which is there' client pay-in --help
run 2 'one word too many' 'a word too many' show "$tmp/a" b
run 2 'frob' 'an option that is none' order list "$tmp/a" --frob
run 2 'expect' 'an option of another verb' order list "$tmp/a" --expect 1:2
run 2 'table or json' 'a form that is none' order list "$tmp/a" -o wide

# ---- folders ----
run 0 '^name +alpha.example' 'a XenoCorp' init "$tmp/a" alpha.example
run 1 'XS-1-EXISTS' 'is not made twice' init "$tmp/a" alpha.example
run 0 '"name": "alpha.example"' 'shown as JSON, the option before the word' \
    show -o json "$tmp/a"
run 6 'holds no key' 'a folder that holds none' show "$tmp/none"
run 6 'holds no key' 'nor can anything be asked there' client list "$tmp/none"
run 7 'xenocorpd' 'one that never ran' client list "$tmp/a"
run 0 '^receipt' 'audited' audit verify "$tmp/a"
receipt=$(awk '$1 == "receipt" { print $2 }' "$tmp/out")
run 0 '"sum": "0"|"currencies": \[\]' 'as JSON' audit verify "$tmp/a" -o json
run 0 '^receipt' 'an option behind its word' \
    audit verify "$tmp/a" --expect "$receipt"
run 2 'receipt' 'a receipt that is none' audit verify "$tmp/a" --expect 12
run 1 'No such file' 'a backup into a folder that is not there' \
    backup "$tmp/a" "$tmp/none/backup"
run 0 'records' 'a backup' backup "$tmp/a" "$tmp/backup"
run 1 'XS-1-EXISTS' 'is not written over' backup "$tmp/a" "$tmp/backup"
run 1 'No such file' 'a backup that is not there' \
    restore "$tmp/b" "$tmp/nothing"
run 9 'tmp|store|backup' 'what is no backup' restore "$tmp/b" "$tmp/a/key.pem"
run 1 'XS-1-EXISTS' 'nothing is restored over a store' \
    restore "$tmp/a" "$tmp/backup"
run 6 'holds no key' 'no ledger without a key' init --ledger "$tmp/none"
run 1 'XS-1-EXISTS' 'no second ledger' init --ledger "$tmp/a"
echo "1..$n"
