#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Who includes whom.  Each folder's `deps` file says what its C files may
# include, besides the folder's own:
#
#     may lib wire seam              folders
#     sys @c <openssl/*>             outside headers, patterns, groups
#     file xenonoded*.[ch] may net   more, for files of that name
#     file xenonoded*.[ch] sys @posix
#
# Groups stand in tests/lint/deps.groups.
set -u
. "$(dirname "$0")/lint.sh"
cd "$src" || exit 1
set -f # the patterns are for headers, not for files here

declare -A group
while read -r name rest; do
    case $name in @*) group[$name]="${group[$name]-} $rest" ;; esac
done <"$lint/deps.groups"

# read_deps FOLDER FILE: sets `may` and `sys` to what FILE may include.
read_deps() {
    local verb rest pattern g
    may= sys=
    while read -r verb rest; do
        if [ "$verb" = file ]; then
            read -r pattern verb rest <<<"$rest"
            # shellcheck disable=SC2053 # a pattern is meant
            [[ $2 == $pattern ]] || continue
        fi
        case $verb in
        may) may="$may $rest" ;;
        sys) sys="$sys $rest" ;;
        '' | '#'*) ;;
        *) why+=("$1/deps: cannot read: $verb $rest") ;;
        esac
    done <"$1/deps"
    for g in "${!group[@]}"; do
        sys=${sys//$g/${group[$g]}}
    done
}

# A header in <> that is one of ours counts as ours.
is_allowed() { # FOLDER HEADER QUOTED
    local folder=$1 header=$2 p
    case $header in *..*) return 1 ;; esac
    if [ "$header" = config.h ]; then return 0; fi
    if [ "$3" = '"' ] || [ -e "$header" ]; then
        case $header in
        "$folder"/*) return 0 ;;
        */*) case " $may " in *" ${header%%/*} "*) return 0 ;; esac ;;
        *) [ -e "$folder/$header" ] && return 0 ;;
        esac
        return 1
    fi
    for p in $sys; do
        # shellcheck disable=SC2053 # a pattern is meant
        [[ "<$header>" == $p ]] && return 0
    done
    return 1
}

check_file() { # FOLDER PATH
    local line n text header
    read_deps "$1" "${2##*/}"
    while IFS=: read -r n text; do
        line="$2:$n"
        if [[ $text =~ include[[:space:]]*([\"\<])([^\"\>]+)[\"\>] ]]; then
            header=${BASH_REMATCH[2]}
            is_allowed "$1" "$header" "${BASH_REMATCH[1]}" ||
                why+=("$line: may not include $header")
        else
            why+=("$line: an include this test cannot read:$text")
        fi
    done < <(grep -nE '^[[:space:]]*#[[:space:]]*include' "$2")
}

sources=$(our_files | grep -E '^[^/]+/.*\.[ch]$')
for folder in $(printf '%s\n' "$sources" | cut -d/ -f1 | sort -u); do
    case $folder in tests | bench) continue ;; esac # may include everything
    why=()
    if [ ! -f "$folder/deps" ]; then
        tap_point 1 "$folder" "$folder has no deps file"
        continue
    fi
    for f in $(printf '%s\n' "$sources" | grep "^$folder/"); do
        check_file "$folder" "$f"
    done
    [ "${#why[@]}" -eq 0 ]
    tap_point $? "$folder includes what its deps file allows" \
        ${why[@]+"${why[@]}"}
done
echo "1..$points"
