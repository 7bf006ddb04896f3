# SPDX-License-Identifier: GPL-3.0-or-later
# Every refusal of the host agent has a reason and a next step: the list is what
# its source has.  The unit tests of its core gather what they are refused; each
# reason of the list must be among that, as it was answered.
. "$XN_SRC/tests/tap.sh"
command -v perl >/dev/null || {
    echo '1..0 # SKIP perl reads the source here'
    exit 0
}
list=$scratch/list
said=$scratch/said
core() { # its files: not the programs'
    find "$XN_SRC/hostagent" -name '*.c' ! -name 'xeno*' | sort
}

# shellcheck disable=SC2046 # several words
perl "$XN_SRC/tests/refusals-host.pl" $(core) >"$list"
[ "$(wc -l <"$list")" -ge 50 ]
ok $? "the source's refusals are found: $(wc -l <"$list")"
awk -F '\t' '$4 == "NULL" || $4 == "\"\"" || $4 == "" || $3 == "\"\"" {
    print; bad = 1 } END { exit bad }' "$list" >"$scratch/bad"
ok $? 'none has no reason or no next step'
diag "$scratch/bad"

export XN_REFUSALS=$said
for test in "$XN_BUILD"/tests/unit/host "$XN_BUILD"/tests/unit/host_*; do
    [ -x "$test" ] && [ -f "$test" ] || continue
    "$test" >"$scratch/out" 2>&1
    ok $? "${test##*/}"
done
[ "$(wc -l <"$said")" -ge 50 ]
ok $? "they were refused $(wc -l <"$said") times"
! awk -F '\t' '$1 >= 0 || $3 == "" || $4 == ""' "$said" | grep .
ok $? 'each time with a code, a reason and a next step'

# A reason that is put together elsewhere is not looked for by its text; nor what
# no question leads to: our own writer would have to refuse our own quote, a wait
# to outlive what is remembered for days, a lost machine to be asked.
while IFS=$'\t' read -r place _ because _; do
    case $because in \"*\") ;; *) continue ;; esac
    because=${because#\"}
    case $because in
    'that cannot be said in a quote"' | 'it is not remembered any more"' | \
        'it was on a machine that is lost"') continue ;;
    esac
    cut -f 3 "$said" | grep -qxF "${because%\"}"
    ok $? "$place ${because%\"}"
done <"$list"
plan
