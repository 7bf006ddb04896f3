# SPDX-License-Identifier: GPL-3.0-or-later
# What the commands that come into dom0 are made of.

domd() { xenodomd --state /state "$@"; }

# What a program that was just started says, whose --ready-fd is 3; where it ends
# before, nothing.
is_ready() { # WORD
    local line=
    read -rt 30 line <&4
    case $line in "ready $1"*) ;; *) return 1 ;; esac
}

images="--images /guests --allow 100 --bridge xenbr0 \
    --addresses 10.9.0.2-10.9.0.9/24 --gateway 10.9.0.1 \
    --net6 2001:db8:9::/64 --gateway6 2001:db8:9::1"
bridge_up() {
    ip link add xenbr0 type bridge
    ip addr add 10.9.0.1/24 dev xenbr0
    echo 0 >/proc/sys/net/ipv6/conf/xenbr0/accept_dad
    ip addr add 2001:db8:9::1/64 dev xenbr0
    ip link set xenbr0 up
}

domd_up() {
    [ -p /ready ] || mkfifo /ready
    exec 4<>/ready
    (exec xenodomd --state /state $images --ready-fd 3 \
        3>/ready 4<&- </dev/null >>/share/domd.log 2>&1) &
    is_ready xenodomd
}

domd_down() { # [SIGNAL]
    kill "${1:--TERM}" "$(pid_of '^xenodomd --state /state --images')"
    til 10 domd_is_down
}
domd_is_down() { [ -z "$(pid_of '^xenodomd --state /state --images')" ]; }

as_xeno() { /usr/bin/setpriv --reuid 100 --regid 100 --clear-groups "$@"; }

set_corps() { # URL#ID...
    corps=$* corp_options=
    for corp; do corp_options="$corp_options --corp $corp"; done
}

# The server's keys are xeno's; who is root (xenodomd) has none.
host_up() {
    [ -p /ready ] || mkfifo /ready
    exec 4<>/ready
    (exec /usr/bin/setpriv --reuid 100 --regid 100 --clear-groups xenohostd \
        --state /server --config /server/xenohostd.conf $corp_options \
        --ready-fd 3 3>/ready 4<&- </dev/null >>/share/host.log 2>&1) &
    is_ready ""
}

# ---- kills

# What ends is started again; steps.c counts in it.
stays() { # LOG COMMAND...
    local log=$1
    shift
    (set +e
    while :; do
        LD_PRELOAD=/steps.so STEPS=/steps "$@"
        echo "$(up_s) s: exit code $?"
        sleep 0.5
    done) </dev/null >>"$log" 2>&1 &
}

stay_up() {
    arm 0 0
    chmod 666 /steps
    stays /share/domd.log xenodomd --state /state $images
    stays /share/host.log /usr/bin/setpriv --reuid 100 --regid 100 \
        --clear-groups xenohostd --state /server \
        --config /server/xenohostd.conf $corp_options
    til 30 domd list
    til 30 is_offered
}
is_offered() {
    as_xeno xenoserver status --state /server | grep -q "^state *offered"
}

# /steps is steps.c's struct: of each kind a count and where it ends (4 bytes
# each, least significant first), then what ended.
arm() { # KIND STEP: counts begin anew
    dd if=/dev/zero of=/steps bs=128 count=1 conv=notrunc 2>/dev/null
    printf "\\$(printf %o $(($2 % 256)))\\$(printf %o $(($2 / 256)))" |
        dd of=/steps bs=1 seek=$(($1 * 8 + 4)) conv=notrunc 2>/dev/null
}
steps() { od -An -v -tu4 -N32 /steps | tr -s ' \n' ' ' | cut -d' ' -f2,4,6,8; }
struck() { dd if=/steps bs=1 skip=32 2>/dev/null | tr -d '\0'; }

# ---- domains

start() { # NAME WORD [KEY=VALUE]...
    local name=$1 word=$2 sets=
    shift 2
    for set; do sets="$sets --set $set"; done
    domd start "$name" --runner xen --set image=/guests/stub \
        --set memory_mib=16 $sets -- "/$word"
}

of() { domd status "$1" | sed -n "s/^$2 //p"; }  # NAME KEY
is() { [ "$(of "$1" "$2")" = "$3" ]; }           # NAME KEY VALUE
id_of() { xl domid "xeno-$1"; }                  # NAME
xl_says() { xl list "xeno-$1" | awk "END { print \$$2 }"; } # NAME COLUMN
kind_of() { # NAME
    xl list -l "xeno-$1" |
        awk '/"type": "pvh?"/ { gsub(/[",]/, ""); print $2; exit }'
}
up_s() { cut -d' ' -f1 /proc/uptime; } # by the hypervisor's clock

til() { # SECONDS COMMAND...
    local end=$(($(up_s | cut -d. -f1) + $1 * ${patience:-1}))
    shift
    until "$@"; do
        [ "$(up_s | cut -d. -f1)" -lt "$end" ] || return 1
        sleep 0.2
    done
}

said() { # NAME TEXT [TIMES]: on its console, so often at least
    [ "$(console "$1" | grep -c "$2")" -ge "${3:-1}" ]
}
console() { timeout 5 xenodomd --state /state console "$1" 2>/dev/null; }

domains() { # other than dom0: how many
    xl list | tail -n +3 | wc -l
}

no_loops() { [ -z "$(losetup -a)" ]; }

pid_of() { # WORD: of the process whose command line has it
    local dir
    for dir in /proc/[0-9]*; do
        tr '\0' ' ' <"$dir/cmdline" 2>/dev/null | grep -q "$1" || continue
        [ "${dir#/proc/}" = $$ ] || echo "${dir#/proc/}"
    done | head -n 1
}

near() { # A B PERCENT: is A that near to B?
    awk -v a="$1" -v b="$2" -v p="$3" 'BEGIN {
        d = a - b; if (d < 0) d = -d; exit !(b > 0 && d <= b * p / 100) }'
}

share_of() { # NAME: percent of a CPU over 20 s, both by the hypervisor
    local from used till more
    from=$(up_s) used=$(xl_says "$1" 6)
    sleep 20
    till=$(up_s) more=$(xl_says "$1" 6)
    awk "BEGIN { printf \"%.1f\\n\", 100 * ($more - $used) / ($till - $from) }"
}
