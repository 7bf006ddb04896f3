# SPDX-License-Identifier: GPL-3.0-or-later
# What the commands that come into dom0 are made of.

domd() { xenodomd --state /state "$@"; }

domd_up() {
    [ -p /ready ] || mkfifo /ready
    (exec xenodomd --state /state --images /guests --allow 100 --ready-fd 3 \
        3>/ready </dev/null >>/share/domd.log 2>&1) &
    read -r line </ready
    [ "$line" = "ready xenodomd" ]
}

as_xeno() { /usr/bin/setpriv --reuid 100 --regid 100 --clear-groups "$@"; }

set_corps() { # URL#ID...
    corps=$* corp_options=
    for corp; do corp_options="$corp_options --corp $corp"; done
}

# The server's keys are xeno's; who is root (xenodomd) has none.
host_up() {
    (exec /usr/bin/setpriv --reuid 100 --regid 100 --clear-groups xenohostd \
        --state /server --config /server/xenohostd.conf $corp_options \
        --ready-fd 3 3>/ready </dev/null >>/share/host.log 2>&1) &
    read -r line </ready
    case $line in ready*) ;; *) return 1 ;; esac
}

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
up_s() { cut -d' ' -f1 /proc/uptime; } # by the hypervisor's clock

til() { # SECONDS COMMAND...
    local end=$(($(up_s | cut -d. -f1) + $1))
    shift
    until "$@"; do
        [ "$(up_s | cut -d. -f1)" -lt "$end" ] || return 1
        sleep 0.2
    done
}

said() { # NAME TEXT [TIMES]: on its console, so often at least
    [ "$(console "$1" | grep -c "$2")" -ge "${3:-1}" ]
}
console() { timeout 2 xenodomd --state /state console "$1" 2>/dev/null; }

domains() { # other than dom0: how many
    xl list | tail -n +3 | wc -l
}

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
