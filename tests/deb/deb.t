# SPDX-License-Identifier: GPL-3.0-or-later
# make check-deb: the Debian packages build, lintian accepts them, and in a
# clean root that has nothing else a platform comes up from them, and the units
# start under a systemd of their own.  It wants root, some 1.5 GB and Debian's
# archive; what is missing here is installed.
#
# XN_DEB_BASE: a minimal root made by debootstrap, to be copied, where one is at
# hand; else it is made in the build directory, once.  XN_DEB_PACKAGES: a folder
# of packages to try in place of fresh ones.
. "$XN_SRC/tests/tap.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL # else the outer make's options are ours
here=$XN_SRC/tests/deb
. "$here/units.sh"
deb=$XN_BUILD/deb
base=${XN_DEB_BASE:-$deb/base}
root=$deb/root
packages=${XN_DEB_PACKAGES:-$deb/packages}

skip_all() {
    echo "1..0 # SKIP $*"
    exit 0
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=600 --no-install-recommends "$@"
}

install_packages() {
    local name missing=()
    for name in $(sed -n 's/^\([a-z0-9][^ ]*\) .*/\1/p' "$here/packages"); do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = \
            installed ] || missing+=("$name")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    { apt_get install "${missing[@]}" ||
        { apt_get update && apt_get install "${missing[@]}"; }; } \
        >"$deb/apt.log" 2>&1 || skip_all "cannot install ${missing[*]}:" \
        "$(tail -n 1 "$deb/apt.log")"
}

# Where apt gets its packages here it does in the root, hooks left out.
make_base() {
    local archive suite
    [ ! -e "$base/etc/os-release" ] || return 0
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    archive=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' "Codename: $suite" | head -n 1)
    rm -rf "$base.new"
    debootstrap --variant=minbase "$suite" "$base.new" "$archive" \
        >"$deb/debootstrap.log" 2>&1 ||
        skip_all "debootstrap: $(tail -n 1 "$deb/debootstrap.log")"
    rm -f "$base.new/etc/apt/sources.list"
    cp -r /etc/apt/sources.list* "$base.new/etc/apt/"
    grep -LE 'Invoke|Pre-Install' /etc/apt/apt.conf.d/* |
        xargs -r cp -t "$base.new/etc/apt/apt.conf.d/"
    mv "$base.new" "$base"
}

# A shell's commands as first process in the root: no process, no mount and no
# /tmp of this machine.  pivot_root, since a chroot gets no user namespaces.
inside() { # COMMANDS
    unshare --mount --pid --fork --kill-child bash -c '
        set -e
        mount --make-rprivate /
        mount --bind "$1" "$1"
        cd "$1"
        mount -t proc proc proc
        mount --rbind /dev dev
        mount --rbind /sys sys
        mount -t tmpfs tmpfs tmp
        mkdir -p .old
        pivot_root . .old
        umount -l .old
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/var/tmp \
            LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive bash -c "$2"' \
        _ "$root" "$1" </dev/null
}

point() { # NAME COMMANDS: inside, until one fails
    local rc
    inside "set -e; $2" >"$scratch/said" 2>&1
    rc=$?
    [ "$rc" -eq 0 ] || tail -n 20 "$scratch/said" | diag
    ok "$rc" "$1"
    return "$rc"
}

[ "$(id -u)" -eq 0 ] || skip_all 'this wants root'
mkdir -p "$deb"
install_packages
build_and_judge() {
    make -s -C "$XN_BUILD" dist >"$deb/dist.log" 2>&1 ||
        bail "make dist: $(tail -n 1 "$deb/dist.log")"
    local rc tarball
    tarball=$(ls -t "$XN_BUILD"/xenoserver-*.tar.xz | head -n 1)
    "$XN_SRC/dist/build-deb" "$packages" "$tarball" 2>"$scratch/err"
    rc=$?
    [ "$rc" -eq 0 ] || diag "$scratch/err"
    ok "$rc" 'dpkg-buildpackage: every installed file is in a package'
    [ "$rc" -eq 0 ] || bail 'without packages there is nothing to try'

    lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs \
        --allow-root "$packages"/*.changes >"$deb/lintian.log" 2>&1
    rc=$?
    diag "$deb/lintian.log"
    ok "$rc" 'lintian accepts them, binary and source'
}

[ -n "${XN_DEB_PACKAGES-}" ] || build_and_judge
make_base
rm -rf "$root"
cp -a "$base/." "$root/" || bail 'no room for a root'
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mkdir -p "$root/packages"
cp "$packages"/*.deb "$root/packages/"
point 'they install in a clean root, with what they depend on' '
    apt-get -q update
    apt-get -q -y install --no-install-recommends /packages/*.deb' ||
    bail 'nothing to try'
point 'users, state folders and units are there' '
    for user in xenonoded xenohostd xenocorpd; do getent passwd $user; done
    [ "$(stat -c %U:%a /var/lib/xeno/xenohostd)" = xenohostd:700 ]
    [ "$(stat -c %U:%a /var/lib/xeno/xenonoded)" = xenonoded:700 ]
    for unit in xenonoded xenohostd xenodomd xenocorpd; do
        [ -s /lib/systemd/system/$unit.service ]
    done'
platform='
    eval "$(xenodev up --servers 3)"
    [ "$(xenofind -o name -n all | wc -l)" -eq 3 ]
    [ "$(xeno run CPUsmps:100.. -- sh -c "echo hello \$((40 + 2))")" = \
        "hello 42" ]
    xeno bill
    xenodev down'
point 'xenodev up, xenofind, xeno run, a bill, as root' "$platform"
printf 'set -e\n%s\n' "$platform" >"$root/packages/platform"
point 'and as somebody else' '
    useradd -m somebody
    setpriv --reuid somebody --regid somebody --init-groups env \
        HOME=/home/somebody bash /packages/platform'
point 'the programs have their pages and completions' '
    for program in /usr/s*bin/xeno*; do
        name=${program##*/}
        ls /usr/share/man/man?/$name.[18].gz
        ls /usr/share/bash-completion/completions/$name
        $program --version
    done'
point 'systemd comes into the root' '
    apt-get -q -y install --no-install-recommends systemd-sysv procps'
trap 'units_end; rm -rf "$scratch"' EXIT
if [ -n "$(unified)" ] && units_begin; then
    units
else
    diag "$deb/systemd.log"
    ok 0 'the units # SKIP no systemd comes up in namespaces here'
fi
units_end
point 'they go away again; keys stay' '
    echo key >/var/lib/xeno/xenohostd/key.pem
    apt-get -q -y purge "xeno*"
    [ -e /var/lib/xeno/xenohostd/key.pem ]
    [ ! -e /etc/xenoserver ]
    [ ! -e /etc/default/xenodomd ]
    ! compgen -G "/usr/s*bin/xeno*"'
rm -rf "$root"
plan
