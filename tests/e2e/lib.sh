# SPDX-License-Identifier: GPL-3.0-or-later
# For the end-to-end tests: TAP, and a platform that always goes away again.
# Sourced; the caller sets nothing before.

. "${XN_SRC:?}/tests/tap.sh" # or it ends here: nothing below holds without it
xenodev=$XN_BUILD/tools/xenodev
xenofind=$XN_BUILD/discovery/xenofind
findcheck=$XN_BUILD/tests/e2e/findcheck
holders=$XN_BUILD/tests/e2e/holders
liar=$XN_BUILD/tests/e2e/liar
export XENODEV_STATE=$scratch/platform

goes_away() {
    "$xenodev" down --keep >/dev/null 2>&1
    rm -rf "$scratch"
}
trap goes_away EXIT
trap 'exit 99' INT TERM

up() { # xenodev's options
    "$xenodev" up "$@" >"$scratch/env" 2>"$scratch/up.err" || {
        diag "$scratch/up.err"
        tail -n 5 "$XENODEV_STATE"/log/*.log 2>/dev/null | diag
        bail "the platform did not come up"
    }
    eval "$(cat "$scratch/env")"
}

down() {
    "$xenodev" down || return 1
    [ ! -e "$XENODEV_STATE" ]
}

node_url() { # N: the API of server N's node
    echo "$XENO_NODES" | cut -d' ' -f"$1"
}

node_id() { # N: the id of server N's node
    sed -n 's/.*id=\([0-9a-f]\{64\}\).*/\1/p' \
        "$XENODEV_STATE/log/node-$(printf %02d "$1").log" | tail -n 1
}

names_at() { # N OPTION...: the servers that xenofind shows at this node
    local url
    url=$(node_url "$1")
    shift
    XENO_NODES=$url "$xenofind" -n all -o csv -c ServerName "$@" \
        2>>"$scratch/find.err" | tr -d '\r' | tail -n +2 | sort
}

server_names() { # N...
    local n
    for n; do printf 'server-%02d\n' "$n"; done | sort
}
