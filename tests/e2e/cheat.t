#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A dishonest server at a real xenocorpd: each lie is refused with its reason
# and exit code, and stands in the books with its reason.
set -u
build=${XN_BUILD:-.}
dir=$(mktemp -d) || exit 99
corp=''
cleanup() {
    [ -n "$corp" ] && kill -9 "$corp" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT

mkdir "$dir/work"
mkfifo "$dir/ready"
"$build/corp/xenocorpd" --name alpha.example --state "$dir/corp" \
    --set money.slack=0 --ready-fd 9 9>"$dir/ready" \
    >"$dir/corp.out" 2>"$dir/corp.log" </dev/null &
corp=$!
read -r -t 300 line <"$dir/ready"
if [[ $line != ready* ]]; then
    tail -n 5 "$dir/corp.log" | sed 's/^/# /'
    echo "Bail out! xenocorpd does not start"
    exit 1
fi
"$build/tests/e2e/cheat" "$(head -n 1 "$dir/corp.out")" "$dir/corp" \
    "$dir/work" >"$dir/out" 2>"$dir/err"
rc=$?
cat "$dir/out"
sed 's/^/# /' "$dir/err"
n=$(grep -c '^\(not \)\?ok ' "$dir/out")

point() { # RC NAME
    n=$((n + 1))
    [ "$1" -eq 0 ] && echo "ok $n - $2" || echo "not ok $n - $2"
}

[ $rc -eq 0 ]
point $? "every lie was told"
kill -TERM "$corp"
wait "$corp"
corp=''
"$build/corp/xenocorp" audit verify "$dir/corp" >"$dir/audit"
point $? "the books add up"
"$build/corp/xenocorp" audit export "$dir/corp" >"$dir/books"
while read -r reason; do
    grep -q "\"note\": *\"refused a claim of [^\"]*: $reason\"" "$dir/books"
    point $? "the books have the lie: $reason"
done < <(sed -n 's/^# recorded //p' "$dir/out" | sort -u)
echo "1..$n"
