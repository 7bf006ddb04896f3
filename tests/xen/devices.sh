# SPDX-License-Identifier: GPL-3.0-or-later
# What a Linux guest sees of disks.  Sourced by xen.t.

[ -n "$(dom0 30 'pid_of "^xenodomd --state /state --images"')" ] ||
    point 60 'xenodomd starts' 'domd_up'

point 120 'a Linux guest reads the disk of its image, and a blank one of its own' '
    start la disks image=/guests/linux memory_mib=160 disk_mib=3
    til 100 said la "its own disk is blank, 3072 KiB" || { console la; false; }
    said la "its image says: here is a disk"
    ! said la "wrote to its image"'
point 120 'that is as it left it when it has booted again, and goes with it' '
    til 100 is la end finished || { console la; false; }
    said la "its own disk is as it left it" || { console la; false; }
    [ "$(domains)" = 0 ]
    [ -z "$(find /state/sessions -name own-disk)" ]
    til 10 no_loops || { losetup -a; false; }'
