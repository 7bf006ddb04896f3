# SPDX-License-Identifier: GPL-3.0-or-later
# A platform of xenodev here, a server in dom0 that joins it by itself, and words
# for a client outside.  Sourced once, by the first part that sells.

[ -z "${corps-}" ] || return 0
up --servers 1 --manager reserve
inside_url() { # URL: as it is from dom0
    echo "${1/127.0.0.1/10.0.2.2}"
}
corps=
for at in ${XENO_CORP//,/ }; do # their certificates are those of its nodes, too
    corps="$corps $(inside_url "$at")"
done
set_corps="set_corps $corps"

found() {
    [ "$("$xenofind" -o name Hypervisor:Xen 2>"$scratch/find.err" |
        wc -l)" = 1 ]
}

point 60 'a server in dom0 joins over TCP' "
    $set_corps
    mkdir -p /server /guests/fetched /store
    chown xeno /server /guests/fetched
    for corp in \$corps; do
        as_xeno xenoserver join \$corp --state /server --label xen \\
            --node '$(inside_url "$(node_url 1)")' --listen-api 10.0.2.15:7403
    done
    as_xeno xenoserver offer --state /server Currency=USD CPUSecond=0.001 \\
        PricePerHour=0.36 MemoryMB=700 CPUsmps=1000 Hypervisor=Xen \\
        DiskGB=0.02 DiskGBHour=3.6 images.folder=/guests/fetched \\
        images.store=/store images.size=8 images.room=16 \\
        offer.endpoint=https://127.0.0.1:$port sell.manager=xen \\
        offer.environments='Stub 1 pv; Stub 1 pvh' \\
        sell.image=/guests/stub sell.xenodomd=/state/socket sell.charge=1s \\
        sell.pause=20s"
point 60 'xenohostd starts there, as nobody special' "
    $set_corps
    [ -n \"\$(pid_of '^xenodomd --state /state --images')\" ] || domd_up
    host_up"
await 120 found
ok $? 'and is found outside'

# ---- a client's words

x() { "$xeno" "$@" 2>>"$scratch/err"; }

session='' order='' task=''
# buy CONDITION... -- COMMAND...: names it in session, order and task.
buy() {
    x run --detach -o json --max 5USD Hypervisor:Xen EnvType:Stub "$@" \
        >"$scratch/run" || return
    known_as "$(field session "$scratch/run")" "$(field order "$scratch/run")"
}

known_as() { # SESSION ORDER
    session=$1 order=$2 task=$(task_name "$1" 1)
    [ -n "$session" ] && [ -n "$order" ]
}

says() { # TEXT [TIMES]: on its console, so often at least
    x console "$session" >"$scratch/console" &&
        [ "$(grep -c "$1" "$scratch/console")" -ge "${2:-1}" ]
}

type_in() { # WORD; the tool would wait for more of the console
    echo "$1" | timeout 6 "$xeno" console --input "$session" >/dev/null 2>&1
    true # what it does is seen
}

# The bill verifies, and the XenoCorp's books say what the server did when it was
# looked at last.
is_settled() {
    x bill "$order" -o json >"$scratch/bill" || return
    x order show "$order" -o json >"$scratch/show"
    charged=$(field charged "$scratch/look.json")
    [ -n "$charged" ] && [ "$(field charged "$scratch/show")" = "$charged" ] &&
        [ "$(field state "$scratch/show")" = closed ]
}

no_order_is_open() {
    x order list -o json >"$scratch/orders" &&
        ! grep -qE '"state": "(issued|accepted)"' "$scratch/orders"
}

billed_s() { # of CPU time, by the bill
    sed -n 's/^ *"cpu_s": "\([0-9.]*\)".*/\1/p' "$scratch/bill" | sort -n |
        tail -n 1
}

within() { # PERCENT SECONDS SECONDS
    awk -v p="$1" -v a="$2" -v b="$3" 'BEGIN {
        d = a - b; exit !(b > 0 && (d < 0 ? -d : d) <= b * p / 100) }'
}

idles() {
    type_in idle
    says 'guest: idles'
}

# Points: it is told to idle, so that what it used stands; and the meter, the bill
# and the books say what the hypervisor does.
is_stopped_and_billed() {
    local used metered
    await 60 idles
    ok $? 'what is typed outside is heard'
    used=$(dom0 30 "xl_says $task 6")
    x task show "$session" -o json >"$scratch/look"
    metered=$(field cpu_ns "$scratch/look")
    echo "# xl: $used s, the meter: $metered ns"
    within 5 "${metered}e-9" "$used"
    ok $? 'its meter says what xl says, within 5 percent'
    x stop "$session" >/dev/null
    await 60 session_is ended "$session"
    ok $? 'it is stopped'
    point 30 'and its domain is gone' '[ "$(domains)" = 0 ]'
    await 60 is_settled
    ok $? "the bill verifies, the XenoCorp's books say what the server does"
    echo "# billed: $(billed_s) s, ${charged-} USD"
    within 5 "$(billed_s)" "$used"
    ok $? 'and that CPU time'
}
