# SPDX-License-Identifier: GPL-3.0-or-later
# How long a domain takes by bare `xl create` and by xenodomd, in turn, by the
# hypervisor's clock.  Sourced by xen.t, alone: XN_XEN_PARTS=pace.  It judges
# nothing but that both work; all of it is emulated, so for a measure the same
# program is started many times there and here.

rounds=5
point 900 'bare xl create and xenodomd make a domain, in turn' "
    images='--images /guests' # no bridge: xl's has none either
    domd_up
    cat >/tmp/bare <<'END'
name='bare'
type='pv'
kernel='/guests/stub/kernel'
extra='/idle'
memory=16
END
    paced() { # NAME COMMAND...
        local name=\$1 from=\$(up_s)
        shift
        \"\$@\" </dev/null >/tmp/paced 2>&1 || { cat /tmp/paced; return 1; }
        echo \"\$name \$from \$(up_s)\" >>/share/pace
    }
    many() { for i in 1 2 3 4 5 6 7 8 9 10; do xenodomd --version; done; }
    for i in \$(seq $rounds); do
        paced xl xl create -q /tmp/bare
        xl destroy bare
        paced xenodomd start p\$i idle
        paced ask domd list
        domd stop p\$i
        til 40 is p\$i state ended
        domd forget p\$i
        paced programs many
    done
    [ \"\$(domains)\" = 0 ]"

paces() { # NAME: median, least and most, in ms
    awk -v name="$1" '$1 == name { print ($3 - $2) * 1000 }' "$share/pace" |
        sort -n | awk '{ v[NR] = $1 } END { if (NR)
            printf("%d ms (%d to %d)", v[int((NR + 1) / 2)], v[1], v[NR]) }'
}
# In CPU time, for others may use this machine.
here_ms=$(
    TIMEFORMAT='%U %S'
    { time for _ in {1..10}; do
        "$XN_BUILD/keeper/xenodomd" --version >/dev/null
    done; } 2>&1 | awk '{ print ($1 + $2) * 1000 }'
)
say "bare xl create                        $(paces xl)"
say "xenodomd start, until it runs         $(paces xenodomd)"
say "xenodomd list: its word and an answer $(paces ask)"
say "ten times xenodomd --version          $(paces programs)," \
    "outside $here_ms ms of CPU time"
