# SPDX-License-Identifier: GPL-3.0-or-later
# An operator's days: join, start, status, offer, drain, doctor, earnings.
. "$XN_SRC/tests/e2e/lib.sh"
xenoserver=$XN_BUILD/hostagent/xenoserver
state=$scratch/my/server
host=

stop_host() {
    [ -z "$host" ] || { kill "$host" && wait "$host"; } 2>/dev/null
    host=
}
trap 'stop_host; goes_away' EXIT

run() { # WORDS...: standard output in out, the rest in err, its code in rc
    "$xenoserver" "$@" --state "$state" >"$scratch/out" 2>"$scratch/err"
    rc=$?
}
said() { grep -q -- "$1" "$scratch/out"; }
told() { grep -q -- "$1" "$scratch/err" && grep -q '^  try: ' "$scratch/err"; }
check() { # RC NAME: after a failure, what was said
    ok "$1" "$2"
    [ "$1" -eq 0 ] || diag "$scratch/out" "$scratch/err"
}
start_host() { # with what join said
    local line
    mkfifo "$scratch/ready"
    eval "$next --ready-fd 9" 9>"$scratch/ready" >>"$scratch/host.log" 2>&1 &
    host=$!
    read -rt 300 line <"$scratch/ready"
    rm -f "$scratch/ready"
    [[ $line == ready* ]]
}
offered() { "$xenoserver" status --state "$state" 2>/dev/null | grep -q "$1"; }
found() { [ -n "$("$xenofind" -o name "$@" 2>>"$scratch/find.err")" ]; }
lost() { ! found "$@"; }

up --servers 2
corp=${XENO_CORP%%[ ,]*} other=${XENO_CORP##*[ ,]}
node=$(node_url 1)

run status
[ "$rc" -eq 6 ] && told 'holds no key'
check $? 'without a key, status says how to join'
tree() { # every name, mode, owner, time and byte
    find "$scratch/my" -printf '%p %m %U %s %T@ %l\n' 2>/dev/null
    find "$scratch/my" -type f -exec md5sum {} + 2>/dev/null
}
plans() { # WORDS...: join --dry-run does, and nothing is another afterwards
    tree | sort >"$scratch/tree.before"
    run join --dry-run "$@"
    tree | sort | cmp -s - "$scratch/tree.before"
}
mkdir -p "$scratch/my"
plans "$corp" --label otter --node "$node" --invitation sesame \
    Currency=GBP PricePerHour=0.01 CPUSecond=0.001 CPUsmps=2000 &&
    [ "$rc" -eq 0 ] && said "^would register with $corp as otter" &&
    said '^an hour *7.21 GBP' && said "^would write *$state/xenohostd.conf" &&
    said '^  +     per_hour = "0.01"' && said 'nothing was changed' &&
    ! grep -q sesame "$scratch/out"
check $? 'join --dry-run tells offer, prices and files, and changes nothing'
plans "${corp%%:*}://127.0.0.1:1#${corp#*#}" && [ "$rc" -eq 0 ] &&
    said '^not yet .*currency' && said '^[0-9]* ok, [0-9]* warn'
check $? 'it asks no XenoCorp'
plans "$corp" PricePerHour=cheap && [ "$rc" -eq 2 ] && told 'is an amount'
check $? 'what join would refuse it refuses'
run join "$corp" --label otter --node "$node" --listen-api 127.0.0.1:0 \
    --invitation 'say "otter"'
[ "$rc" -eq 0 ] && said '^registered ' && said 'xenoserver offer' &&
    grep -qF 'invitation = "say \"otter\""' "$state/xenohostd.conf"
check $? 'join registers and writes a configuration'
said "^next .*xenoserver offer --state $state "
check $? 'what it says to do next is about that folder'
run join "$corp"
[ "$rc" -eq 0 ] && said '^registered already with alpha.example as '
check $? 'the same again says so'
"$XN_BUILD/hostagent/xenohostd" --state "$state" --node "$node" \
    --config "$state/xenohostd.conf" 2>"$scratch/err"
[ $? -eq 2 ] && grep -q 'no price.currency' "$scratch/err"
check $? 'xenohostd understands it and misses the price, as join said'
"$XN_BUILD/hostagent/xenohostd" --state "$state" --node "$node" \
    --config "$state/xenohostd.conf" --set admission.program=judge \
    2>"$scratch/err"
[ $? -ne 0 ] && told 'no absolute path'
check $? 'xenohostd does not start with a program that it cannot trust'
run offer
[ "$rc" -eq 0 ] && said '^configuration'
check $? 'offer without words shows it'

cp "$state/xenohostd.conf" "$scratch/before"
for bad in Currency=gbp PricePerHour=cheap CPUsmps=-4 Country=Germany \
    price.per_huor=1 nonsense offer.tokens=x 'City=a
b'; do
    run offer Currency=GBP PricePerHour=0.0121 "$bad"
    [ "$rc" -eq 2 ] && told 'because: '
    check $? "offer refuses ${bad%%$'\n'*}"
done
run offer Currency=GBP PricePerHour=cheap
told 'xenohostd.conf:[0-9]*:[0-9]*: price.per_hour is an amount'
check $? 'and says in which line and column it would stand'
cmp -s "$scratch/before" "$state/xenohostd.conf"
check $? 'and leaves the file as it was'
sed -i '1i # my own remark' "$state/xenohostd.conf"
run offer Currency=GBP PricePerHour=0.0121 CPUsmps=2000 MemoryMB=1024 \
    'Disk=SSD; mirrored' Rack=7
[ "$rc" -eq 0 ] && said '^changed' && said 'does not run' &&
    grep -q '^# my own remark' "$state/xenohostd.conf"
check $? 'offer sets prices, amounts and tokens, and keeps remarks'
[ -z "$(find "$state" -name 'xenohostd.conf.*')" ]
check $? 'and leaves nothing beside it'

run join "$corp" --node "$node"
cp "$state/xenohostd.conf" "$scratch/before"
(cd "$state" && md5sum ./*.pem joined) >"$scratch/sums"
run join "$corp" --node "$node" Currency=GBP
[ "$rc" -eq 0 ] && said 'registered already' && said 'left as it is' &&
    said "next .*xenohostd --state" &&
    cmp -s "$scratch/before" "$state/xenohostd.conf" &&
    (cd "$state" && md5sum --quiet -c "$scratch/sums")
check $? 'join again changes nothing and says what to start'
plans "$other" && [ "$rc" -eq 0 ] && said "^would accept  *with $other as otter" &&
    said "^  -     corps = \"$corp\"$" &&
    said "^  +     corps = \"$corp $other\"$"
check $? 'a dry run shows what becomes of what is there'
plans "$corp" PricePerHour=7 && [ "$rc" -eq 4 ] && told 'xenoserver offer'
check $? 'and refuses what is configured otherwise'
plans "$corp" -o json && [ "$rc" -eq 0 ] && said '"would": "registered already"' &&
    said '"files": \[\]'
check $? 'of the same again it says that nothing is written'
run join "$other"
[ "$rc" -eq 0 ] && said '^accepted  *with beta' &&
    grep -q "^ *corps = \"$corp $other\"$" "$state/xenohostd.conf"
check $? 'a second XenoCorp is accepted'
next="exec $XN_BUILD/hostagent/$(sed -n 's/^next *\(xenohostd \)/\1/p' "$scratch/out")"
run join "$corp" PricePerHour=7
[ "$rc" -eq 4 ] && told 'xenoserver offer'
check $? 'join does not overwrite what is configured'
run join "${corp%#*}#$(printf '%064d' 1)"
[ "$rc" -eq 6 ]
check $? 'join does not believe another key'
run status
[ "$rc" -eq 7 ] && told 'no xenohostd runs'
check $? 'status says that none runs'
run doctor
[ "$rc" -eq 1 ] && said '^fail  *xenohostd' && said '^ok  *corp' &&
    said '^ok  *clock'
check $? 'doctor says so too'

start_host || bail 'xenohostd did not start'
await 300 offered '^state *offered'
well() {
    run status
    [ "$rc" -eq 0 ] && said '^name .*-otter$' && said '^copies  *[1-9]' &&
        said "^node *$node" && said '^lease until '
}
await 300 well # a node that could not take its copy yet is asked again
check $? 'status: name, lease, node, copies'
run status -o json
[ "$rc" -eq 0 ] && said '"schema": "xenoserver.status/1"' &&
    said '"state": "offered"' && said '"sessions": ' && said '"troubled": 0'
check $? 'status as JSON'
await 300 found Disk:'SSD; mirrored' Rack:7 CPUsmps:2000
check $? 'the server is found by its tokens'
run doctor
[ "$rc" -eq 0 ] && said '^ok  *findable' && said '^ok  *port' &&
    said '^ok  *node' && ! said '^fail'
check $? 'doctor: all is well'
seen() { run doctor; said "$1"; }
await 60 seen '^ok  *outside .*server: 127.0.0.1:[0-9]* is reached by'
check $? 'another node reaches the server'
run offer Endpoint=https://127.0.0.1:9
await 60 seen '^fail  *outside .*server: 1 of 1 nodes .* could not reach' &&
    said 'open TCP port 9'
check $? 'and doctor says what to open where none does'
run offer Endpoint=
chmod 644 "$state/key.pem"
run doctor -o json
[ "$rc" -eq 1 ] && said '"level": "fail"' && said 'chmod 600'
check $? 'doctor sees a key that others can read'
chmod 600 "$state/key.pem"

run offer Rack= PricePerHour=0.02 Floor=3
[ "$rc" -eq 0 ] && said 'offers it now'
check $? 'a new offer reaches the running xenohostd'
await 300 found Floor:3 CPUsmps:2000 PricePerHour:0.02 --currency GBP
check $? 'and the index'
await 300 lost Rack:7
check $? 'which forgets what is not offered any more'

run metrics
[ "$rc" -eq 0 ] && said '^xeno_host_offered 1$' &&
    said '^# TYPE xeno_host_copies gauge$' &&
    said '^process_resident_memory_bytes [0-9]*$'
check $? 'metrics'
run metrics -o json
[ "$rc" -eq 2 ] && told 'a form of their own'
check $? 'metrics as JSON are refused'
run drain
[ "$rc" -eq 0 ] && said '^state *drained'
check $? 'drain'
await 300 lost Floor:3
check $? 'a drained server is not found'
run offer Floor=4
[ "$rc" -eq 0 ] && said 'it is drained' && offered '^state *drained'
check $? 'an offer does not end that'
run doctor
said '^warn *xenohostd .*drained'
check $? 'doctor warns of it'
stop_host
start_host || bail 'xenohostd did not start again'
offered '^state *drained'
check $? 'nor does a restart'
run undrain
[ "$rc" -eq 0 ] && said '^state *offered'
check $? 'undrain'
await 300 found Floor:4
check $? 'it is found again, as offered meanwhile'

misses() { grep -c 'store.kct is not there' "$scratch/host.log"; }
[ "$(misses)" -eq 1 ]
check $? 'a store that is there is not missed'
stop_host
truncate -s 1000 "$state/store.kct"
timeout 60 "$XN_BUILD/hostagent/xenohostd" --state "$state" --node "$node" \
    --config "$state/xenohostd.conf" 2>"$scratch/err"
[ $? -eq 9 ] && told 'store.kct' && told 'man xenohostd'
check $? 'on a damaged store it does not start, and says where to read on'
mkdir "$scratch/aside" && mv "$state"/store.kct* "$scratch/aside/" &&
    start_host && [ "$(misses)" -eq 2 ] && await 60 offered '^state *offered'
check $? 'with the store put aside it does, and says what is missing'

run earnings
[ "$rc" -eq 0 ] && said 'GBP' && said 'nothing was ever charged'
check $? 'earnings: nothing yet'
run earnings -o json --currency USD
[ "$rc" -eq 0 ] && said '"schema": "xenoserver.earnings/1"' &&
    said '"balance": "0"'
check $? 'earnings as JSON'
run earnings --currency pounds
[ "$rc" -eq 2 ] && told 'three capitals'
check $? 'earnings in no currency'
run withdraw
[ "$rc" -eq 2 ] && told "no verb 'withdraw'"
check $? 'a verb that is none'
plan
