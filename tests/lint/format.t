#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every C file is as clang-format leaves it (.clang-format on top).
set -u
. "$(dirname "$0")/lint.sh"
cf=${XN_CLANG_FORMAT:-$(command -v clang-format)}
if [ -z "$cf" ]; then
    echo "1..0 # SKIP clang-format is not installed"
    exit 0
fi
# Versions differ in small things; one is the measure.
case $("$cf" --version) in
*"version 14."*) ;;
*)
    echo "1..0 # SKIP the measure is clang-format 14: $("$cf" --version)"
    exit 0
    ;;
esac
cd "$src" || exit 1
for folder in $(our_files | grep -E '^[^/]+/.*\.[ch]$' | cut -d/ -f1 |
    sort -u); do
    why=$(our_files | grep -E "^$folder/.*\.[ch]$" |
        xargs "$cf" --dry-run -Werror 2>&1 | grep -E '^[^ ]+: error')
    [ -z "$why" ]
    tap_point $? "$folder (repair: clang-format -i FILE)" "$why"
done
echo "1..$points"
