# SPDX-License-Identifier: GPL-3.0-or-later
# For shell tests: points in TAP, and a folder that goes away at the end.
# Sourced; XN_SRC and XN_BUILD are set.

set -u
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
n_tests=0

ok() { # RC NAME
    n_tests=$((n_tests + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n_tests - $2"
    else
        echo "not ok $n_tests - $2"
    fi
}

diag() { # FILE...; none: what is piped in
    sed 's/^/# /' "$@"
}

bail() {
    echo "Bail out! $*"
    exit 99
}

plan() { # last of all
    echo "1..$n_tests"
}

# Until the command succeeds, SECONDS at the most, or where the machine has much
# else to do XN_PATIENCE times as long.
await() { # SECONDS COMMAND...
    local deadline=$((SECONDS + $1 * ${XN_PATIENCE:-1}))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        read -rt 0.3 <> <(:) # a pause without a process
    done
    return 0
}
