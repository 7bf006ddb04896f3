# SPDX-License-Identifier: GPL-3.0-or-later
# Bad input to the programs: three lines, the right exit code and the same in
# brackets, nothing lost.
set -u
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
err=$scratch/err
n=0
xenofind=$XN_BUILD/discovery/xenofind
noded=$XN_BUILD/node/xenonoded
corpd=$XN_BUILD/corp/xenocorpd
hostd=$XN_BUILD/hostagent/xenohostd
xenodev=$XN_BUILD/tools/xenodev
xenosim=$XN_BUILD/sim/xenosim
unset XENO_NODES XENO_CORP XENO_KEY XENO_CONFIG XDG_STATE_HOME
export HOME=$scratch # nothing that the user has

refuses() { # EXIT TEXT NAME COMMAND...: exit code, and stderr says TEXT
    local want=$1 text=$2 name=$3 rc good=1
    shift 3
    timeout 300 "$@" </dev/null >/dev/null 2>"$err"
    rc=$?
    n=$((n + 1))
    [ "$rc" -eq "$want" ] && grep -q -- "$text" "$err" &&
        grep -qE "^[a-z]+: .* \[XS-$want-[A-Z_]+\]\$" "$err" &&
        grep -q '^  because: ' "$err" && grep -q '^  try: ' "$err" && good=0
    if [ "$good" -eq 0 ]; then
        echo "ok $n - $name"
    else
        echo "# exit $rc, wanted $want and '$text'; it said:"
        sed 's/^/#   /' "$err" | head -n 12
        echo "not ok $n - $name"
    fi
}

# ---- configuration ----
printf 'overlay {\n    lonks = 5\n}\n' >"$scratch/bad.conf"
refuses 2 'bad.conf:2:5.*overlay.links' 'an unknown key: line, column, nearest' \
    "$noded" --state "$scratch/s1" --config "$scratch/bad.conf"
printf 'overlay {\n    links = 5\n    links = 6\n}\n' >"$scratch/twice.conf"
refuses 2 'twice.conf:3' 'a key given twice' \
    "$noded" --state "$scratch/s1" --config "$scratch/twice.conf"
refuses 2 'overlay.links' 'a number out of range' \
    "$noded" --state "$scratch/s1" --set overlay.links=99999999
refuses 2 'overlay.address' 'an address that is none' \
    "$noded" --state "$scratch/s1" --set overlay.address=nowhere
refuses 2 'nothere.conf' 'a configuration that is not there' \
    "$noded" --state "$scratch/s1" --config "$scratch/nothere.conf"

# ---- keys ----
"$XN_BUILD/corp/xenocorp" init "$scratch/open" gamma.example >/dev/null
chmod 644 "$scratch/open/key.pem"
refuses 6 'key.pem' 'a key that others can read' \
    "$corpd" --state "$scratch/open" --name gamma.example --listen-api 127.0.0.1:0
mkdir -m 700 "$scratch/garbage"
echo 'not a key' >"$scratch/garbage/key.pem"
chmod 600 "$scratch/garbage/key.pem"
refuses 6 'key.pem' 'a key that is none' \
    "$corpd" --state "$scratch/garbage" --name gamma.example --listen-api 127.0.0.1:0
n=$((n + 1))
if [ "$(cat "$scratch/garbage/key.pem")" = 'not a key' ]; then
    echo "ok $n - and it is left as it was"
else
    echo "not ok $n - and it is left as it was"
fi

# ---- folders ----
mkdir -m 777 "$scratch/shared"
ln -s "$scratch/victim" "$scratch/shared/lock"
echo 'mine' >"$scratch/victim"
refuses 6 'others can change' 'a state folder that others can write to' \
    "$corpd" --state "$scratch/shared" --name gamma.example --listen-api 127.0.0.1:0
refuses 6 'others can change' 'also for a new XenoCorp' \
    "$XN_BUILD/corp/xenocorp" init "$scratch/shared" gamma.example
refuses 6 'others can change' 'and for a platform' \
    "$xenodev" status --state "$scratch/shared"
n=$((n + 1))
if [ "$(cat "$scratch/victim")" = 'mine' ]; then
    echo "ok $n - and nothing was written through it"
else
    echo "not ok $n - and nothing was written through it"
fi
"$XN_BUILD/corp/xenocorp" init "$scratch/known" gamma.example >/dev/null
chmod 755 "$scratch/known"
mkfifo "$scratch/ready"
"$corpd" --state "$scratch/known" --listen-api 127.0.0.1:0 \
    --ready-fd 9 9>"$scratch/ready" >/dev/null 2>&1 &
corp=$!
read -r _ <"$scratch/ready"
kill "$corp" && wait "$corp"
n=$((n + 1))
if [ -s "$scratch/known/store.kct" ] &&
    [ -z "$(find "$scratch/known" -name 'store.kct*' -perm /077)" ]; then
    echo "ok $n - what members told of themselves is the daemon's alone"
else
    ls -l "$scratch/known" | sed 's/^/# /'
    echo "not ok $n - what members told of themselves is the daemon's alone"
fi

# ---- addresses ----
refuses 2 'nonsense' 'an address that is none' \
    "$corpd" --state "$scratch/c1" --name gamma.example --listen-api nonsense
refuses 2 'not-an-id' 'a corp without a pin' \
    "$noded" --state "$scratch/s2" --corp 'https://127.0.0.1:1#not-an-id'
refuses 7 '127.0.0.1:1' 'a corp that does not answer' \
    "$noded" --state "$scratch/s3" --listen 127.0.0.1:0 --listen-api 127.0.0.1:0 \
    --corp "https://127.0.0.1:1#$(printf '%064d' 0)"
refuses 2 'host' 'a server without an offer' "$hostd" --state "$scratch/h1"

for bad in price.per_hour=-1 price.per_hour=1,50 price.per_hour=.5 \
    price.currency=usd offer.country=Germany offer.memory_mb=4GB; do
    refuses 2 "because: ${bad%=*} is .*not '${bad#*=}'" "an offer with $bad" \
        "$hostd" --state "$scratch/h2" --node https://127.0.0.1:1 \
        --set price.currency=GBP --set price.per_hour=1 --set "$bad"
done

# ---- searching ----
refuses 2 'CPUsmps' 'a condition without a value' "$xenofind" CPUsmps
refuses 2 'where' 'boolean text that does not parse' "$xenofind" --where 'A = '
refuses 2 'sideways' 'an unknown output form' "$xenofind" -o sideways
refuses 6 'XenoCorp' 'no XenoCorp to trust' \
    env XENO_NODES=https://127.0.0.1:1 "$xenofind" CPUsmps:1..

# ---- the platform and the simulator ----
refuses 2 'servers' 'a number of servers that is none' \
    "$xenodev" up --state "$scratch/p" --servers many
refuses 2 'statsu.*status' 'a verb that is nearly one' "$xenodev" statsu
refuses 2 'kill which servers' 'a kill of nobody' \
    "$xenodev" kill --state "$scratch/none"
refuses 2 "down takes no.*'3'" 'a down of one server' \
    "$xenodev" down 3 --state "$scratch/none"
refuses 3 'platform' 'no platform' "$xenodev" status --state "$scratch/none"
printf 'Name,Size\nx,1\n' >"$scratch/bad.csv"
refuses 2 'Price' 'a catalogue without prices' \
    "$xenodev" up --state "$scratch/p2" --catalogue "$scratch/bad.csv"
printf 'rtt_ms 2\n0 10\n10 far\n' >"$scratch/bad.txt"
refuses 2 'bad.txt: row 2 is not 2 numbers' 'latencies that are none' \
    "$xenodev" up --state "$scratch/p3" --latency "$scratch/bad.txt"
refuses 2 'bad.dat: is none of' 'latencies in no known form' \
    "$xenodev" up --state "$scratch/p4" --latency "$scratch/bad.dat"
refuses 1 'nothere.txt: No such file' 'latencies that are not there' \
    "$xenodev" up --state "$scratch/p5" --latency "$scratch/nothere.txt"
printf 'nodes 10\nfrobnicate 7\n' >"$scratch/bad.scn"
refuses 2 'bad.scn:2' 'a scenario with an unknown word' \
    "$xenosim" run "$scratch/bad.scn"
echo "1..$n"
