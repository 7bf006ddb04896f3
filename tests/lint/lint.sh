# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by the lint tests.  XN_SRC is the source tree (lint-fails.t gives a
# spoilt copy), XN_BUILD the build tree.

src=${XN_SRC:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
build=${XN_BUILD:-$src/build}
lint=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
points=0

# tap_point RC NAME [WHY...]: one TAP point; the reasons stand below it.
tap_point() {
    local rc=$1 name=$2 why
    shift 2
    points=$((points + 1))
    if [ "$rc" -eq 0 ]; then
        echo "ok $points - $name"
    else
        echo "not ok $points - $name"
        for why; do printf '%s\n' "$why" | sed 's/^/# /'; done
    fi
}

tap_skip() {
    points=$((points + 1))
    echo "ok $points - $1 # SKIP $2"
}

# All files that are ours, relative to the source tree.  Without git (a
# release, a machine that has none) whatever is there, less what is made.
our_files() {
    (
        cd "$src" || exit 1
        if [ -e .git ] && git ls-files -z >/dev/null 2>&1; then
            git ls-files -z --cached --others --exclude-standard
        else
            find . -mindepth 1 \( -name .git -o -name autom4te.cache \
                -o -name build-aux -o -path ./build -o -name .deps \
                -o -name '*.pb-c.[ch]' \) -prune \
                -o -type d -exec test -e '{}/config.status' \; -prune \
                -o -type f ! -name Makefile ! -name GNUmakefile \
                ! -name Makefile.in ! -name configure ! -name 'configure~' \
                ! -name aclocal.m4 ! -name 'config.[hls]*' \
                ! -name stamp-h1 ! -name .dirstamp ! -name '*.[ao]' \
                ! -name '*.log' ! -name '*.trs' ! -name '*.tar.xz' -print0
        fi
    ) | while IFS= read -r -d '' f; do
        [ -f "$src/$f" ] || continue
        case $f in # a build directory that git does not know to ignore
        [!.]*/*) [ ! -e "$src/${f%%/*}/config.status" ] || continue ;;
        esac
        # Programs of a build within the tree.
        if IFS= read -r -N 4 start <"$src/$f" &&
            [ "$start" = $'\x7fELF' ]; then
            continue
        fi
        printf '%s\n' "${f#./}"
    done 2>/dev/null | sort
}
