# SPDX-License-Identifier: GPL-3.0-or-later
# A server in dom0 that joins by itself, and a client outside: find, order,
# session, domain, console, cap, stop, bill, all over TCP.  Sourced by xen.t.

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
    mkdir -p /server && chown xeno /server
    for corp in \$corps; do
        as_xeno xenoserver join \$corp --state /server --label xen \\
            --node '$(inside_url "$(node_url 1)")' --listen-api 10.0.2.15:7403
    done
    as_xeno xenoserver offer --state /server Currency=USD CPUSecond=0.001 \\
        PricePerHour=0.36 MemoryMB=256 CPUsmps=1000 Hypervisor=Xen \\
        offer.endpoint=https://127.0.0.1:$port sell.manager=xen \\
        offer.environments='Stub 1 pv' \\
        sell.image=/guests/stub sell.xenodomd=/state/socket sell.charge=1s"
point 60 'xenohostd starts there, as nobody special' "
    $set_corps
    [ -n \"\$(pid_of '^xenodomd --state /state --images')\" ] || domd_up
    host_up"
await 120 found
ok $? 'and is found outside'

# ---- a session

x() { "$xeno" "$@" 2>>"$scratch/err"; }

x run --detach --keep --currency USD -o json CPUsmps:150.. MemoryMB:16.. \
    Hypervisor:Xen EnvType:Stub -- /spin >"$scratch/run"
rc=$?
ok $rc 'it is found, ordered from, and runs a domain'
[ $rc -eq 0 ] || {
    tail -n 5 "$scratch/err" "$share/host.log" "$share/domd.log" | diag
    return
}
session=$(field session "$scratch/run") order=$(field order "$scratch/run")
task=$(task_name "$session" 1)

says() { # TEXT
    x console "$session" >"$scratch/console"
    grep -q "$1" "$scratch/console"
}
await 60 says 'guest: spins'
ok $? 'its console is read outside'
point 30 'it has the memory that was asked for' "
    [ \"\$(xl_says $task 3)\" = 16 ]
    said $task 'memory_kib 16384'"

dom0 30 'grep -qx xen \
    /sys/devices/system/clocksource/clocksource0/current_clocksource' >/dev/null
ok $? "dom0's clock is the hypervisor's"
shares=$(for _ in 1 2 3; do dom0 90 "share_of $task"; done)
echo "# percent of a CPU over 20 s: ${shares//$'\n'/ }"
sort -n <<<"$shares" | sed -n 2p | awk '{ exit !($1 >= 12 && $1 <= 18) }'
ok $? 'of 150 ms/s it gets 12 to 18 percent of a CPU: the cap holds'

idles() {
    echo idle | timeout 10 "$xeno" console --input "$session" >/dev/null 2>&1
    says 'guest: idles'
}
await 60 idles
ok $? 'what is typed outside is heard'
used=$(dom0 30 "xl_says $task 6")

near_ns() { # NS: within 5 percent of what xl says?
    awk -v n="$1" -v s="$used" 'BEGIN {
        d = n / 1e9 - s; exit !(s > 1 && (d < 0 ? -d : d) <= 0.05 * s) }'
}
x task show "$session" -o json >"$scratch/look"
echo "# xl: $used s, the meter: $(field cpu_ns "$scratch/look") ns"
near_ns "$(field cpu_ns "$scratch/look")"
ok $? 'its meter says what xl says, within 5 percent'

x stop "$session" >/dev/null
await 60 session_is ended "$session"
ok $? 'it is stopped'
point 30 'and its domain is gone' '[ "$(domains)" = 0 ]'
x bill "$order" -o json >"$scratch/bill"
ok $? 'the bill verifies'
billed=$(sed -n 's/^ *"cpu_s": "\([0-9.]*\)".*/\1/p' "$scratch/bill" |
    sort -n | tail -n 1)
echo "# billed: $billed s"
near_ns "${billed}e9"
ok $? 'and says that CPU time'
x order show "$order" -o json >"$scratch/show"
charged=$(field charged "$scratch/look.json")
[ -n "$charged" ] && [ "$(field charged "$scratch/show")" = "$charged" ] &&
    [ "$(field state "$scratch/show")" = closed ]
ok $? "the XenoCorp's books say what the server does: $charged USD"
point 60 'the server is drained' '
    as_xeno xenoserver drain --state /server | grep "state *drained"'
