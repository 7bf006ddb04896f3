#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Tasks that bring an image, on a real platform: it runs in it, the second time
# from what the server kept; what is refused says so, as text and as JSON.
. "${XN_SRC:-.}/tests/e2e/lib.sh"
. "${XN_SRC:-.}/tests/e2e/tasks.sh"
tasks_or_skip
out=$scratch/out
err=$scratch/err
images=$scratch/images
chmod 755 "$scratch" # as root, tasks are others: they read the image
mkdir -m 755 "$images"

put_in() { # PROGRAM PLACE: with its libraries
    local lib
    mkdir -p "$scratch/tree/${2%/*}"
    cp -L "$1" "$scratch/tree/$2"
    for lib in $(ldd "$1" | grep -oE '/[^ ]+'); do
        mkdir -p "$scratch/tree${lib%/*}"
        cp -L "$lib" "$scratch/tree$lib"
    done
}
put_in "$(command -v sh)" bin/sh
mkdir -p "$scratch/tree/opt"
ln "$scratch/tree/bin/sh" "$scratch/tree/opt/shell" # from another folder
tar -C "$scratch/tree" -czf "$images/one.tar.gz" .
sum=$(sha256sum <"$images/one.tar.gz")
sum=${sum%% *}

run() { # WORDS...: its exit code is in rc
    "$xeno" run "$@" >"$out" 2>"$err" </dev/null
    rc=$?
}

refuses() { # RC CODE NAME WORDS...: as text and as JSON
    local code=$1 error=$2 name=$3
    shift 3
    run "$@"
    [ "$rc" -eq "$code" ] && grep -q "\[XS-$error\]" "$err" &&
        grep -q '^  because: .' "$err" && grep -q '^  try: .' "$err"
    ok $? "$name"
    [ "$rc" -eq "$code" ] || { echo "# exit $rc"; diag "$err"; }
    run -o json "$@"
    [ "$rc" -eq "$code" ] && grep -q '"schema": "xeno' "$out" &&
        grep -q "\"error\": \"XS-$error\"" "$out" &&
        grep -q "\"exit\": $code," "$out" &&
        grep -q '"because": "..*"' "$out" && grep -q '"try": "..*"' "$out"
    ok $? "$name, as JSON"
}

up --servers 1 --images "$images"

runs() { # NAME
    run --image "one.tar.gz@sha256:$sum" -- /opt/shell -c \
        'echo inside; [ -e /usr/bin/env ] || echo alone'
    [ "$rc" -eq 0 ] && [ "$(cat "$out")" = $'inside\nalone' ]
    ok $? "$1"
    [ "$rc" -eq 0 ] || { echo "# exit $rc"; diag "$err"; }
}
runs 'a task runs in its image'
mv "$images/one.tar.gz" "$images/two.tar.gz"
runs 'and again in what the server kept of it'

wrong=0000${sum:4}
refuses 9 9-INTEGRITY 'an image with another hash' \
    --image "two.tar.gz@sha256:$wrong" -- /bin/sh -c true
grep -q "$sum" "$out"
ok $? 'and its own hash is told'
refuses 3 3-NOENT 'an image that is not there' \
    --image "none.tar@sha256:$wrong" -- /bin/sh -c true
refuses 2 2-USAGE 'an image without a hash' --image two.tar.gz -- /bin/sh -c true
[ -z "$(find "$images" -mindepth 2 \( -name '*.part-*' -o -name '*.new-*' \))" ]
ok $? 'nothing half is left'
down && [ "$(ls "$images")" = two.tar.gz ]
ok $? 'the platform takes them away with it'
plan
