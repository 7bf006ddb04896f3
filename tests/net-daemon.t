#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What all daemons share, shown with xenocorpd, which needs no other: options,
# settings, the state folder and its lock, readiness, signals.
set -u
prog=${XN_BUILD:-.}/corp/xenocorpd
dir=$(mktemp -d)
pid=
points=0

cleanup() {
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT

tap() { # RC TEXT
    points=$((points + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $points - $2"
    else
        echo "not ok $points - $2"
        sed 's/^/# /' "$dir"/*.err
    fi
}

# start: the daemon on $dir/a; its ready line in $ready.
start() {
    mkfifo "$dir/ready"
    "$prog" --state "$dir/a" --name alpha.example --listen-api 127.0.0.1:0 \
        --ready-fd 9 "$@" 9>"$dir/ready" >/dev/null 2>"$dir/daemon.err" &
    pid=$!
    read -r ready <"$dir/ready"
    rm "$dir/ready"
}

# fails CODE PATTERN TEXT OPTION...
fails() {
    local code=$1 pattern=$2 text=$3 rc
    shift 3
    timeout 300 "$prog" "$@" >"$dir/fails.out" 2>"$dir/fails.err"
    rc=$?
    [ "$rc" -eq "$code" ] && grep -Eq -- "$pattern" "$dir/fails.err"
    tap $? "$text"
}

ready=
start
[[ $ready =~ ^ready\ pid=$pid\ id=[0-9a-f]{64}\ api=127\.0\.0\.1:[0-9]+$ ]]
tap $? "the ready line says pid, id and address"
id=${ready#* id=}
id=${id%% *}
[ "$(stat -c %a "$dir/a/key.pem")" = 600 ]
tap $? "the key is for its owner alone"
fails 4 'another daemon runs' "a second daemon on the state folder is refused" \
    --state "$dir/a" --name alpha.example
kill -TERM "$pid"
wait "$pid"
tap $? "SIGTERM ends it with 0"
start
[ "$(echo "$ready" | grep -c "id=$id ")" -eq 1 ]
tap $? "the next start has the same id"
kill -9 "$pid"
wait "$pid" 2>/dev/null
start
[ -n "$ready" ]
tap $? "after kill -9 it starts again: the lock went with it"
kill -INT "$pid"
wait "$pid"
tap $? "SIGINT ends it with 0"
start --set log.form=json
kill -TERM "$pid"
wait "$pid"
object='\{"time":"20[^"]*Z","level":"[a-z]*","program":"xenocorpd","pid":'$pid
grep -q '"level":"info".*"text":"ready ' "$dir/daemon.err" &&
    ! grep -Evx "$object"',"text":"([^"\\]|\\.)*"\}' "$dir/daemon.err"
tap $? "its log as objects"
pid=

fails 2 'a holds alpha.example, not beta.example' "another name than it has" \
    --state "$dir/a" --name beta.example
chmod 644 "$dir/a/key.pem"
fails 6 'can be read by others' "a readable key is refused" \
    --state "$dir/a" --name alpha.example
chmod 600 "$dir/a/key.pem"
echo junk >"$dir/a/key.pem"
fails 6 'because: .*a:' "a key that is none is refused" \
    --state "$dir/a" --name alpha.example
rm "$dir/a/key.pem"
cp "$dir/a/cert.pem" "$dir/cert.pem"
fails 6 'key.pem is missing' "a XenoCorp whose key is lost gets no other" \
    --state "$dir/a" --name alpha.example
cmp -s "$dir/a/cert.pem" "$dir/cert.pem" && [ ! -e "$dir/a/key.pem" ]
tap $? "and keeps its certificate"

fails 2 '--sttae is no option, did you mean --state' "an unknown option" --sttae "$dir/b"
grep -q -- '--state' "$dir/fails.err"
tap $? "and the nearest known one"
fails 2 'needs a value' "an option without its value" --state
fails 2 'more than once' "an option twice" --state "$dir/b" --state "$dir/c"
fails 2 "is no option" "a word too many" --state "$dir/b" now
fails 2 'ready-fd is a number' "a descriptor that is none" --ready-fd x
fails 2 'level of the log' "a level that is none" \
    --state "$dir/b" --log-level loud
fails 2 'form of the log' "a form that is none" \
    --state "$dir/b" --set log.form=yaml
fails 2 'not a numeric address' "a name to listen on" \
    --state "$dir/b" --name b.example --listen-api localhost:0
fails 1 'cannot use the state folder' "a state folder that cannot be" \
    --state "$dir/no/such" --name b.example

printf 'listen {\n  apo = "x"\n}\n' >"$dir/conf"
fails 2 'conf:2:3: unknown key listen.apo, did you mean listen.api' \
    "a misspelt key is told with line, column and the nearest" \
    --state "$dir/b" --config "$dir/conf"
printf 'limits { threads = 08 }\n' >"$dir/conf"
fails 2 'conf:1:10: limits.threads is a whole number' "an octal number" \
    --state "$dir/b" --config "$dir/conf"
fails 2 'limits.threads is from 1 to 16' "a number out of range by --set" \
    --state "$dir/b" --set limits.threads=17
fails 2 'No such file' "a configuration that is not there" \
    --state "$dir/b" --config "$dir/none"
touch "$dir/rec"
fails 1 'cannot record' "a recording over another file" \
    --state "$dir/b" --name b.example --record "$dir/rec"
echo "1..$points"
