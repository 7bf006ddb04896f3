#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A release must hold every file of ours: what no local.mk lists is named here
# at once, rather than by `make distcheck` minutes later.
set -u
. "$(dirname "$0")/lint.sh"
if [ ! -f "$build/Makefile" ]; then
    echo "1..0 # SKIP no Makefile in $build"
    exit 0
fi
listed=$(make -s --no-print-directory -C "$build" -f Makefile list-dist |
    tr -s ' ' '\n' | sed "s,^$src/,,; s,^\./,," | sort -u)
[ -n "$listed" ]
tap_point $? "the build can tell what a release holds"

why=$(our_files | grep -vE '^(\.gitignore|\.ci/)' | awk '
    NR == FNR { listed[$0] = 1; next }
    {
        # A folder may be listed as a whole.
        for (p = $0; !(p in listed); sub(/\/[^\/]*$/, "", p))
            if (p !~ /\//) { print; break }
    }' <(printf '%s\n' "$listed") -)
[ -z "$why" ]
tap_point $? "every file is listed in a local.mk" "$why"
echo "1..$points"
