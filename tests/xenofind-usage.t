#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# xenofind on its own: usage errors with their carets and exit codes, no node
# to reach, unusable keys and configurations.
set -u
find=${XN_BUILD:?}/discovery/xenofind
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
unset XENO_NODES XENO_CORP XENO_CORPS XENO_CONFIG XENO_CURRENCY
export XENO_KEY=$dir/key HOME=$dir LC_ALL=C.UTF-8
node='--node https://127.0.0.1:1'
n=0

point() { # OK NAME
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        sed 's/^/# /' "$dir/out" "$dir/err"
    fi
}

# expect CODE TEXT NAME ARG...: exits so, and stderr (or stdout) has the text.
expect() {
    local code=$1 text=$2 name=$3 rc
    shift 3
    "$find" "$@" >"$dir/out" 2>"$dir/err" </dev/null
    rc=$?
    [ "$rc" -eq "$code" ] && grep -qF -- "$text" "$dir/out" "$dir/err"
    point $? "$name"
}

# caret COLUMN NAME ARG...: a usage error with the caret there.
caret() {
    local column=$1 name=$2 line rc
    shift 2
    # shellcheck disable=SC2086
    "$find" $node "$@" >"$dir/out" 2>"$dir/err" </dev/null
    rc=$?
    line=$(tail -n 1 "$dir/err")
    [ "$rc" -eq 2 ] && [ "$line" = "$(printf '%*s^' $((4 + column)) '')" ] &&
        [ "$(sed -n 2p "$dir/err" | cut -c 1-10)" = '  because:' ]
    point $? "$name"
}

expect 0 'usage: xenofind' 'help' --help
[ "$(wc -l <"$dir/out")" -le 25 ]
point $? 'help fits a screen'
expect 0 'xenofind (XenoServer)' 'version' --version
expect 2 'did you mean --budget' 'an unknown option' --bugdet 1
expect 2 '-n needs a value' 'an option without its value' -n
expect 2 'neither a number nor all' 'a bad count' -n ten
expect 2 'table, wide, json, jsonl, csv, xml, name or address' 'a bad format' -o yaml
expect 2 '--explain takes no value' 'a value for a switch' --explain=3
expect 2 'is no column' 'a bad column' -c 'a b'
expect 2 'lookup wants' 'a short lookup' lookup CPUsmps
expect 2 'get wants' 'a get of nobody' get
expect 2 'whole id' 'a get by a short name' get k7f2-otter
expect 2 'no condition' 'a get with an order' get -s CPUsmps "$(printf %064d 1)"
expect 2 'from 1ms to 1m' 'a bad bound' --within 1h a:1
expect 2 'no https://' 'a bad node' --node http://x
expect 2 'from 1ms to 1h' 'a bad timeout' --timeout 5
expect 2 'no node to ask' 'no node named' a:1
# shellcheck disable=SC2086
{
    expect 2 'in which currency' 'a price without a currency' $node \
        PricePerHour:..1
    expect 2 'no job' 'a total without a job' $node -s total
    expect 2 'one currency for both' 'two currencies' $node --for time=1h \
        --currency USD --budget 10GBP
    expect 2 'is no currency' 'a bad currency' $node --currency usd a:1
    expect 2 'No such file' 'requirements that are not there' $node \
        --requirements "$dir/none.xml"
    printf '<a' >"$dir/bad.xml"
    expect 2 'bad.xml' 'requirements that are no XML' $node \
        --requirements "$dir/bad.xml"
}
expect 2 "$dir/none.conf: No such file" 'a configuration that is not there' \
    --config "$dir/none.conf" a:1
expect 2 'Is a directory' 'a configuration that is a folder' --config "$dir" a:1
caret 3 'a word without a value' CPU
caret 12 'the second word' a:1 CPUsmps:
caret 13 'an ideal range' CPUsmps:1..2,want=3
caret 4 'a bad --where' --where 'a = ) and b = 1'
caret 4 'an open quote' --where "a = 'x"
caret 10 'an open parenthesis' --where 'a = 1 and (b = 2'
caret 4 'after two-byte characters' --where 'é = )'
caret 8 'no number for a number' CPUsmps:many
caret 14 'a unit after a number' --where 'MemoryMB   >= 4GiB'
expect 2 "MemoryMB is a number (MB), '4GiB' is none" 'it is said why' \
    --node https://127.0.0.1:1 MemoryMB:4GiB..
caret 5 'a bad job' --for 'cpu=2'
caret 2 'a bad budget' --for time=1h --budget 10gbp

expect 6 'no XenoCorp is accepted' 'nobody to trust' --node \
    https://127.0.0.1:1 a:1
export XENO_CORP=https://127.0.0.1:1#$(printf '%064d' 7)
expect 7 'because:' 'a XenoCorp that cannot be reached' --node \
    https://127.0.0.1:1 a:1
echo "1..$n"
