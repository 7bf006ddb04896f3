# SPDX-License-Identifier: GPL-3.0-or-later
# Two platforms that come up at once share no port; one whose port was taken
# while its server was down starts that server at another.
. "$XN_SRC/tests/e2e/lib.sh"

one=$XENODEV_STATE two=$scratch/second
goes_away_both() {
    "$xenodev" down --keep --state "$two" >/dev/null 2>&1
    goes_away
}
trap goes_away_both EXIT

ports() { # STATE
    grep -o '"\(api\|links\)": *[1-9][0-9]*' "$1/platform.json" |
        grep -o '[0-9]*$' | sort
}

finds_its_own() { # STATE
    local env
    env=$("$xenodev" env --state "$1") || return 1
    [ "$(eval "$env" && "$xenofind" -n all -o csv -c ServerName 2>/dev/null |
        wc -l)" -eq 2 ]
}

"$xenodev" up --servers 1 --state "$two" >/dev/null 2>"$scratch/two.err" &
second=$!
up --servers 1
wait "$second"
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/two.err"
ok "$rc" "two platforms come up at once"
finds_its_own "$one" && finds_its_own "$two"
ok $? "each finds its own server"
ports "$one" >"$scratch/ports.one"
ports "$two" >"$scratch/ports.two"
[ "$(wc -l <"$scratch/ports.one")" -eq 5 ] &&
    [ -z "$(comm -12 "$scratch/ports.one" "$scratch/ports.two")" ]
ok $? "they share no port"

# As if the first had come up, and taken these, while the second's was down.
port_of() { # STATE: its node's API
    "$xenodev" env --state "$1" | sed -n "s/.*XENO_NODES=.*:\([0-9]*\)'/\1/p"
}
"$xenodev" kill 1 --state "$two"
taken=$(port_of "$one")
sed -i "s/\"api\": *$(port_of "$two")/\"api\": $taken/" "$two/platform.json"
[ "$(port_of "$two")" = "$taken" ] &&
    "$xenodev" start 1 --state "$two" 2>"$scratch/start.err"
ok $? "a server starts though its port was taken"
grep -q "port $taken is taken" "$scratch/start.err"
ok $? "and it is said that the environment has changed"
[ "$(port_of "$two")" != "$taken" ] && await 300 finds_its_own "$two"
ok $? "it is findable at its new place"
finds_its_own "$one"
ok $? "and the other platform is none the worse"

"$xenodev" down --state "$two" && down
ok $? "both went away"
plan
