#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The linker's word that cores are pure: what an archive wants from outside
# must stand in pure.allow or be defined by an archive below it, and a core
# keeps nothing in file-scope variables (100,000 nodes share a process).
set -uf
. "$(dirname "$0")/lint.sh"
cd "$build" || exit 1
nm=${XN_NM:-nm}

lower="lib/libxnlib.a wire/libwire.a seam/libseam.a"
declare -A archive=([lib]=lib/libxnlib.a [wire]=wire/libwire.a
    [seam]=seam/libseam.a [overlay]=overlay/liboverlay.a
    [index]=index/libindex.a [discovery]=discovery/libdiscovery.a
    [node]=node/libnode.a [corp]=corp/libcorp.a
    [hostagent]=hostagent/libhostagent.a)
declare -A below=([lib]="" [wire]="lib/libxnlib.a"
    [seam]="lib/libxnlib.a wire/libwire.a" [overlay]=$lower
    [index]="$lower overlay/liboverlay.a" [discovery]=$lower
    [node]="$lower overlay/liboverlay.a index/libindex.a
        discovery/libdiscovery.a" [corp]=$lower [hostagent]=$lower)

defined() { # ARCHIVE...: names defined for others to use
    local a
    for a; do
        [ -f "$a" ] && "$nm" -g --defined-only "$a" 2>/dev/null
    done | awk 'NF == 3 { print $3 }'
}

# outside FOLDER: the symbols that FOLDER's archive must not want.
# __memcpy_chk is what _FORTIFY_SOURCE makes of memcpy, __isoc99_ of scanf.
outside() {
    {
        # shellcheck disable=SC2086 # a list
        defined "${archive[$1]}" ${below[$1]} | sed 's/^/have /'
        grep -v '^#' "$lint/pure.allow" | while read -r who names; do
            case $who in "*" | "$1") word=allow ;; "-") word=deny ;;
            -cores) word=deny; case $1 in lib | wire | seam) continue ;; esac ;;
            *) continue ;;
            esac
            # shellcheck disable=SC2086 # a list, of patterns for awk
            printf "$word %s\n" $names
        done
        "$nm" -A -u "${archive[$1]}" | awk '{ print "want", $NF, $1 }'
    } | awk '
        $1 == "have" { have[$2] = 1 }
        $1 == "allow" {
            if ($2 ~ /\*$/) prefix[substr($2, 1, length($2) - 1)] = 1
            else have[$2] = 1
        }
        $1 == "deny" { deny[$2] = 1 }
        $1 == "want" {
            s = $2
            if (s ~ /^__.*_chk$/) { sub(/^__/, "", s); sub(/_chk$/, "", s) }
            if (s in deny || $2 in deny) { print $3 " " $2; next }
            if (s in have || $2 in have) next
            for (p in prefix) if (index(s, p) == 1) next
            print $3 " " $2
        }' | sort -u | while read -r where symbol; do
        undefined_but_declared "$1" "$symbol" || echo "$where $symbol"
    done
}

# A function that a header here or below declares and no archive defines is the
# linker's business; one that an archive of back ends defines is not excused.
undefined_but_declared() { # FOLDER SYMBOL
    local a headers
    case $2 in *_*) ;; *) return 1 ;; esac # ours have a prefix
    grep -qx "$2" <<<"$all_defined" && return 1
    headers=$(cd "$src" && for a in ${archive[$1]} ${below[$1]}; do
        find "$PWD/${a%/*}" -maxdepth 1 -name '*.h' 2>/dev/null
    done)
    [ -n "$headers" ] && grep -q "\<$2(" $headers
}
all_defined=$(find . -name '*.a' -exec "$nm" -g --defined-only {} + \
    2>/dev/null | awk 'NF == 3 { print $3 }')

# Writable data.  .data.rel.ro is constant once the program is loaded.
variables() {
    "$nm" -A -f sysv --defined-only "$1" | awk -F'|' '
        $NF ~ /^(\.data|\.bss|\.tdata|\.tbss)($|\.)/ || $NF ~ /COM/ {
            if ($NF ~ /^\.data\.rel\.ro/) next
            gsub(/ /, "", $1); print $1 ": variable in " $NF
        }'
}

for folder in lib wire seam overlay index discovery node corp hostagent; do
    a=${archive[$folder]}
    if [ ! -f "$a" ]; then
        tap_skip "$folder" "$a was not built"
        continue
    fi
    if "$nm" -u "$a" | grep -qE '__(asan|ubsan|gcov|sanitizer)_'; then
        tap_skip "$folder" "instrumented build; judged in a plain one"
        continue
    fi
    why=$(outside "$folder")
    [ -z "$why" ]
    tap_point $? "$a wants nothing impure" "$why"
    case $folder in wire) continue ;; esac # caches of compiled schemas
    why=$(variables "$a")
    [ -z "$why" ]
    tap_point $? "$a has no file-scope variable" "$why"
done
echo "1..$points"
