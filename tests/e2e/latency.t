# SPDX-License-Identifier: GPL-3.0-or-later
# A platform as wide as a matrix says: servers tell where they are, and nodes
# hear each other late, also after a restart.
. "$XN_SRC/tests/e2e/lib.sh"

now_ms() {
    local s=${EPOCHREALTIME/[.,]/}
    echo $((s / 1000))
}

# 400 ms from anywhere to anywhere: a star, which coordinates fit exactly.
{
    echo 'rtt_ms 8'
    for i in 1 2 3 4 5 6 7 8; do
        for j in 1 2 3 4 5 6 7 8; do
            [ "$i" = "$j" ] && printf '0 ' || printf '400 '
        done
        echo
    done
} >"$scratch/star.txt"
up --servers 8 --latency "$scratch/star.txt"
ok 0 "eight servers are up and findable, 400 ms from each other"

"$xenofind" CPUsmps:1.. -n all -o csv \
    -c CoordinateX,CoordinateY,CoordinateH,CoordinateError 2>/dev/null |
    tr -d '\r' | tail -n +2 >"$scratch/places"
awk -F, '{ x[NR] = $1; y[NR] = $2; h[NR] = $3; if ($4 > 0.1) bad = 1 }
    END {
        for (i = 1; i <= NR; i++)
            for (j = 1; j < i; j++) {
                d = sqrt((x[i] - x[j]) ^ 2 + (y[i] - y[j]) ^ 2) + h[i] + h[j]
                if (d < 300 || d > 500) bad = 1
            }
        exit bad || NR != 8
    }' "$scratch/places"
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/places"
ok "$rc" "their coordinates say so"

# Five nodes at most hold a copy of any token: some of the eight must ask.
slowest() {
    local n begun took most=0
    for n in 1 2 3 4 5 6 7 8; do
        begun=$(now_ms)
        XENO_NODES=$(node_url "$n") "$xenofind" CPUsmps:1.. -n 1 \
            >/dev/null 2>&1 || return 1
        took=$(($(now_ms) - begun))
        [ "$took" -le "$most" ] || most=$took
    done
    echo "$most"
}
took=$(slowest)
echo "# the slowest of eight searches took ${took:-?} ms"
[ "${took:-0}" -ge 400 ]
ok $? "whoever must ask another node waits for a round trip"

"$xenodev" kill 2 && "$xenodev" start 2
ok $? "a server comes back"
pid=$(sed -n 's/.*pid=\([0-9]*\).*/\1/p' "$XENODEV_STATE/log/node-02.log" |
    tail -n 1)
tr '\0' '\n' <"/proc/$pid/cmdline" | grep -q "/node-02.delay$"
ok $? "and is as far away as before"

"$xenodev" up --state "$scratch/other" --latency "$scratch/places" \
    >/dev/null 2>"$scratch/err"
[ $? -eq 2 ] && grep -q 'is none of .u16le.xz' "$scratch/err"
ok $? "what is no matrix brings nothing up"
down
ok $? "the platform went away"
plan
