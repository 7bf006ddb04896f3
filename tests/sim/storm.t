#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Power losses, partitions, heavy-tailed churn: nothing false, and all is found
# again in the quiet times. With a full mesh, and with a tight link budget.
set -u
xenosim=$XN_BUILD/sim/xenosim
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
n=0
for links in 1024 24; do
    n=$((n + 1))
    if "$xenosim" run "$XN_SRC/sim/scenarios/storm.scn" --nodes 40 --seed $n \
        --set overlay.links=$links >"$scratch/out" 2>&1 &&
        grep -q '^checks.settled [1-9][0-9]' "$scratch/out" &&
        grep -q '^get.count [1-9][0-9][0-9]' "$scratch/out"; then
        echo "ok $n - a storm over 40 nodes with $links links each"
    else
        sed 's/^/# /' "$scratch/out"
        echo "not ok $n - a storm over 40 nodes with $links links each"
    fi
done
echo "1..$n"
