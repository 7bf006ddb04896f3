# SPDX-License-Identifier: GPL-3.0-or-later
# A client's image, fetched by its SHA-256, is the disk of his domain: Linux of
# the operator's finds there what he brought, writes to it, and finds that when
# it has booted again.  Or there is a kernel on it, which the operator's boot
# loader boots.  Sourced by xen.t.
. "$here/server.sh"

sells() { # IMAGE
    point 60 "the server's kernel is that of $1" "
        $set_corps
        as_xeno xenoserver offer --state /server sell.image=/guests/$1
        running() { [ -n \"\$(pid_of '^xenohostd --state /server')\" ]; }
        stopped() { ! running; }
        kill \$(pid_of '^xenohostd --state /server')
        til 30 stopped
        host_up
        til 30 is_offered"
}

sells linux
tar -C "$rig/guests/linux" -cf "$share/disk.tar" disk
sha256=$(sha256sum "$share/disk.tar")
sha256=${sha256%% *}
point 30 'the server has it in its store' '
    cp /share/disk.tar /store/
    chmod 644 /store/disk.tar'

buy --image "disk.tar@sha256:$sha256" CPUsmps:1000.. MemoryMB:160.. -- /own
[ $? -eq 4 ] && grep -q '"because": ".*image is a disk of its own' "$scratch/run"
ok $? 'where no disk is asked for it is refused'
buy --image "disk.tar@sha256:$(printf '%064d' 7)" CPUsmps:1000.. \
    MemoryMB:160.. DiskGB:0.004.. -- /own
ok $(($? != 9)) 'so is one that is not what was meant'
buy --image "disk.tar@sha256:$sha256" CPUsmps:1000.. MemoryMB:160.. \
    DiskGB:0.004.. -- /own
rc=$?
ok $rc 'it is fetched, and runs'
[ $rc -eq 0 ] || {
    tail -n 5 "$scratch/err" "$share/host.log" "$share/domd.log" | diag
    return
}
await 240 says 'guest: what it wrote is there'
rc=$?
ok $rc 'what is written to it is there when it has booted again'
[ $rc -eq 0 ] || diag "$scratch/console"
[ "$(grep -c 'guest: its disk says: here is a disk' "$scratch/console")" = 2 ]
ok $? 'and so is what was brought'
await 60 session_is ended "$session"
ok $? 'it ends, and its session with it'
point 30 'its disk is gone with it, the image as it was' '
    [ "$(domains)" = 0 ]
    [ -z "$(find /state/sessions -name own-disk)" ]
    til 10 no_loops
    tar -xOf /share/disk.tar disk | cmp - "$(find /guests/fetched -name disk)"'
await 60 is_settled && grep -q '"disk_gb_h": "0.00[0-9]*[1-9]' "$scratch/bill"
ok $? 'the bill verifies, and has the disk'

# ---- with a kernel of its own

sells grub
tar -C "$rig" -czf "$share/own.tar.gz" disk.raw
sha256=$(sha256sum "$share/own.tar.gz")
sha256=${sha256%% *}
point 30 'another image is in the store' '
    cp /share/own.tar.gz /store/
    chmod 644 /store/own.tar.gz'
buy --image "own.tar.gz@sha256:$sha256" CPUsmps:1000.. MemoryMB:64.. \
    DiskGB:0.004.. -- /boot
rc=$?
ok $rc 'it is fetched, and runs'
[ $rc -eq 0 ] || diag "$scratch/err"
await 120 says 'guest: ends'
rc=$?
ok $rc 'the boot loader boots the kernel that is on the disk that was brought'
[ $rc -eq 0 ] || diag "$scratch/console"
await 60 session_is ended "$session"
ok $? 'which ends'
sells stub
