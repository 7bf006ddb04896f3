# SPDX-License-Identifier: GPL-3.0-or-later
# What a Linux guest has of disks and of a network.  Sourced by xen.t.

[ -n "$(dom0 30 'pid_of "^xenodomd --state /state --images"')" ] ||
    point 60 'xenodomd starts' 'domd_up'

point 240 'a Linux guest reads the disk of its image, and a blank one of its own' '
    start la disks image=/guests/linux memory_mib=160 disk_mib=3
    til 200 is la end finished || { console la; false; }
    said la "its own disk is blank, 3072 KiB" || { console la; false; }
    said la "its image says: here is a disk"
    ! said la "wrote to its image"'
point 60 'that is as it left it when it has booted again, and goes with it' '
    said la "its own disk is as it left it" || { console la; false; }
    [ "$(domains)" = 0 ]
    [ -z "$(find /state/sessions -name own-disk)" ]
    til 10 no_loops || { losetup -a; false; }'

point 120 'a guest with an interface is heard as itself, and as nobody else' '
    bridge_up
    start lb forge image=/guests/linux memory_mib=160 net_kbit_per_s=2000
    til 100 is lb end finished || { console lb; false; }
    console lb | sed -n "/guest: /p" >/tmp/heard
    cat /tmp/heard
    grep -q "guest: 10.9.0.[2-9] is heard" /tmp/heard
    grep -q "guest: 10.9.0.[2-9] is still heard" /tmp/heard
    grep -q "guest: 2001:db8:9::a09:[2-9] is heard" /tmp/heard
    [ "$(grep -c "guest: another.* is not heard" /tmp/heard)" = 4 ]'
point 120 'and has the rate that it was made for, each way; its bytes are counted' '
    mkfifo /tmp/hold
    nc -l -p 7410 0<>/tmp/hold >/tmp/came &
    head -c 524288 /dev/zero | nc -l -p 7411 >/dev/null &
    start lc copy image=/guests/linux memory_mib=160 net_kbit_per_s=2000
    til 100 is lc end finished || { console lc; false; }
    console lc | grep "guest: "
    [ "$(wc -c </tmp/came)" = 524288 ]
    said lc "got 524288 bytes"
    for word in sent got; do # 2097 ms, less the 64 KiB that may go at once
        [ "$(console lc | sed -n "s/^guest: $word.* in \([0-9]*\) ms.*/\1/p")" \
            -ge 1700 ]
    done
    # 512 KiB and the acknowledgements of the other way, with all headers
    for word in sent_bytes got_bytes; do
        echo "$word $(of lc $word)"
        [ "$(of lc $word)" -ge 524288 ]
        [ "$(of lc $word)" -le 650000 ]
    done'
point 60 'whom it talked to is counted, each way, and goes when it is forgotten' '
    nft list set bridge xenodomd g-lc.o4 | tee /tmp/out | tr -d "\n"
    nft list set bridge xenodomd g-lc.i4 | tee /tmp/in | tr -d "\n"
    # the port that the guest sent to, and the one that it got from
    [ "$(sed -n "s/.* 10\.9\.0\.1 \. 7410 \. .* bytes \([0-9]*\) .*/\1/p" \
        /tmp/out)" -ge 524288 ]
    [ "$(sed -n "s/.* 10\.9\.0\.1 \. 7411 \. .* bytes \([0-9]*\) .*/\1/p" \
        /tmp/in)" -ge 524288 ]
    xenodomd --state /state forget lc
    ! nft list ruleset | grep g-lc'
point 60 'without a bridge there is none, and that is said' '
    ip link del xenbr0
    ! start ld idle net_kbit_per_s=2000 2>/tmp/why
    cat /tmp/why
    grep "because: the domain cannot be made: .*xenbr0 is no bridge" /tmp/why
    [ "$(domains)" = 0 ]'
