#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What must not ship: paths of the machine it was written on, notes of things
# undone, conflict marks, blanks at line ends, C files without a licence line.
set -u
. "$(dirname "$0")/lint.sh"
cd "$src" || exit 1

# find_in NAME PATTERN [FILES' PATTERN]: no line of ours matches.
find_in() {
    local why
    why=$(our_files | grep -E "${3-.}" | grep -v '^tests/fuzz/corpus/' |
        tr '\n' '\0' | xargs -0 grep -nIE "$2" /dev/null)
    [ -z "$why" ]
    tap_point $? "$1" "$why"
}

# In pieces, or this file would find itself.
find_in "no path of the workplace" \
    '(^|[^[:alnum:]_.})-])/(wo''rk|ro''ot|tmp/x''n)(/|$|[^[:alnum:]_-])'
find_in "nothing noted as undone" '\<(TO''DO|FIX''ME|XX''X)\>'
find_in "no conflict marks" '^(<''<<<<<<|>''>>>>>>|===''====$)'
find_in "no blanks at line ends" '[[:blank:]]+$' '\.([chst]|mk|ac|sh|proto)$'

why=$(our_files | grep -E '\.[ch]$' | while read -r f; do
    head -n 1 "$f" | grep -q 'SPDX-License-Identifier: GPL-3.0-or-later' ||
        echo "$f"
done)
[ -z "$why" ]
tap_point $? "C files begin with their licence" "$why"

why=$(our_files | grep -E '\.h$' | while read -r f; do
    grep -qE '^#ifndef [A-Z0-9_]+_H$' "$f" || echo "$f"
done)
[ -z "$why" ]
tap_point $? "headers have include guards" "$why"
echo "1..$points"
