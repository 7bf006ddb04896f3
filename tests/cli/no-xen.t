# SPDX-License-Identifier: GPL-3.0-or-later
# A host without Xen says so: what, because, try; with libxl or built without.
. "$XN_SRC/tests/tap.sh"
xenodomd=$XN_BUILD/keeper/xenodomd

if [ -e /proc/xen/capabilities ]; then
    echo "1..0 # SKIP this host runs Xen"
    exit 0
fi

# refuses CODE TEXT NAME WORD...: with that exit code, and the whole reason
refuses() {
    local want=$1 text=$2 name=$3 rc
    shift 3
    timeout 300 "$xenodomd" "$@" >"$scratch/out" 2>"$scratch/err"
    rc=$?
    [ "$rc" -eq "$want" ] && [ ! -s "$scratch/out" ] &&
        grep -q "\[XS-$want-" "$scratch/err" &&
        grep -q "^  because: .*$text" "$scratch/err" &&
        grep -q '^  try:     .' "$scratch/err"
    rc=$?
    [ "$rc" -eq 0 ] || diag "$scratch/out" "$scratch/err"
    ok "$rc" "$name"
}

refuses 4 'this host runs no Xen\|built without libxl' \
    'check --runner xen says why not' check --runner xen
refuses 2 'moon' 'a runner that is none' check --runner moon

# a daemon: the same words, and nothing is made
state=$scratch/state
mkfifo "$scratch/ready" || bail "no fifo"
"$xenodomd" --state "$state" --ready-fd 3 3>"$scratch/ready" 2>"$scratch/log" &
daemon=$!
read -r _ <"$scratch/ready"
refuses 4 'this host runs no Xen\|built without libxl' \
    'start --runner xen says why not' \
    --state "$state" start a --runner xen --set image=/none -- /sbin/init
refuses 2 'pvh: a sandbox is no domain' 'a sandbox that is to be a PVH domain' \
    --state "$state" start a --set pvh=1 -- /bin/true
[ -z "$(ls "$state/sessions")" ]
ok $? 'and makes nothing'
kill "$daemon"
wait "$daemon"
ok $? 'the daemon ends'
plan
