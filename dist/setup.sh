# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by ./quickstart and .ci/run: packages, configuration and build with
# a line per step.  $top is the source tree.

# gripe WHAT BECAUSE TRY: the form in which every program here complains.
gripe() {
    printf '%s: %s\n  because: %s\n  try:     %s\n' \
        "${0##*/}" "$1" "$2" "$3" >&2
}

# follow NAME LOG: standard input to the log, its latest line to the terminal.
follow() {
    local line
    while IFS= read -r line; do
        printf '%s\n' "$line" >&4
        printf '\r%s ... %.50s\033[K' "$1" "${line//[[:cntrl:]]/ }"
    done 4>"$2"
    printf '\r%s ... \033[K' "$1"
}

# step NAME LOG COMMAND...: run it quietly, say how long it took; on failure
# show the end of the log.
step() {
    local name=$1 log=$2 rc=0 t=$SECONDS
    shift 2
    printf '%s ... ' "$name"
    mkdir -p "$(dirname "$log")"
    if [ -t 1 ]; then
        "$@" 2>&1 </dev/null | follow "$name" "$log"
        rc=${PIPESTATUS[0]}
    else
        "$@" >"$log" 2>&1 </dev/null || rc=$?
    fi
    if [ "$rc" -eq 0 ]; then
        printf 'done in %d s\n' $((SECONDS - t))
    else
        printf 'failed (exit %d)\n' "$rc"
        tail -n 40 "$log" | sed 's/^/    /'
        gripe "$name failed" "see the lines above, or all of $log" \
            "the same command again once that is repaired"
    fi
    return "$rc"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Lists of packages are fetched only where apt does not know one of them or
# knows a version that is gone: a second run needs no network.
apt_install() {
    local apt="env DEBIAN_FRONTEND=noninteractive apt-get -q -y"
    if ! as_root $apt install --no-install-recommends "$@"; then
        as_root $apt update &&
            as_root $apt install --no-install-recommends "$@"
    fi
}

# install_missing FILE...: each line of FILE names a package and its purpose.
install_missing() {
    local package purpose missing=()
    command -v dpkg-query >/dev/null || {
        echo "No dpkg here: taking the packages for granted."
        return 0
    }
    while read -r package purpose; do
        case $package in '' | '#'*) continue ;; esac
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        *' installed') continue ;;
        esac
        [ "${#missing[@]}" -gt 0 ] || echo "Missing Debian packages:"
        printf '  %-22s %s\n' "$package" "$purpose"
        missing+=("$package")
    done < <(cat "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        gripe "cannot install packages" "neither root nor sudo" \
            "as root: apt-get install ${missing[*]}"
        return 1
    fi
    # sudo may ask for a password: not where its question would be hidden.
    if [ "$(id -u)" -ne 0 ]; then sudo -v || return 1; fi
    step "Installing ${#missing[@]} packages" "$top/build/packages.log" \
        apt_install "${missing[@]}"
}

jobs() { nproc 2>/dev/null || echo 1; }

# configure_in DIR CONFIGURE-OPTION...: where that was not done so before.
configure_in() {
    local dir=$1 want
    shift
    if [ -e "$top/config.status" ]; then
        gripe "cannot build in $dir" "the source tree itself is configured" \
            "make distclean"
        return 1
    fi
    mkdir -p "$dir" || return 1
    [ -x "$top/configure" ] ||
        step "Making ./configure" "$dir/autogen.log" "$top/autogen.sh" ||
        return 1
    want="$*"
    if [ ! -f "$dir/Makefile" ] ||
        [ "$want" != "$(cat "$dir/configured-with" 2>/dev/null)" ]; then
        step "Configuring" "$dir/configure.log" \
            in_dir "$dir" "$top/configure" "$@" || return 1
        printf '%s\n' "$want" >"$dir/configured-with"
    fi
}

# build_in DIR CONFIGURE-OPTION...: and then make, which itself finds out when
# nothing is to be done.
build_in() {
    configure_in "$@" &&
        step "Building" "$1/make.log" make -C "$1" -j"$(jobs)"
}

in_dir() {
    cd "$1" || return 1
    shift
    "$@"
}

# check_in DIR LOG [make argument]...: make check, showing what is not a pass.
# Sets `passed` and `failed`; the numbers are make's own closing line.
check_in() {
    local dir=$1 log=$2 rc
    shift 2
    make --no-print-directory -C "$dir" -j"$(jobs)" check "$@" \
        </dev/null >"$log" 2>&1
    rc=$?
    count_from "$log" "$rc"
    # The list at the end has each of them once.
    sed -n '/^Testsuite summary/,$ { /^\(FAIL\|ERROR\|XPASS\|SKIP\): /p; }' \
        "$log"
    if [ "$failed" -gt 0 ]; then
        if [ -f "$dir/test-suite.log" ]; then
            echo "The end of $dir/test-suite.log:"
            tail -n 200 "$dir/test-suite.log" | sed 's/^/    /'
        fi
        echo "The end of $log:"
        tail -n 40 "$log" | sed 's/^/    /'
    fi
    return "$rc"
}

# count_from LOG RC: the last closing line in LOG; what failed without one
# counts as one failure.
count_from() {
    local line
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$1" | tail -n 1)
    passed=0 failed=0
    [ -z "$line" ] || read -r passed _ failed _ <<<"$line"
    if [ "$2" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
}
