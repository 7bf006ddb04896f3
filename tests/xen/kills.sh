# SPDX-License-Identifier: GPL-3.0-or-later
# xenohostd, xenodomd and a domain's keeper are killed with -9 at the steps by
# which they make things durable (steps.c), one in each session's life: begun,
# at work, booted again, at work, stopped.  What was killed is started again, as
# systemd would see to.  Each session is paid once and for what its guest used by
# its own account, its console is whole, and no domain is left.
# SOAK=full: 50 of them, spread over all the steps there are; else 6.
# SEED repeats which.
. "$here/server.sh"
case ${SOAK:-short} in
short) kills=(2 1 2 1) ;; # of xenohostd, xenodomd, keeper, hypercalls
*) kills=(18 8 14 10) ;;
esac
SEED=${SEED:-$RANDOM}
RANDOM=$SEED
echo "# seed $SEED"

point 60 'the server runs under one that starts it again' "
    $set_corps
    for program in '^xenohostd --state' '^xenodomd --state /state --images'; do
        kill -9 \"\$(pid_of \"\$program\")\"
    done
    stay_up"

# ---- a life

buy_nth() { # N: the same again goes on with what was begun
    buy CPUsmps:1000.. MemoryMB:16.. --timeout 20s \
        -- /count "$1"
}

# What comes late counts: typed twice it would boot twice.
boots_again() {
    says 'guest: boots again' && return
    type_in reboot
    await 20 says 'guest: boots again'
}

counted() { # TIMES
    says 'guest: line 20' "$1" || session_is ended "$session"
}

live() { # N
    await 300 buy_nth "$1" && await 120 counted 1 && await 120 boots_again &&
        await 120 counted 2 && await 120 stops && await 120 session_is ended \
        "$session"
}

stops() {
    x stop "$session" >/dev/null || session_is ended "$session"
}

# ---- what became of it

boot_says() { # LAST: what a guest says each time
    echo 'guest: up, memory_kib 16384, PV'
    for ((i = 1; i <= 20; i++)); do echo "guest: line $i"; done
    echo 'guest: used N ms'
    echo "guest: $1"
}

console_is_whole() {
    x console "$session" | tr -d '\r' | tee "$scratch/console" |
        sed 's/used [0-9]* ms/used N ms/' >"$scratch/got"
    { boot_says 'boots again' && boot_says ends; } |
        diff - "$scratch/got" >"$scratch/diff"
}

# The last reading of its keeper is what its guest used, and what was paid: after
# the client's stop nothing is.
is_paid_once() {
    local used metered
    await 60 is_settled || return
    used=$(sed -n 's/^guest: used \([0-9]*\) ms.*/\1/p' "$scratch/console" |
        awk '{ ms += $1 } END { print ms / 1000 }')
    metered=$(dom0 30 "of $task cpu_ns")
    account="used $used s, metered ${metered} ns, billed $(billed_s) s"
    within 10 "$used" "${metered}e-9" && within 10 "$(billed_s)" "$used" &&
        awk "BEGIN { exit !($(billed_s) <= $metered * 1e-9 + 1e-6) }"
}

look_back() { # NAME
    local rc=0
    account=
    await 60 console_is_whole || rc=1 # who asks while xenodomd is away is told so
    is_paid_once || rc=1
    [ "$(dom0 30 domains)" = 0 ] || rc=1
    [ $rc -eq 0 ] || {
        echo "session $session: $account"
        cat "$scratch/diff"
        dom0 30 "xl list; domd status $task"
        tail -n 5 "$share/host.log" "$share/domd.log"
    } | diag
    ok $rc "$1: $account"
}

dom0 30 'arm 0 0'
live 0
rc=$?
ok $rc 'a guest lives as long as it is to'
read -ra steps <<<"$(dom0 30 steps)"
echo "# steps of xenohostd, xenodomd, its keeper, hypercalls: ${steps[*]}"
look_back 'it is paid, whole and gone'
[ $rc -eq 0 ] || return

# ---- the kills

n_struck=0 n_lives=0
for who in 0 1 2 3; do
    for ((k = 0; k < kills[who]; k++)); do
        # one of each of so many equal parts
        part=$((steps[who] / kills[who]))
        [ "$part" -gt 0 ] || {
            echo "# only ${steps[who]} steps of $who"
            break
        }
        at=$((k * part + 1 + RANDOM % part))
        dom0 30 "arm $who $at"
        live $((n_lives += 1)) || echo "# it did not live to its end"
        struck=$(dom0 30 struck)
        [ -n "$struck" ] && n_struck=$((n_struck + 1))
        look_back "[$SECONDS s] ${struck:-none was killed at $at of $who}"
    done
done
wanted=$((kills[0] + kills[1] + kills[2] + kills[3]))
[ $((n_struck * 10)) -ge $((wanted * 9)) ]
ok $? "$n_struck kills"
await 60 no_order_is_open
ok $? 'no order is open'
point 30 'no keeper, no note, no domain is left' '
    [ -z "$(pid_of "^xenodomd keep-domain")" ]
    [ -z "$(find /state/sessions -name domain)" ]
    [ "$(domains)" = 0 ]
    [ "$(xenstore-list /local/domain)" = 0 ]'
