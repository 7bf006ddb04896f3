#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What ./quickstart shows, on three servers: its four stages come to their ends,
# and nothing of it stays.
. "${XN_SRC:-.}/tests/tap.sh"
. "$XN_SRC/tests/e2e/tasks.sh"
tasks_or_skip
out=$scratch/out
err=$scratch/err
mkdir "$scratch/tmp"

says() { # NAME TEXT FILE
    grep -qE -- "$2" "$3"
    ok $? "$1"
}

goes() { # has every process that works for it gone?
    ! grep -aqsF "$scratch/tmp/" /proc/[0-9]*/cmdline &&
        [ -z "$(find /proc/[0-9]* -maxdepth 1 -name cwd \
            -lname "$scratch/tmp/*" 2>/dev/null)" ]
}

TMPDIR=$scratch/tmp bash "$XN_SRC/dist/demo" "$XN_BUILD" 3 >"$out" 2>"$err"
rc=$?
ok $rc 'it ends well'
[ "$rc" -eq 0 ] || diag "$err" "$out"
says 'servers join' '3 servers are findable' "$err"
says 'and are found' '^shown [1-9]' "$err"
says 'a task writes to its console' '^Hello from task' "$out"
says 'another one runs by its script' '^[0-9a-f]{16}$' "$out"
says 'bills verify' '^verified .* sum 0\.[0-9]+ USD$' "$out"
[ -z "$(ls -A "$scratch/tmp")" ]
ok $? 'no file is left'
await 300 goes
ok $? 'and no process'
! grep -qF "$scratch/tmp" /proc/self/mounts
ok $? 'and no mount'
plan
