# SPDX-License-Identifier: GPL-3.0-or-later
# A machine with a real Xen, emulated by QEMU: what it is made of, how it starts
# and ends, and how a shell's commands get into its dom0.  Sourced behind
# tap.sh; README.md says why things are as they are.

rig=$XN_BUILD/xen # packages and images are kept there, between runs as well
here=$XN_SRC/tests/xen
share=$scratch/share
qemu= port=

skip_all() {
    echo "1..0 # SKIP $*"
    exit 0
}

say() { printf '# [%3d s] %s\n' "$SECONDS" "$*"; }

# ---- packages

names_in() { sed -n 's/^\([a-z0-9][^ ]*\) .*/\1/p' "$1"; }

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# What is missing here is installed where we may, as .ci/run does.
install_packages() {
    local name missing=()
    for name in $(names_in "$here/packages"); do
        installed "$name" || missing+=("$name")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || skip_all "not installed: ${missing[*]}"
    say "installing ${missing[*]}"
    {
        apt_get install "${missing[@]}" ||
            { apt_get update && apt_get install "${missing[@]}"; }
    } >"$rig/apt.log" 2>&1 || skip_all "cannot install ${missing[*]}:" \
        "$(tail -n 1 "$rig/apt.log")"
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=600 --no-install-recommends "$@"
}

# linux-image-amd64 is empty, and names the one that is not.
real_name() {
    case $1 in
    linux-image-amd64)
        apt-cache depends "$1" | sed -n 's/^ *Depends: //p' | head -n 1
        ;;
    *) echo "$1" ;;
    esac
}

unpack_packages() {
    local name
    [ ! "$rig/files/complete" -nt "$here/packages.dom0" ] || return 0
    mkdir -p "$rig/debs"
    rm -rf "$rig/files"
    for name in $(names_in "$here/packages.dom0"); do
        name=$(real_name "$name")
        say "fetching $name"
        (
            cd "$rig/debs" &&
                { compgen -G "${name}_*.deb" >/dev/null ||
                    apt-get -q -o APT::Sandbox::User="$(id -un)" \
                        download "$name"; } &&
                dpkg -x "$(compgen -G "${name}_*.deb" | tail -n 1)" "$rig/files"
        ) >"$rig/apt.log" 2>&1 || skip_all "cannot fetch $name:" \
            "$(tail -n 1 "$rig/apt.log")"
    done
    : >"$rig/files/complete"
}

# ---- what boots

number_at() { # TYPE OFFSET FILE
    od -An "-t$1" -j "$2" -N "${1#u}" "$3" | tr -d ' '
}

# Emulated, a kernel takes long to unpack: here it does not.  Offsets are of
# Linux's boot protocol (setup_sects, payload_offset, payload_length); behind
# the payload stands its length.
unpack_kernel() { # VMLINUZ
    local from size
    from=$((($(number_at u1 497 "$1") + 1) * 512 + $(number_at u4 584 "$1")))
    size=$(($(number_at u4 588 "$1") - 4))
    tail -c "+$((from + 1))" "$1" | head -c "$size" | xz -dc >"$rig/vmlinux"
}

# The paths of modules and of what they need, in order, each once.
module_files() { # FOLDER NAME...
    local folder=$1
    shift
    awk -v want="$*" '
        function name(path) {
            sub(/.*\//, "", path); sub(/\.ko.*/, "", path)
            gsub(/-/, "_", path); return path
        }
        { n = split($0, word, /[: ]+/); m = name(word[1]); path[m] = word[1]
          for (i = 2; i <= n; i++)
              if (word[i] != "") needs[m] = name(word[i]) " " needs[m] }
        function visit(m,   list, i, n) {
            if (seen[m]++ || !(m in path)) return
            n = split(needs[m], list, " ")
            for (i = 1; i <= n; i++) visit(list[i])
            print path[m]
        }
        END { n = split(want, list, " ")
              for (j = 1; j <= n; j++) visit(name(list[j])) }
    ' "$folder/modules.dep"
}

put_modules() { # TREE NAME...
    local folder path tree=$1
    shift
    folder=$(echo "$rig"/files/lib/modules/*)
    [ -s "$folder/modules.dep" ] ||
        busybox depmod -b "$rig/files" "${folder##*/}" || return 1
    mkdir -p "$tree/modules"
    for path in $(module_files "$folder" "$@"); do
        case $path in /*) path=$rig/files$path ;; *) path=$folder/$path ;; esac
        cp "$path" "$tree/modules/" || return 1
        echo "${path##*/}" >>"$tree/modules/order"
    done
}

# libgcc_s is what pthread_cancel opens by itself, which libxenstore calls.
put_libraries() { # PROGRAM...
    local lib
    for lib in $(ldd "$@" 2>/dev/null |
        sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^\t\(\/[^ ]*\) .*/\1/p' |
        sort -u) "$(gcc -print-file-name=libgcc_s.so.1)"; do
        case $lib in
        */ld-linux*) cp -L "$lib" "$dom0_tree/lib64/" ;;
        *) cp -L "$lib" "$dom0_tree/usr/lib/x86_64-linux-gnu/" ;;
        esac || return 1
    done
}

put_xen() {
    local tools=usr/lib/xen-4.17/bin name
    mkdir -p "$dom0_tree/$tools" "$dom0_tree"/var/{log/xen,lib/xen,run} \
        "$dom0_tree"/run/{xen,xenstored}
    ln -s /run/xen /run/xenstored "$dom0_tree/var/run/"
    for name in xl xenstored xenconsoled xen-init-dom0 libxl-save-helper; do
        cp "$rig/files/$tools/$name" "$dom0_tree/$tools/" || return 1
    done
    cp "$rig"/files/usr/bin/xenstore-* "$dom0_tree/usr/bin/"
    cp -r "$rig/files/etc/xen" "$dom0_tree/etc/"
}

# The project as `make install` has it, without what a debugger wants.
put_project() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$XN_BUILD" \
        install-strip DESTDIR="$dom0_tree" >"$rig/install.log" 2>&1 &&
        cp -r "$rig/guests" "$dom0_tree/guests" &&
        cp "$here/init" "$here/inside.sh" "$rig/steps.so" "$dom0_tree/" &&
        chmod 755 "$dom0_tree/init"
}

make_guest() {
    mkdir -p "$rig/guests/stub"
    ${CC:-gcc} -O1 -ffreestanding -fno-pic -fno-stack-protector \
        -mno-red-zone -mgeneral-regs-only -fcf-protection=none \
        -fno-asynchronous-unwind-tables -c "$here/guest.c" \
        -o "$rig/guest.o" &&
        ld -static -no-pie -z noexecstack --build-id=none \
            --no-warn-rwx-segments -T "$here/guest.lds" "$rig/guest.o" \
            -o "$rig/guests/stub/kernel"
}

make_steps() {
    ${CC:-gcc} -O1 -shared -fPIC -D_GNU_SOURCE "$here/steps.c" -o "$rig/steps.so"
}

pack() { # TREE
    (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet)
}

# dom0's kernel with a busybox of its own: unpacked by libxl, which is quick with
# gzip's.
make_linux() {
    local tree=$scratch/linux folder=$rig/guests/linux
    mkdir -p "$tree"/{bin,dev,proc,sys,mnt} "$scratch/disk" "$folder"
    [ -s "$folder/kernel" ] || gzip -1 <"$rig/vmlinux" >"$folder/kernel"
    cp "$(command -v busybox)" "$tree/bin/busybox" &&
        "$tree/bin/busybox" --list | while read -r name; do
            ln -s busybox "$tree/bin/$name" 2>/dev/null
        done
    cp "$here/linux-init" "$tree/init" &&
        put_modules "$tree" xen-blkfront \
            xen-netfront crc32c_generic ext4 || return 1
    pack "$tree" | gzip -1 >"$folder/ramdisk" &&
        echo 'here is a disk' >"$scratch/disk/word" &&
        rm -f "$folder/disk" && truncate -s 1M "$folder/disk" &&
        mke2fs -q -t ext2 -d "$scratch/disk" "$folder/disk" &&
        chmod -R go-w "$folder"
}

# A boot loader as the server's kernel, and a client's disk with a kernel of his
# own and what that is told.
make_grub() {
    local tree=$scratch/grub folder=$rig/guests/grub
    mkdir -p "$tree/boot/grub" "$folder" &&
        cp "$rig/files/usr/lib/grub-xen/grub-x86_64-xen.bin" "$folder/kernel" &&
        cp "$rig/guests/stub/kernel" "$tree/boot/guest" &&
        printf 'linux /boot/guest init=/exit\nboot\n' \
            >"$tree/boot/grub/grub.cfg" &&
        rm -f "$rig/disk.raw" && truncate -s 1M "$rig/disk.raw" &&
        mke2fs -q -t ext2 -d "$tree" "$rig/disk.raw" && chmod -R go-w "$folder"
}

make_image() {
    local name programs
    dom0_tree=$scratch/dom0
    mkdir -p "$dom0_tree"/{bin,sbin,dev,etc,proc,sys,tmp,share,lib64} \
        "$dom0_tree"/usr/{bin,sbin,lib/x86_64-linux-gnu}
    cp "$(command -v busybox)" "$dom0_tree/bin/busybox"
    for name in $(busybox --list); do
        ln -s busybox "$dom0_tree/bin/$name" 2>/dev/null
    done
    cp "$(command -v setpriv)" "$dom0_tree/usr/bin/" &&
        cp "$(PATH=$PATH:/usr/sbin command -v ip)" \
            "$(PATH=$PATH:/usr/sbin command -v tc)" \
            "$(PATH=$PATH:/usr/sbin command -v nft)" "$dom0_tree/usr/sbin/" &&
        cp --remove-destination "$(command -v dash)" "$dom0_tree/bin/sh" ||
        return 1
    printf 'root:x:0:0::/:/bin/sh\nxeno:x:100:100::/:/bin/sh\n' \
        >"$dom0_tree/etc/passwd"
    printf 'root:x:0:\nxeno:x:100:\n' >"$dom0_tree/etc/group"
    put_xen && put_project || return 1
    programs=$(find "$dom0_tree/usr" -type f -perm -100)
    # shellcheck disable=SC2086
    put_libraries $programs && put_modules "$dom0_tree" xenfs \
        xen-evtchn xen-gntdev xen-gntalloc xen-privcmd virtio_pci \
        9pnet_virtio 9p virtio_net bridge xen-netback xen-blkback loop \
        sch_ingress sch_tbf cls_flower cls_matchall cls_u32 act_gact \
        crc32c_generic nft_meta_bridge || return 1
    pack "$dom0_tree" >"$rig/dom0.cpio" || return 1
    rm -rf "$dom0_tree"
}

make_machine() {
    mkdir -p "$rig"
    install_packages
    unpack_packages
    [ -s "$rig/vmlinux" ] || unpack_kernel "$rig"/files/boot/vmlinuz-* || return 1
    gunzip -c "$rig/files/boot/xen-4.17-amd64.gz" >"$rig/xen" &&
        make_guest && make_linux && make_grub && make_steps && make_image
}

# ---- its life

free_port() {
    local n
    while n=$((20000 + RANDOM % 10000)); do
        (: <"/dev/tcp/127.0.0.1/$n") 2>/dev/null || break
    done
    echo "$n"
}

# SMAP: QEMU 7.2 then faults where it may not.  RDTSCP: Xen takes it for RDTSC
# in PVH guests.
boot() { # sets port: there, on this machine, dom0's port 7403 is
    local xen linux
    port=$(free_port)
    mkdir -p "$share"
    xen="console=com1 com1=115200,8n1 dom0=pv dom0_mem=400M,max:400M"
    xen+=" dom0_max_vcpus=1 spec-ctrl=no xpti=no ucode=no cpufreq=none"
    xen+=" loglvl=warning credit2_cap_period_ms=100"
    linux="console=hvc0 quiet loglevel=4 rdinit=/init mitigations=off audit=0"
    linux+=" apparmor=0 random.trust_cpu=on swiotlb=8192 panic=5 tsc=unstable"
    nice -n 5 qemu-system-x86_64 -name check-xen -accel tcg,thread=multi \
        -cpu max,-smap,-rdtscp -smp 2 -m 848 \
        -nodefaults -no-user-config -display none -monitor none -no-reboot \
        -serial "file:$scratch/serial" \
        -kernel "$rig/xen" -append "$xen" \
        -initrd "$rig/vmlinux $linux,$rig/dom0.cpio" \
        -netdev "user,id=n,hostfwd=tcp:127.0.0.1:$port-:7403" \
        -device virtio-net-pci,netdev=n,romfile= \
        -virtfs "local,path=$share,mount_tag=share,security_model=none" \
        </dev/null >"$scratch/qemu.log" 2>&1 &
    qemu=$!
}

is_on() { kill -0 "$qemu" 2>/dev/null; }

# dom0 SECONDS COMMANDS: of a shell in dom0; what they say, and their exit code.
# 124: no answer, and no other question is taken up before there is one.  Each
# has a name of its own, so that a late answer is nobody else's.
dom0() {
    local ask rc=124
    ask=$(mktemp -u "$share/XXXXXX")
    answered() { [ -e "$ask.rc" ] || ! is_on; }
    printf '%s\n' "patience=${XN_PATIENCE:-1}" "$2" >"$ask.new" && mv "$ask.new" "$ask.ask"
    await "$1" answered
    [ ! -s "$ask.rc" ] || rc=$(<"$ask.rc")
    [ ! -e "$ask.out" ] || cat "$ask.out"
    return "$rc"
}

# point SECONDS NAME COMMANDS: all of them in dom0, until one fails.
point() {
    local rc
    [ $# -eq 3 ] || bail "point: a quote ends too early: $2"
    dom0 "$1" "set -e
$3" >"$scratch/said" 2>&1
    rc=$?
    [ "$rc" -eq 0 ] || {
        echo "exit code $rc"
        cat "$scratch/said"
        tail -n 5 "$share/domd.log"
    } | diag
    ok "$rc" "$2"
    [ "$rc" -ne 124 ] || bail "dom0 did not answer within $1 s"
}

power_off() {
    [ -n "$qemu" ] || return 0
    ! is_on || kill "$qemu"
    wait "$qemu" 2>/dev/null
    qemu=
}
