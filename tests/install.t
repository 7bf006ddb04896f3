# SPDX-License-Identifier: GPL-3.0-or-later
# make install puts every program, page and shared file in its place, and what
# is installed finds its parts there.
. "$XN_SRC/tests/tap.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL # else the outer make's options are ours

make -C "$XN_BUILD" install prefix=/usr DESTDIR="$scratch" >"$scratch/log" 2>&1
rc=$?
[ "$rc" -eq 0 ] || tail -n 5 "$scratch/log" | sed 's/^/# /'
ok "$rc" 'make install'
missing=
for page in "$XN_SRC"/man/*.[1-8]; do
    name=${page##*/}
    find "$scratch/usr" -path "*/man${name##*.}/$name" | grep -q . ||
        missing="$missing $name"
done
[ -z "$missing" ] || echo "# not installed:$missing"
[ -z "$missing" ]
ok $? 'every manual page'
missing=
for name in xeno xenofind xenodev xenosim xenonoded xenohostd xenocorpd xenocorp \
    xenoserver xenodomd xeno-keeper xeno-unpack; do
    "$(find "$scratch/usr" -name "$name" -type f -perm -100)" --version 2>&1 |
        grep -q "^$name (XenoServer)" || missing="$missing $name"
done
[ -z "$missing" ] || echo "# does not run:$missing"
[ -z "$missing" ]
ok $? 'every program runs from there'
missing=
for file in "$XN_SRC"/dist/completions/*; do
    cmp -s "$file" \
        "$scratch/usr/share/bash-completion/completions/${file##*/}" ||
        missing="$missing ${file##*/}"
done
[ -z "$missing" ] || echo "# not installed:$missing"
[ -z "$missing" ]
ok $? 'every completion'
[ -s "$scratch/usr/share/xenoserver/catalogue.csv" ]
ok $? 'the catalogue is there'
plan
