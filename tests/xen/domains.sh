# SPDX-License-Identifier: GPL-3.0-or-later
# Domains by xenodomd's own words: start, console, memory, meter, cap, pause, the
# ends, kills with -9, and what libxl refuses.  Sourced by xen.t.

point 60 'xenodomd starts, and domains can be made' '
    domd_up
    domd check --runner xen | grep "domains can be made"'
point 60 'a domain starts; its console is read from its first byte' '
    start a idle
    til 20 said a "guest: idles"
    console a | head -n 1 | grep "^guest: up"'
point 30 'it has the memory that was asked for, and its keeper says so' '
    said a "memory_kib 16384"
    [ "$(xl_says a 3)" = 16 ]
    is a memory_bytes 16777216'
point 60 'paused it stands still, and uses nothing' '
    domd type a spin
    til 20 said a "guest: spins"
    domd pause a
    is a state paused
    case $(xl_says a 5) in *p*) ;; *) xl list; false ;; esac
    used=$(of a cpu_ns)
    sleep 2
    is a cpu_ns "$used"'
point 60 'resumed it goes on' '
    domd resume a
    is a state running
    used=$(of a cpu_ns)
    more() { [ "$(of a cpu_ns)" -gt $((used + 3000000000)) ]; }
    til 40 more'
point 30 'its meter says what xl says, within 5 percent' '
    domd pause a
    til 10 is a state paused
    mine=$(of a cpu_ns) theirs=$(xl_says a 6)
    echo "$mine ns, xl: $theirs s"
    near "$mine" "${theirs}e9" 5'
point 60 'asked to, it ends by itself' '
    domd resume a
    domd stop a --grace 20000
    til 40 is a state ended
    is a end stopped
    said a "guest: ends"
    domd status a
    [ "$(domains)" = 0 ]
    domd forget a'
point 60 'one that is deaf is ended' '
    start b idle
    domd type b deaf
    til 20 said b "is deaf"
    domd stop b --grace 1000
    til 40 is b state ended
    is b code 137
    [ "$(domains)" = 0 ]'
point 60 'one that ends by itself has finished' '
    start c exit
    til 40 is c end finished
    console c | grep "guest: ends"
    [ "$(domains)" = 0 ]'
point 60 'a crash is one' '
    start d crash
    til 40 is d end crashed
    console d | grep "guest: crashes"
    domd status d | grep "because the domain crashed"
    [ "$(domains)" = 0 ]'
point 90 'one that talks much has every line of it kept, the last as well' '
    start i talk
    til 60 is i end finished
    console i >/tmp/lines
    tail -n 3 /tmp/lines
    [ "$(grep -c "^guest: line" /tmp/lines)" = 1000 ]
    grep "guest: line 1000" /tmp/lines'
point 60 'one that boots again goes on, and what it used stays used' '
    start e spin
    used() { [ "$(of e cpu_ns)" -gt 1000000000 ]; }
    til 30 used
    first=$(id_of e)
    domd type e reboot
    til 40 said e "guest: up" 2
    [ "$(id_of e)" != "$first" ]
    used
    [ "$(console e | grep -c "guest: boots again")" = 1 ]
    is e state running
    [ "$(domains)" = 1 ]'
point 60 'it outlives its keeper; another takes it up, and its console is whole' '
    before=$(of e keeper)
    kill -9 "$before"
    other() { [ -n "$(of e keeper)" ] && ! is e keeper "$before"; }
    til 30 other
    is e state running
    domd type e idle
    til 20 said e "guest: idles"
    [ "$(console e | grep -c "guest: ")" = 7 ] || { console e; false; }'
point 60 'and xenodomd' '
    kill -9 "$(pid_of "^xenodomd --state /state --images")"
    domd_up
    is e state running
    domd stop e
    til 40 is e state ended
    [ "$(domains)" = 0 ]'

# ---- what libxl refuses

point 60 'what is no kernel is refused, with what libxl said' '
    mkdir -m 755 /guests/bad
    dd if=/dev/urandom of=/guests/bad/kernel bs=64k count=1 2>/dev/null
    ! domd start f --runner xen --set image=/guests/bad -- /x 2>/tmp/why
    cat /tmp/why
    grep "because: the domain cannot be made: .*xc_dom" /tmp/why
    [ "$(domains)" = 0 ]'
point 60 'more memory than there is as well, and nothing is left of it' '
    ! domd start g --runner xen --set image=/guests/stub \
        --set memory_mib=900 -- /idle 2>/tmp/why
    cat /tmp/why
    grep "because: the domain cannot be made: ." /tmp/why
    [ "$(domains)" = 0 ]'
