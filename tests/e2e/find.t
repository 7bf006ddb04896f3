# SPDX-License-Identifier: GPL-3.0-or-later
# Answers of xenofind equal a filter over the catalogue: 24 servers, and with
# further advertisements.  XN_SOAK=1 asks in full: 300 queries, and 1000 over
# every offer that has a price.
. "$XN_SRC/tests/e2e/lib.sh"

data=$XN_SRC/../shared/data/offers-cloud2022/vms_aws.csv.xz
both=$scratch/offers.csv
servers=24 queries=100 ads=200 ads_queries=100
[ -z "${XN_FEWER-}" ] || servers=8

# The real catalogue where it is at hand, else the one that ships.
if [ -r "$data" ]; then
    # Azure's last column, generation, stands where AWS has the zone.
    {
        xzcat "$data"
        xzcat "${data%/*}/vms_azure.csv.xz" | tail -n +2
    } >"$both"
else
    echo "# no data sets beside the tree: the shipped catalogue is used"
    cp "$XN_SRC/dist/catalogue.csv" "$both"
fi
if [ -n "${XN_SOAK-}" ]; then
    queries=300 ads_queries=1000
    ads=$(awk -F, 'NR > 1 && $6 != ""' "$both" | wc -l)
    ads=$((ads - servers))
fi

check() { # ADS QUERIES SEED
    "$findcheck" "$both" 1 "$servers" "$1" "$2" "$3" "$xenofind" \
        >"$scratch/tap" || return 1
    grep '^#' "$scratch/tap" | head -n 40
    grep -v '^1\.\.' "$scratch/tap" | sed -n 's/^\(not \)*ok/&/p' |
        while read -r line; do echo "# $line"; done
    ! grep -q '^not ok' "$scratch/tap"
}

up --servers "$servers" --catalogue "$both"
check 0 "$queries" 1
ok $? "$queries random queries over $servers servers equal a filter"
down
ok $? "the platform went away"

up --servers "$servers" --catalogue "$both" --ads "$ads" --lease 6h
check "$ads" "$ads_queries" 2
ok $? "$ads_queries random queries over $ads further ads equal a filter"
down
ok $? "the platform went away again"
plan
