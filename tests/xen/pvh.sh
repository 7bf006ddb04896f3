# SPDX-License-Identifier: GPL-3.0-or-later
# PVH domains, by the hardware's virtualisation, which QEMU emulates: by
# xenodomd's own words, then as they are bought from outside.  Sourced by xen.t.

point 60 'this machine can make PVH domains, and xenodomd says so' '
    xl info | grep "^virt_caps.* hvm hap"
    [ -n "$(pid_of "^xenodomd --state /state --images")" ] || domd_up
    domd check --runner xen | grep "domains can be made, PV and PVH"'
point 60 'one starts; its console is read from its first byte' '
    start pa idle pvh=1
    til 20 said pa "guest: idles"
    console pa | head -n 1 | grep "^guest: up, memory_kib 16384, PVH"
    [ "$(kind_of pa)" = pvh ]'
point 60 'beside it one that is not asked to be is PV' '
    start pb idle
    til 20 said pb "guest: idles"
    console pb | head -n 1 | grep "^guest: up, memory_kib 16384, PV$"
    [ "$(kind_of pb)" = pv ]
    domd stop pb
    til 40 is pb state ended'
point 60 'paused it stands still, and uses nothing; resumed it goes on' '
    domd type pa spin
    til 20 said pa "guest: spins"
    domd pause pa
    is pa state paused
    used=$(of pa cpu_ns)
    sleep 2
    is pa cpu_ns "$used"
    domd resume pa
    more() { [ "$(of pa cpu_ns)" -gt $((used + 3000000000)) ]; }
    til 40 more'
point 60 'its meter says what xl says, within 5 percent' '
    domd pause pa
    til 10 is pa state paused
    mine=$(of pa cpu_ns) theirs=$(xl_says pa 6)
    echo "$mine ns, xl: $theirs s"
    near "$mine" "${theirs}e9" 5
    domd resume pa'
point 60 'it boots again as what it was' '
    domd type pa reboot
    til 40 said pa "guest: up.* PVH" 2
    [ "$(kind_of pa)" = pvh ]'
point 60 'asked to, it ends by itself' '
    domd stop pa --grace 20000
    til 40 is pa state ended
    is pa end stopped
    said pa "guest: ends"
    [ "$(domains)" = 0 ]'
point 60 'a crash is one' '
    start pc crash pvh=1
    til 40 is pc end crashed
    [ "$(domains)" = 0 ]'
point 240 'Linux is such a guest, too' '
    start pl true image=/guests/linux memory_mib=160 pvh=1
    [ "$(kind_of pl)" = pvh ]
    til 200 is pl end finished || { console pl; false; }
    said pl "guest: Linux is up: true" || { console pl; false; }'

# ---- over TCP

. "$here/server.sh"
point 60 'xenoserver doctor says that the server can' '
    as_xeno xenoserver doctor --state /server >/tmp/doctor || [ $? -eq 1 ]
    grep "^ok  *xenodomd  *domains can be made, PV and PVH, of" /tmp/doctor
    til 30 is_offered'
"$xenofind" -o name Virtualisation:pvh EnvType:Stub >"$scratch/found" &&
    [ "$(wc -l <"$scratch/found")" = 1 ]
ok $? 'it is found by what it can'
buy --keep Virtualisation:pvh CPUsmps:250.. MemoryMB:16.. -- /spin
rc=$?
ok $rc 'and a PVH domain of it is ordered'
[ $rc -eq 0 ] || {
    tail -n 5 "$scratch/err" "$share/host.log" "$share/domd.log" | diag
    return
}
await 60 says 'guest: up, memory_kib 16384, PVH' && says 'guest: spins'
ok $? 'its console is read outside'
point 30 'it is one, by the hypervisor' "[ \"\$(kind_of $task)\" = pvh ]"
x session show "$session" -o json >"$scratch/look"
[ "$(field virtualisation "$scratch/look")" = pvh ]
ok $? 'and by what its client is told'
point 60 'it works' "
    more() { xl_says $task 6 | awk '{ exit !(\$1 >= 3) }'; }
    til 40 more"
is_stopped_and_billed
buy CPUsmps:250.. MemoryMB:16.. -- /exit && await 60 says 'guest: up.*, PV$'
ok $? 'who does not ask for it gets a PV domain'
await 60 session_is ended "$session"
ok $? 'which ends'
