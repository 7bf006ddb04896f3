#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The installed project in dom0 of a real Xen.
# What it says is in xen/log of the build directory as well, line by line: what
# writes xen.log holds back whole blocks, and this takes long.
if [ -z "${XN_XEN_TOLD-}" ]; then
    mkdir -p "${XN_BUILD:?}/xen"
    XN_XEN_TOLD=1 bash "$0" | tee "$XN_BUILD/xen/log"
    exit "${PIPESTATUS[0]}"
fi
. "${XN_SRC:?}/tests/e2e/lib.sh"
. "$XN_SRC/tests/e2e/tasks.sh"
. "$XN_SRC/tests/xen/rig.sh"

ends() {
    power_off
    [ -z "${XN_XEN_KEEP:-}" ] || cp -r "$scratch/." "$XN_XEN_KEEP"
    goes_away
}
trap ends EXIT
trap 'exit 99' INT TERM

[ "$(uname -m)" = x86_64 ] || skip_all "Xen's packages are those of x86-64"
! "$XN_BUILD/keeper/xenodomd" check --runner xen 2>&1 |
    grep -q 'built without libxl' || skip_all 'xenodomd was built without libxl'
make_machine || bail "the image cannot be made: see $rig/install.log"
say "the image is made"
boot
dom0 150 'xl info' >"$scratch/info"
rc=$?
ok $rc "Xen and dom0 boot"
[ $rc -eq 0 ] || {
    tail -n 20 "$scratch/serial" "$scratch/qemu.log" | diag
    bail "no Xen"
}
say "$(grep -E '^xen_(version|scheduler)' "$scratch/info" | tr -s ' \n' ' ')"
for part in ${XN_XEN_PARTS:-domains devices save pvh market image ends kills}; do
    say "$part"
    . "$here/$part.sh"
done
[ -z "${corps-}" ] || point 60 'the server is drained' '
    as_xeno xenoserver drain --state /server | grep "state *drained"'
point 30 'no program in dom0 crashed' '
    ! dmesg | grep -i "segfault\|general protection\|trap "'
power_off
[ -z "${corps-}" ] || "$xenodev" down --keep 2>>"$scratch/err"
for corp in "$XENODEV_STATE"/corp-*; do
    [ -d "$corp" ] || continue
    "$xenocorp" audit verify "$corp" >>"$scratch/audit" 2>&1
    ok $? "the books of ${corp##*/corp-} add up"
done
plan
