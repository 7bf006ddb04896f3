# SPDX-License-Identifier: GPL-3.0-or-later
# The client's and the operator's command lines: help where it is asked for,
# and what is missing told by its name.
set -u
export PATH=$XN_BUILD/tools:$XN_BUILD/hostagent:$XN_BUILD/corp:$PATH
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
unset XENO_NODES XENO_CORP XENO_CONFIG
export XENO_KEY=$tmp/key
n=0

run() { # CODE TEXT NAME COMMAND...: exit code, and what it says; errors whole
    local want=$1 text=$2 name=$3 rc good=1
    shift 3
    timeout 300 "$@" </dev/null >"$tmp/out" 2>"$tmp/err"
    rc=$?
    n=$((n + 1))
    if [ "$rc" -eq "$want" ] && cat "$tmp/out" "$tmp/err" | grep -qE -- "$text"
    then
        [ "$want" -eq 0 ] && good=0
        grep -q "^xeno[a-z]*: .* \[XS-$want-[A-Z_]*\]$" "$tmp/err" &&
            grep -q '^  because: ' "$tmp/err" &&
            grep -q '^  try:     ' "$tmp/err" && good=0
    fi
    [ $good -eq 0 ] || sed 's/^/#   /' "$tmp/out" "$tmp/err" | head -n 12
    [ $good -eq 0 ] && echo "ok $n - $name" || echo "not ok $n - $name"
}

run 0 '^  xeno order void ORDER' 'xeno help' xeno help
run 0 '^  xeno order void ORDER' "a noun's help has its verbs" xeno order --help
[ "$(grep -c '^  xeno ' "$tmp/out")" -eq "$(grep -c '^  xeno order ' "$tmp/out")" ]
rc=$?
n=$((n + 1))
[ $rc -eq 0 ] && echo "ok $n - and no other's" || echo "not ok $n - and no other's"
run 2 'order takes new, list, show, narrow, void' 'a noun alone' xeno order
run 2 'xeno order --help' 'and where its help is' xeno order
run 2 'neither 64 hex digits nor a token' 'a key that is none' \
    xeno overlay trace 'a b'
run 2 'it is not said which' 'no node' xeno overlay trace CPUsmps
run 2 'naro.*narrow' 'a verb that is nearly one' xeno order naro
run 2 'order takes new, list' 'a verb that is none' xeno order frobnicate
run 2 'xeno order new --help' 'a verb whose words are wrong' xeno order new five
run 2 'at most 366 days' 'an order for longer than anybody sells' \
    xeno order new 1USD --for 10000d
run 2 'at most 366 days' 'the same as a time' \
    xeno order new 1USD --until 9000-01-01T00:00:00Z
run 0 'xenoserver join' 'xenoserver help' xenoserver help
run 2 'xenoserver offer --help' 'a verb whose options are wrong' \
    xenoserver offer --frob
run 2 'is not URL@sha256:HEX' 'an image without its hash' \
    xeno run --max 1 --currency GBP --image http://127.0.0.1/one.tar -- true
run 0 'xenodev up' 'xenodev help' xenodev help

# ---- a disk that is full ----
if mkdir "$tmp/small" && mount -t tmpfs -o size=32k tmpfs "$tmp/small" 2>/dev/null
then
    trap 'umount "$tmp/small"; rm -rf "$tmp"' EXIT
    dd if=/dev/zero of="$tmp/small/fill" bs=1k 2>/dev/null
    run 1 'XS-1-NOSPC' 'no room for a XenoCorp' \
        xenocorp init "$tmp/small/corp" alpha.example
else
    n=$((n + 1))
    echo "ok $n - no room for a XenoCorp # SKIP no tmpfs can be mounted"
fi
echo "1..$n"
