# SPDX-License-Identifier: GPL-3.0-or-later
# What an operator is told of an overlay of real daemons.
. "$XN_SRC/tests/e2e/lib.sh"
xeno=$XN_BUILD/tools/xeno

trace() { # N KEY OPTION...: from server N's node, as JSON
    "$xeno" overlay trace "$2" --node "$(node_url "$1")" -o json "${@:3}" \
        >"$scratch/trace" 2>"$scratch/trace.err"
}
field() { # NAME: the first of that name in the last trace
    sed -n "s/^ *\"$1\": \"*\([^\",]*\)\"*,*\$/\1/p" "$scratch/trace" | head -n 1
}

all_linked() { # each node to the other three, by one link
    "$xeno" overlay status >"$scratch/out" 2>&1 &&
        [ "$(grep -c 'linked to all.* 3/512 ' "$scratch/out")" -eq 4 ]
}

up --servers 4
await 300 all_linked
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/out"
ok "$rc" 'all four nodes are linked to all'

# ---- trace ----
owners='' good=0 nearest=
for n in 1 2 3 4; do
    trace "$n" CPUsmps || good=1
    [ "$(field schema)" = xeno.trace/1 ] || good=1
    [ "$(field id)" = "$(node_id "$n")" ] || good=1
    [ "$(grep -c '"way"' "$scratch/trace")" -le 2 ] || good=1
    owners="$owners$(field owner)
"
    nearest=$(field key)
done
[ "$(printf %s "$owners" | sort -u | wc -l)" -eq 1 ] && [ "$good" -eq 0 ]
ok $? 'all nodes trace to one owner, one hop away at most'
owner=$(field owner)
trace 1 "$nearest"
[ "$(field owner)" = "$owner" ]
ok $? 'the key as digits has the same owner'
all=
for copy in 0 1 2 3; do
    trace 2 CPUsmps --copy "$copy" && all="$all$(field owner)
"
done
[ "$(printf %s "$all" | sort -u | wc -l)" -eq 4 ]
ok $? 'four copies are four nodes'
trace 2 CPUsmps --copy 5
[ $? -eq 3 ] && grep -q 'not so many nodes: 3 besides' "$scratch/trace.err"
ok $? 'there is no sixth: exit 3'
"$xeno" overlay trace CPUsmps >"$scratch/out" 2>&1 &&
    grep -q '^owner  *[0-9a-f]\{12\}' "$scratch/out"
ok $? 'a table for people'
XENO_KEY=$scratch/nobody "$xeno" overlay trace CPUsmps >"$scratch/out" 2>&1
[ $? -eq 6 ] && grep -q 'no certificate' "$scratch/out"
ok $? 'strangers may not: exit 6'

# ---- metrics ----
metric() { # SAMPLE: its value in the last metrics
    awk -v name="$1" '$1 == name { print $2 }' "$scratch/metrics"
}
"$xeno" overlay metrics --node "$(node_url 2)" >"$scratch/metrics" 2>&1
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/metrics"
ok "$rc" 'a node tells its metrics'
bad=$(awk '
    /^# HELP / { help[$3] = 1; if (NF < 4) print; next }
    /^# TYPE / {
        if (!help[$3] || type[$3]) print
        type[$3] = $4
        if (($4 == "counter") != ($3 ~ /_total$/)) print
        next
    }
    {
        name = $1
        sub(/[{].*/, "", name)
        base = name
        sub(/_(bucket|sum|count)$/, "", base)
        if (!type[name] && !type[base]) print
        if (name !~ /^(xeno|process)_[a-z_]+$/ || $2 !~ /^[0-9.]+$/) print
    }' "$scratch/metrics")
[ -z "$bad" ] || echo "# $bad"
[ -z "$bad" ] && [ "$(metric 'xeno_overlay_links_max')" = 512 ]
ok $? 'each with help and type, counters as counters are called'
has_links() { # no more and no fewer, in what it tells now
    "$xeno" overlay metrics --node "$(node_url 2)" >"$scratch/metrics" 2>&1 &&
        [ "$(($(metric 'xeno_overlay_links{opened="here"}') +
            $(metric 'xeno_overlay_links{opened="there"}')))" -eq 3 ] &&
        [ "$(metric 'xeno_link_connections{state="open"}')" -eq 3 ]
}
await 300 has_links &&
    [ "$(metric xeno_link_received_bytes_total)" -gt 1000 ] &&
    [ "$(metric xeno_link_sent_bytes_total)" -gt 1000 ] &&
    [ "$(metric 'xeno_overlay_lookups_total{outcome="answered"}')" -gt 0 ] &&
    [ "$(metric 'xeno_overlay_lookup_hops_bucket{le="+Inf"}')" = \
        "$(metric xeno_overlay_lookup_hops_count)" ] &&
    [ "$(metric xeno_api_connections)" -gt 0 ] &&
    grep -qxF "xeno_node_info{id=\"$(node_id 2)\"} 1" "$scratch/metrics"
ok $? 'links, bytes and lookups are counted'
opened() {
    "$xeno" overlay metrics --node "$(node_url 2)" >"$scratch/metrics" 2>&1 &&
        metric xeno_api_connections_total
}
before=$(opened)
for n in 1 2 3 4 5 6 7 8 9 10; do
    "$xenofind" --node "$(node_url 2)" -n all >/dev/null 2>&1
done
# One each; servers beside it may open a few meanwhile.
[ "$(($(opened) - before))" -le 15 ]
ok $? 'a search opens one connection'
XENO_KEY=$scratch/nobody "$xeno" overlay metrics >"$scratch/out" 2>&1
[ $? -eq 6 ]
ok $? 'not to strangers: exit 6'

# ---- status, peers ----
"$xeno" overlay status -o json >"$scratch/trace" 2>&1 &&
    [ "$(field schema)" = xeno.overlay/1 ] &&
    [ "$(field id)" = "$(node_id 1)" ] && [ "$(field links_max)" = 512 ] &&
    [ "$(field mesh)" = true ] && [ "$(grep -c '"uptime_s"' "$scratch/trace")" -eq 4 ]
ok $? 'their status as JSON'
"$xeno" overlay peers --node "$(node_url 3)" -o json >"$scratch/trace" 2>&1
rc=$?
sed -n 's/^ *"id": "\([0-9a-f]*\)",*$/\1/p' "$scratch/trace" | sort >"$scratch/ids"
{ node_id 1; node_id 2; node_id 4; } | sort | cmp -s - "$scratch/ids" &&
    [ "$(field schema)" = xeno.peers/1 ] && [ "$rc" -eq 0 ] &&
    [ "$(sed -n 's/^ *"leaf": \(-*[0-9]*\),*$/\1/p' "$scratch/trace" |
        sort -n | tr '\n' ' ')" = '-1 1 2 ' ]
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/trace"
ok "$rc" 'a node has the other three for peers, in the order of the ring'
[ "$(grep -c '"version": 1' "$scratch/trace")" -eq 3 ] &&
    [ "$(grep -c '"revoked"' "$scratch/trace")" -eq 3 ] &&
    [ "$(grep -cE '"(received|sent)_bytes": [1-9][0-9]{2,}' "$scratch/trace")" -eq 6 ]
ok $? 'with what they speak, and what went over the links'
"$xeno" overlay peers >"$scratch/out" 2>&1 &&
    [ "$(grep -cE '^ *[+-][12] [0-9a-f]{12} (live|silent) +(here|there) ' \
        "$scratch/out")" -eq 3 ]
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/out"
ok "$rc" 'a table of them'
XENO_KEY=$scratch/nobody "$xeno" overlay peers >"$scratch/out" 2>&1
[ $? -eq 6 ]
ok $? 'not for strangers: exit 6'
XENO_KEY=$scratch/nobody "$xeno" overlay status >"$scratch/out" 2>&1 &&
    [ "$(grep -c 'linked to all.* 3/- ' "$scratch/out")" -eq 4 ]
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/out"
ok "$rc" 'but status is, without what tells how busy a node is'

# ---- the owner dies ----
for n in 1 2 3 4; do
    [ "$(node_id "$n")" = "$owner" ] && dead=$n
done
other=$((dead % 4 + 1))
"$xenodev" kill "$dead" >"$scratch/out" 2>&1 || diag "$scratch/out"
other_owner() { # until it is missed the trace says whom it stops at
    trace "$other" CPUsmps && [ "$(field owner)" != "$owner" ]
}
await 300 other_owner
ok $? 'when the owner is gone another one is'
"$xeno" overlay status >"$scratch/out" 2>"$scratch/err"
[ $? -eq 10 ] && grep -q 'no answer' "$scratch/out" &&
    grep -q '^  because: ' "$scratch/err"
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/out" "$scratch/err"
ok "$rc" 'a node that does not answer is shown so: exit 10'
XENO_NODES=$(node_url "$dead") "$xeno" overlay status >"$scratch/out" 2>&1
[ $? -eq 7 ]
ok $? 'no node at all: exit 7'

# ---- an entry node that accepts connections and says nothing ----
third=$((other % 4 + 1))
pid=$(sed -n 's/.*pid=\([0-9]*\).*/\1/p' \
    "$XENODEV_STATE/log/node-0$other.log" | tail -n 1)
kill -STOP "$pid"
XENO_NODES="$(node_url "$other") $(node_url "$third")" timeout 300 \
    "$xenofind" --timeout 1h CPUsmps:1.. >"$scratch/out" 2>&1
rc=$?
kill -CONT "$pid"
[ "$rc" -eq 0 ] || [ "$rc" -eq 10 ]
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/out"
ok "$rc" 'one that is not met is not waited for while there is another'

down
ok $? 'the platform went away'
plan
