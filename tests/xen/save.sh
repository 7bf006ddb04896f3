# SPDX-License-Identifier: GPL-3.0-or-later
# A domain goes to a file and comes back, over another start of the machine, as
# far as xenodomd and Xen see one.  Sourced by xen.t.

[ -n "$(dom0 30 'pid_of "^xenodomd --state /state --images"')" ] ||
    point 60 'xenodomd starts' 'domd_up'

# dom0 has no disk: the guest's memory goes to a file system of its own.
point 60 'xenodomd has room for what a guest has in memory' '
    domd_down
    mount -t tmpfs -o mode=700,size=180m sessions /state/sessions
    domd_up'
point 300 'a guest with a disk and an interface is saved, and is a file' '
    bridge_up
    start sa beat image=/guests/linux memory_mib=100 disk_mib=3 \
        net_kbit_per_s=2000
    til 120 said sa "is heard" 3 || { console sa; false; }
    of sa cpu_ns >/tmp/used
    of sa address >/tmp/address
    from=$(up_s)
    domd save sa
    echo "saved within $(up_s) - $from s"
    is sa state saved
    [ "$(domains)" = 0 ]
    ls -l /state/sessions/sa/memory
    [ "$(stat -c %a /state/sessions/sa/memory)" = 600 ]
    til 10 no_loops || { losetup -a; false; }
    [ "$(of sa cpu_ns)" -ge "$(cat /tmp/used)" ]
    of sa cpu_ns >/tmp/used
    console sa | grep -c "beat" >/tmp/beats'
point 60 'it stays one when xenodomd and its keeper are killed' '
    sleep 3
    keeper=$(of sa keeper)
    domd_down -9
    kill -9 "$keeper"
    domd_up
    til 30 is sa state saved
    [ "$(of sa cpu_ns)" = "$(cat /tmp/used)" ]'
point 200 'on another start of the machine it goes on where it was' '
    cat /proc/sys/kernel/random/uuid >/tmp/boot
    mount --bind /tmp/boot /proc/sys/kernel/random/boot_id
    keeper=$(of sa keeper)
    domd_down -9
    kill -9 "$keeper"
    domd_up
    til 90 is sa state running || { domd status sa; xl list; false; }
    beats=$(cat /tmp/beats)
    til 60 said sa "is heard" $((beats + 3)) || { console sa; false; }
    # none is missing, and none comes twice: it is the same guest
    console sa | sed -n "s/.*beat \([0-9]*\) is.*/\1/p" >/tmp/numbers
    seq 1 "$(wc -l </tmp/numbers)" | cmp - /tmp/numbers
    [ "$(of sa cpu_ns)" -gt "$(cat /tmp/used)" ]
    [ "$(of sa saved_ms)" -ge 3000 ]
    [ "$(of sa address)" = "$(cat /tmp/address)" ]
    [ "$(xl list -l xeno-sa | grep -c "\"mac\": \"02:58:")" = 1 ]
    [ ! -e /state/sessions/sa/memory ]
    [ "$(domains)" = 1 ]'
point 200 'one that stands still stands when it is back, until it goes on' '
    domd pause sa
    domd save
    is sa state saved
    domd restore
    is sa state paused
    xl list xeno-sa | grep -- "--p---\|-bp---"
    beats=$(console sa | grep -c "beat")
    sleep 3
    [ "$(console sa | grep -c "beat")" = "$beats" ]
    domd resume sa
    til 30 said sa "is heard" $((beats + 2)) || { console sa; false; }'
point 200 'a guest that does not hear it is not saved, and goes on' '
    start sb deaf
    ! domd save sb 2>/tmp/why
    cat /tmp/why
    grep "sb is not saved" /tmp/why
    is sb state running
    domd stop sb
    [ -z "$(find /state/sessions -name "memory*")" ]'
point 120 'one that is saved can be ended, and leaves nothing' '
    domd save sa
    domd stop sa
    til 30 is sa end stopped
    [ "$(domains)" = 0 ]
    [ -z "$(find /state/sessions -name "memory*" -o -name own-disk)" ]
    domd forget sa
    ip link del xenbr0
    umount /proc/sys/kernel/random/boot_id
    domd_down
    umount -l /state/sessions
    domd_up'
