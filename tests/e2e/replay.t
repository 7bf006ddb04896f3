# SPDX-License-Identifier: GPL-3.0-or-later
# A recorded daemon replays to its outbox, and a changed byte is noticed.
. "$XN_SRC/tests/e2e/lib.sh"

xenosim=$XN_BUILD/sim/xenosim
wrapper=$scratch/xenonoded-recorded
cat >"$wrapper" <<END
#!/bin/sh
exec "$XN_BUILD/node/xenonoded" "\$@" --record "$scratch/recording"
END
chmod +x "$wrapper"

up --servers 4 --noded 2="$wrapper"
"$xenofind" CPUsmps:1.. -n all >/dev/null 2>&1
ok $? "a search while node 2 records"
"$xenodev" kill 3
await 300 sh -c '[ "$("$0" -n all -o name 2>/dev/null | wc -l)" -ge 3 ]' "$xenofind"
"$xenodev" start 3
ok $? "a server dies and comes back meanwhile"
down
ok $? "the platform went away"

[ "$(stat -c %a "$scratch/recording")" = 600 ]
ok $? "the recording is for its owner alone"
! grep -qa 'PRIVATE KEY' "$scratch/recording"
ok $? "and holds no key"
"$xenosim" replay "$scratch/recording" >"$scratch/replay" 2>&1
rc=$?
[ "$rc" -eq 0 ] || diag "$scratch/replay"
ok "$rc" "it replays to the same actions"

# One byte of the last third of the file, another value.
size=$(stat -c %s "$scratch/recording")
at=$((size * 2 / 3))
old=$(dd if="$scratch/recording" bs=1 skip="$at" count=1 2>/dev/null | od -An -tu1)
printf "\\$(printf %o $(((old + 1) % 256)))" |
    dd of="$scratch/recording" bs=1 seek="$at" conv=notrunc 2>/dev/null
"$xenosim" replay "$scratch/recording" >"$scratch/replay" 2>&1
[ $? -ne 0 ]
ok $? "a changed byte is noticed"
plan
