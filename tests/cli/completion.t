# SPDX-License-Identifier: GPL-3.0-or-later
# Bash completion: no option of any --help is missing, verbs and values come.
. "$XN_SRC/tests/tap.sh"
export XENO_NODES='https://127.0.0.1:7402 https://127.0.0.1:7502'
export XENO_CORP='https://127.0.0.1:7400#ab'
_xeno_mock=1 # there is no readline to be told anything
COMP_WORDBREAKS=' '

complete_line() { # LINE: the answers, a line each
    local program=${1%% *}
    COMP_LINE=$1 COMP_POINT=${#1}
    _xeno "$program"
    [ "${#COMPREPLY[@]}" -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"
}
gives() { # LINE WORD...: among the answers
    local answers word
    answers=$(complete_line "$1")
    for word in "${@:2}"; do
        grep -qxF -- "$word" <<<"$answers" && continue
        echo "# of '$1' came: $(head -c 300 <<<"$answers" | tr '\n' ' ')"
        ok 1 "$1: $word"
        return
    done
    ok 0 "$1: ${*:2}"
}
all_options() { # PROGRAM [VERB...]: those of its help, and no fewer
    local want missing
    want=$("$@" --help </dev/null 2>&1 | grep -oE -- '--[a-z][a-z-]+' | sort -u)
    missing=$(complete_line "$* --" | sort -u | comm -23 <(echo "$want") -)
    [ -n "$want" ] && [ -z "$missing" ]
    rc=$?
    [ -z "$missing" ] || echo "# missing:" $missing
    ok "$rc" "$*: every option of its help"
}

for file in "$XN_SRC"/dist/completions/*; do
    PATH=$(dirname "$(find "$XN_BUILD"/{corp,discovery,hostagent,keeper,node,sim,tools} \
        -maxdepth 1 -name "${file##*/}" -type f -perm /111 2>/dev/null |
        head -n 1)"):$PATH
    # shellcheck disable=SC1090
    . "$file" && complete -p "${file##*/}" >/dev/null
    ok $? "${file##*/} loads and is registered"
    all_options "${file##*/}"
done
# Each program that is installed has one.
missing=
for page in "$XN_SRC"/man/xeno*.[18]; do
    name=${page##*/}
    name=${name%.*}
    [ -e "$XN_SRC/dist/completions/$name" ] || missing="$missing $name"
done
[ -z "$missing" ] || echo "# without completion:$missing"
[ -z "$missing" ]
ok $? 'every program with a page has a completion'

for verb in $(xenoserver --help | sed -n 's/^  xenoserver \([a-z]*\) .*/\1/p'); do
    all_options xenoserver "$verb"
done
while read -r noun verb; do
    # shellcheck disable=SC2086
    all_options xeno $noun $verb
done < <(_xeno_verbs xeno < <(xeno --help))

while read -r noun verb; do
    # shellcheck disable=SC2086
    all_options xenocorp $noun $verb
done < <(_xeno_verbs xenocorp < <(xenocorp --help) | sort -u)

gives 'xenoserver d' doctor drain
gives 'xenoserver offer Pri' PricePerHour=
gives 'xenoserver status -o ' table json
gives 'xenodev ' up down status env kill start
gives 'xenocorp ' init show accept backup restore
gives 'xenocorp audit ' verify export
gives 'xenocorp client ' list show pay-in credit
gives 'xenocorp charge list --' --refused --output
gives 'xenosim ' run replay
gives 'xenofind Env' EnvType: EnvKernel:
gives 'xeno ' run list top console wait stop task session
gives 'xeno overlay trace CPUs' CPUsmps
gives 'xeno run Env' EnvType: EnvKernel:
XENO_KEY=$(mktemp -d) || exit 99
export XENO_KEY
mkdir "$XENO_KEY/sessions" && : >"$XENO_KEY/sessions/3fa8"
gives 'xeno console 3' 3fa8
gives 'xeno task stop ' 3fa8
rm -rf "$XENO_KEY"
gives 'xenofind EnvType:L' EnvType:Linux
gives 'xenofind -o ' wide jsonl xml csv name address table json
gives 'xenofind CPUsmps:1.. -s Price' PricePerHour
gives 'xenofind -c CPUsmps,Mem' CPUsmps,MemoryMB
gives 'xenofind --node ' https://127.0.0.1:7502
gives 'xenohostd --set price.per' price.per_hour=
gives 'xenohostd --log-level ' debug
gives "xenonoded --state ${XN_SRC%/}/ho" "${XN_SRC%/}/hostagent"
gives "xenofind --requirements ${XN_SRC%/}/NE" "${XN_SRC%/}/NEWS"
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
gives 'xenofind EnvType:L' Linux
gives 'xenoserver offer PricePerHour' PricePerHour=

# Tokens that the schema knows are known here, and no others.
diff <(tr -s ' \n' '\n\n' <<<"$_xeno_tokens" | sort) \
    <(sed -nE 's/^ *(STRING|NUMBER|PRICE)\("([A-Za-z0-9]+)".*/\2/p' "$XN_SRC/wire/token.c" |
        sort) | sed 's/^/# /'
[ "${PIPESTATUS[0]}" -eq 0 ]
ok $? 'the tokens are those of the schema'
plan
