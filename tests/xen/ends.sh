# SPDX-License-Identifier: GPL-3.0-or-later
# How sessions end that nobody stops, by what a client is told and pays: a guest
# that crashes, one that has no memory left, one that boots again and again, one
# whose order is spent, one that cannot be made.  Sourced by xen.t.
. "$here/server.sh"

# ended NAME END BECAUSE TEXT: the session has, the task so, and for that reason,
# its console has the text, nothing is left of it and it is paid for.
ended() {
    await 120 session_is ended "$session" &&
        [ "$(last_field end "$scratch/look.json")" = "$2" ] &&
        [ "$(last_field because "$scratch/look.json")" = "$3" ] && says "$4"
    ok $? "$1: $(last_field because "$scratch/look.json")"
    await 60 is_settled &&
        [ "$(dom0 30 domains)" = 0 ] && [ "${charged#0.}" != 0 ]
    ok $? "it is paid for, ${charged-} USD, and nothing is left of it"
}

buy CPUsmps:500.. MemoryMB:16.. -- /idle && await 60 says 'guest: idles' &&
    type_in crash
ok $? 'a guest is told to crash'
ended 'it ends' crashed 'the domain crashed' 'guest: crashes'

buy CPUsmps:500.. MemoryMB:16.. -- /idle && await 60 says 'guest: idles' &&
    type_in eat
ok $? 'another to use more memory than it has'
ended 'it ends' crashed 'the domain crashed' 'guest: out of memory'

buy CPUsmps:500.. MemoryMB:16.. -- /reboot
ok $? 'another boots again and again'
ended 'it ends' crashed 'the domain boots again and again' 'guest: boots again'

# ---- an order that is spent

printf '<EnvironmentalRequirements><QoS>%s</QoS></EnvironmentalRequirements>' \
    '<CPUsmps>1000</CPUsmps><MemoryMB>16</MemoryMB>' >"$scratch/want"
id=$("$xenofind" -o json Hypervisor:Xen 2>/dev/null |
    sed -n 's/.*"id": "\([0-9a-f]\{64\}\)".*/\1/p' | head -n 1)
server=https://127.0.0.1:$port#$id
spend() { # AMOUNT: an order of so much, and a guest that burns it
    x order new "$1" -o json >"$scratch/order" &&
        order=$(field serial "$scratch/order") &&
        x quote "$server" "$scratch/want" --save "$scratch/quote" >/dev/null &&
        x order narrow "$order" --quote "$scratch/quote" >/dev/null &&
        x session new "$server" "$order" --quote "$scratch/quote" -o json \
            >"$scratch/run" &&
        known_as "$(field session "$scratch/run")" "$order" &&
        x task new "$session" -- /spin >/dev/null
}
spend 0.01USD
ok $? 'an order of a cent pays for a guest that burns CPU'
is_spent() {
    session_is paused "$session" &&
        [ "$(field reason "$scratch/look.json")" = 'the order is spent' ]
}
await 60 is_spent
ok $? 'when it is spent, the guest stands still'
point 15 'by the hypervisor, too' "
    case \$(xl_says $task 5) in *p*) ;; *) xl list; false ;; esac"
await 60 session_is ended "$session" &&
    [ "$(field reason "$scratch/look.json")" = 'the order is spent' ]
ok $? 'and ends for that reason'
await 60 is_settled && [ "$charged" = 0.01 ] && [ "$(dom0 30 domains)" = 0 ]
ok $? "a cent is paid, not more: ${charged-} USD"

# ---- one that cannot be made

buy CPUsmps:500.. MemoryMB:600.. -- /idle
[ $? -eq 4 ] && because=$(field because "$scratch/run") &&
    [[ $because == *'the domain cannot be made: '?* ]]
rc=$?
[ $rc -eq 0 ] || diag "$scratch/run"
ok $rc "what libxl refuses is told, with its words: ${because-}"
await 60 no_order_is_open && [ "$(dom0 30 domains)" = 0 ]
ok $? 'nothing is left of it, and its order is closed'
