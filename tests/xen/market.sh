# SPDX-License-Identifier: GPL-3.0-or-later
# A client outside and a server in dom0: find, order, session, domain, console,
# cap, stop, bill, all over TCP.  Sourced by xen.t.
. "$here/server.sh"

# The address that clients are told leads to no server in there: that it says too.
point 60 'xenoserver doctor and status say what it is' '
    as_xeno xenoserver doctor --state /server >/tmp/doctor || [ $? -eq 1 ]
    cat /tmp/doctor
    grep "^ok  *xen  *this is dom0 of a Xen host" /tmp/doctor
    grep "^fail  *memory  *700 MB are offered, and domains can have [1-6]" \
        /tmp/doctor
    grep "try: xenoserver offer MemoryMB=[1-6]" /tmp/doctor
    til 30 is_offered'

buy --keep CPUsmps:150.. MemoryMB:16.. -- /spin
rc=$?
ok $rc 'it is found, ordered from, and runs a domain'
[ $rc -eq 0 ] || {
    tail -n 5 "$scratch/err" "$share/host.log" "$share/domd.log" | diag
    return
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

x task pause "$session" -o json >"$scratch/look"
[ "$(field state "$scratch/look")" = paused ]
ok $? 'its client pauses it'
point 60 'it stands still, by the hypervisor' "
    case \$(xl_says $task 5) in *p*) ;; *) xl list; false ;; esac
    used=\$(xl_says $task 6)
    sleep 2
    [ \"\$(xl_says $task 6)\" = \"\$used\" ]"
x task resume "$session" -o json >"$scratch/look"
[ "$(field state "$scratch/look")" = running ]
ok $? 'its client resumes it'
point 60 'it goes on' "
    used=\$(xl_says $task 6)
    more() { [ \"\$(xl_says $task 6)\" != \"\$used\" ]; }
    til 40 more"

is_stopped_and_billed
