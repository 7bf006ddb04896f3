# SPDX-License-Identifier: GPL-3.0-or-later
# The units under a systemd of their own: first process of namespaces, in a
# control group that goes away with it.  Sourced by deb.t, behind the root's
# making.
group= boot=

group_gone() { # its processes take a moment to
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
    [ ! -e "$group" ]
}

units_end() {
    [ -z "$boot" ] || { kill -9 "$boot" && wait "$boot"; } 2>/dev/null
    boot=
    [ -z "$group" ] || await 30 group_gone
    group=
}

# Where version 2 is mounted, be it beside version 1.
unified() { awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts; }

systemd() { # COMMAND...: beside it
    local first
    first=$(pgrep -P "$boot" -x systemd) || return 1
    nsenter -t "$first" -m -p -u -i -C "$@" </dev/null
}

is_up() {
    case $(systemd systemctl is-system-running 2>/dev/null) in
    running | degraded) return 0 ;;
    esac
    return 1
}

units_begin() {
    group=$(unified)/check-deb-$$
    mkdir "$group" || return 1
    (
        echo "$BASHPID" >"$group/cgroup.procs" || exit
        exec unshare --mount --pid --fork --kill-child --uts --ipc --cgroup \
            bash -c '
        set -e
        mount --make-rprivate /
        mount --bind "$1" "$1"
        cd "$1"
        mount -t proc proc proc
        mount --rbind /dev dev
        mount -t sysfs sysfs sys
        mount -t cgroup2 cgroup2 sys/fs/cgroup
        mount -t tmpfs tmpfs run
        mount -t tmpfs tmpfs tmp
        mkdir -p .old
        pivot_root . .old
        umount -l .old
        exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            /lib/systemd/systemd --log-target=journal --show-status=0 \
            systemd.unit=multi-user.target' _ "$root"
    ) </dev/null >"$deb/systemd.log" 2>&1 &
    boot=$!
    await 120 is_up
}

unit_point() { # NAME COMMANDS: beside that systemd
    local rc
    systemd timeout 300 bash -c "set -e; export HOME=/var/tmp; $2" \
        >"$scratch/said" 2>&1
    rc=$?
    [ "$rc" -eq 0 ] || {
        tail -n 20 "$scratch/said"
        systemd journalctl -q --no-pager -n 15 -u 'xeno*'
    } 2>&1 | diag
    ok "$rc" "$1"
}

figures() { # what systemd-analyze says of each unit
    local unit
    for unit in xenonoded xenohostd xenocorpd xenodomd; do
        systemd systemd-analyze --no-pager security "$unit.service" 2>/dev/null |
            sed -n "s/.*Overall exposure level for //p" | diag
    done
}

units() {
    unit_point 'systemd-analyze verify finds nothing in the units' '
        for unit in xenonoded xenohostd xenocorpd xenodomd; do
            systemd-analyze --man=no verify $unit.service
        done 2>&1 | grep "xeno.*:" && exit 1
        for unit in xenonoded xenohostd xenocorpd; do
            systemd-analyze --threshold=25 --no-pager security $unit.service
        done >/dev/null'
    figures
    unit_point 'nothing runs before somebody said what' '
        ! systemctl is-active xenonoded xenohostd xenocorpd | grep "^active"
        systemctl is-active xenodomd'
    unit_point 'a XenoCorp starts from its configuration' '
        printf "register { name = \"deb.example\" }\nlisten { api = \"127.0.0.1:7400\" }\n" \
            >/etc/xenoserver/xenocorpd.conf
        systemctl start xenocorpd
        grep "#" /var/lib/xeno/xenocorpd/url'
    unit_point 'xenoserver join starts node, agent and tasks' '
        corp=$(cat /var/lib/xeno/xenocorpd/url)
        xenoserver join "$corp" | grep "xenoserver join, which starts it"
        ! systemctl is-active xenohostd
        xenoserver offer Currency=USD PricePerHour=0.1 CPUsmps=1000 MemoryMB=512
        xenoserver join --dry-run "$corp" >/var/tmp/plan
        grep "^would write */etc/xenoserver/xenonoded.conf" /var/tmp/plan
        grep "^would start *xenonoded.service" /var/tmp/plan
        ! ls /etc/xenoserver/xenonoded.conf
        ! systemctl is-active xenohostd
        xenoserver join "$corp" | grep "^started"
        for unit in xenonoded xenohostd xenodomd; do
            systemctl is-active $unit
            systemctl is-enabled $unit
        done
        ! find /var/lib/xeno/xenohostd ! -user xenohostd | grep .
        ps -o user= -p "$(systemctl show -p MainPID --value xenohostd)" |
            grep xenohostd'
    unit_point 'doctor finds nothing, and a client runs a task there' '
        export XENO_CORP=$(cat /var/lib/xeno/xenocorpd/url)
        export XENO_NODES=https://127.0.0.1:7402 XENO_KEY=/var/tmp/client
        for n in $(seq 120); do
            [ -z "$(xenofind -o name)" ] || break
            sleep 1
        done
        xenoserver doctor
        id=$(xeno register -o json |
            sed -n "s/.*\"id\": \"\([0-9a-f]*\)\".*/\1/p")
        setpriv --reuid xenocorpd --regid xenocorpd --clear-groups \
            xenocorp client pay-in /var/lib/xeno/xenocorpd "$id" 10USD first
        [ "$(xeno run --max 1USD CPUsmps:100.. -- sh -c "echo hello \$((40 + 2))")" = \
            "hello 42" ]
        xeno bill'
    unit_point 'a task runs in an image that its client names' '
        for file in /bin/sh $(ldd /bin/sh | grep -oE "/[^ ]+"); do
            mkdir -p "/srv/tree${file%/*}"
            cp -L "$file" "/srv/tree$file"
        done
        mkdir -p /srv/images
        tar -C /srv/tree -czf /srv/images/one.tar.gz .
        sum=$(sha256sum </srv/images/one.tar.gz)
        printf "images { folder = \"%s\"\nstore = \"%s\" }\n" \
            /var/lib/xeno/images /srv/images \
            >>/var/lib/xeno/xenohostd/xenohostd.conf
        echo "XENODOMD_OPTIONS=\"--images /var/lib/xeno/images\"" \
            >/etc/default/xenodomd
        systemctl restart xenodomd xenohostd
        export XENO_CORP=$(cat /var/lib/xeno/xenocorpd/url)
        export XENO_NODES=https://127.0.0.1:7402 XENO_KEY=/var/tmp/client
        for n in $(seq 60); do
            said=$(xeno run --max 1USD --image "one.tar.gz@sha256:${sum%% *}" \
                CPUsmps:100.. -- /bin/sh -c \
                "[ -e /usr/bin/env ] || echo alone") && break
            sleep 1
        done
        [ "$said" = alone ]'
    unit_point 'a killed xenodomd and xenohostd come back' '
        kill -9 "$(systemctl show -p MainPID --value xenodomd)"
        kill -9 "$(systemctl show -p MainPID --value xenohostd)"
        for n in $(seq 60); do
            sleep 1
            [ "$(systemctl is-active xenodomd xenohostd | sort -u)" = active ] &&
                exit 0
        done
        exit 1'
    unit_point 'a second join keeps key and units, and says so' '
        corp=$(cat /var/lib/xeno/xenocorpd/url)
        before=$(sha256sum /var/lib/xeno/xenohostd/key.pem)
        xenoserver join "$corp" | grep server
        [ "$(sha256sum /var/lib/xeno/xenohostd/key.pem)" = "$before" ]
        [ "$(systemctl is-active xenonoded xenohostd xenodomd | sort -u)" = \
            active ]'
    unit_point 'a task outlives a restart of all the units' '
        export XENO_CORP=$(cat /var/lib/xeno/xenocorpd/url)
        export XENO_NODES=https://127.0.0.1:7402 XENO_KEY=/var/tmp/client
        xeno run --detach --for 30m --max 1USD CPUsmps:100.. -- sleep 1500
        task=$(pgrep -x xeno-keeper)
        systemctl restart xenocorpd xenonoded xenodomd xenohostd
        for n in $(seq 60); do
            sleep 1
            [ "$(systemctl is-active xenodomd xenohostd | sort -u)" = active ] &&
                break
        done
        [ "$(pgrep -x xeno-keeper)" = "$task" ]'
    unit_point 'removed, none of its processes stays' '
        apt-get -q -y remove "xeno*"
        for n in $(seq 20); do
            pgrep -l "^xeno" || exit 0
            sleep 0.5
        done
        exit 1'
}
