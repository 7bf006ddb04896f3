# SPDX-License-Identifier: GPL-3.0-or-later
# Every program has --help and --version, and its manual page names every
# option that --help names.
. "$XN_SRC/tests/tap.sh"

check() { # PROGRAM PAGE
    local program=$XN_BUILD/$1 page=$XN_SRC/man/$2 name=${1##*/} missing option
    if [ ! -x "$program" ]; then
        echo "# $program was not built"
        ok 1 "$name is built"
        return
    fi
    "$program" --version </dev/null 2>&1 | grep -q "^$name (XenoServer) [0-9]"
    ok $? "$name --version"
    "$program" --help </dev/null >/dev/null 2>&1
    ok $? "$name --help ends with 0"
    if [ -w /dev/full ]; then
        "$program" --help </dev/null >/dev/full 2>"$err"
        [ $? -eq 1 ] && grep -q '^  because: No space left' "$err"
        ok $? "$name --help on a full disk ends with 1 and says so"
    fi
    missing=
    for option in $("$program" --help </dev/null 2>&1 |
        grep -oE '(^|[^-[:alnum:]])--[a-z][a-z-]*' | grep -oE '[a-z][a-z-]*' |
        sort -u); do
        # What all daemons share stands in xenodaemon(7).
        grep -qE "Fl -$option( |\$|[^a-z-])" "$page" \
            "$XN_SRC/man/xenodaemon.7" || missing="$missing --$option"
    done
    [ -z "$missing" ] || echo "# not in man/$2:$missing"
    [ -z "$missing" ]
    ok $? "man/$2 names every option"
    "$program" --frobnicate </dev/null >/dev/null 2>"$err"
    [ $? -eq 2 ]
    ok $? "$name: an unknown option is exit 2"
    grep -q "^$name: .* \[XS-2-[A-Z]*\]$" "$err" &&
        grep -q '^  because: .*frobnicate' "$err" &&
        grep -q '^  try: ' "$err"
    ok $? "$name: and says what, because, try"
}

err=$scratch/err
check corp/xenocorp xenocorp.8
check corp/xenocorpd xenocorpd.8
check discovery/xenofind xenofind.1
check hostagent/xenohostd xenohostd.8
check keeper/xenodomd xenodomd.8
check hostagent/xenoserver xenoserver.8
check node/xenonoded xenonoded.8
check sim/xenosim xenosim.1
check tools/xeno xeno.1
check tools/xenodev xenodev.1
plan
