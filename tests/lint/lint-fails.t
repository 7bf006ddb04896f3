#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The lint tests must be able to fail: a copy of the tree is spoilt in one
# place at a time, and the test in charge must name that place.
set -u
. "$(dirname "$0")/lint.sh"
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export XN_SRC=$tmp/src XN_BUILD=$tmp/build

fresh() { # a clean copy: the sources of every folder, one core's archive
    rm -rf "$tmp/src" "$tmp/build"
    mkdir -p "$tmp/src" "$tmp/build/overlay"
    (cd "$src" && our_files | grep -E '^(overlay|tests/lint)/' |
        tar -cf - -T -) | tar -xf - -C "$tmp/src"
    mkdir -p "$tmp/src/overlay"
    [ -f "$src/overlay/deps" ] && cp "$src/overlay/deps" "$tmp/src/overlay/"
    chmod -R u+w "$tmp/src"
    printf '%s\n' '#include <string.h>' 'int clean(const char *s);' \
        'int clean(const char *s) { return (int)strlen(s); }' \
        >"$tmp/src/overlay/spoilt.c"
    compile
}

compile() {
    rm -f "$tmp/build/overlay/liboverlay.a"
    (cd "$tmp/build/overlay" &&
        ${CC:-cc} -c -o spoilt.o "$tmp/src/overlay/spoilt.c" 2>&1 &&
        ar cr liboverlay.a spoilt.o) | sed 's/^/# /'
}

# says TEST PATTERN NAME: TEST fails and says PATTERN.
says() {
    local out
    out=$(bash "$lint/$1" 2>&1)
    printf '%s\n' "$out" | grep -q '^not ok' &&
        printf '%s\n' "$out" | grep -qE "$2"
    tap_point $? "$3" "$out"
}

# passes TEST NAME: without the fault, TEST has nothing to say.
passes() {
    local out
    out=$(bash "$lint/$1" 2>&1)
    printf '%s\n' "$out" | grep -q '^ok' &&
        ! printf '%s\n' "$out" | grep -q '^not ok'
    tap_point $? "$2" "$out"
}

fresh
passes deps.t "deps.t passes on the clean copy"
passes pure.t "pure.t passes on the clean copy"

fresh
printf '%s\n' '#include "corp/corp.h"' >>"$tmp/src/overlay/spoilt.c"
says deps.t 'overlay/spoilt.c:[0-9]+: may not include corp/corp.h' \
    "deps.t refuses an include sideways"

fresh
printf '%s\n' '#include <corp/corp.h>' >>"$tmp/src/overlay/spoilt.c"
mkdir -p "$tmp/src/corp" && touch "$tmp/src/corp/corp.h"
says deps.t 'overlay/spoilt.c:[0-9]+: may not include corp/corp.h' \
    "deps.t refuses it in angle brackets too"

fresh
printf '%s\n' '# include <time.h>' >>"$tmp/src/overlay/spoilt.c"
says deps.t 'overlay/spoilt.c:[0-9]+: may not include time.h' \
    "deps.t refuses a clock's header in a core"

fresh
printf '%s\n' '#include "wire/../net/driver.h"' >>"$tmp/src/overlay/spoilt.c"
says deps.t 'overlay/spoilt.c:[0-9]+: may not include' \
    "deps.t refuses a way round"

fresh
rm "$tmp/src/overlay/deps"
says deps.t 'overlay has no deps file' "deps.t misses a deps file"

fresh
printf '%s\n' '#include <time.h>' 'long dirty(void);' 'long dirty(void) {' \
    'struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);' \
    'return t.tv_nsec; }' >>"$tmp/src/overlay/spoilt.c"
compile
says pure.t 'spoilt.o: clock_gettime' "pure.t refuses clock_gettime in a core"

fresh
printf '%s\n' 'int dirty(void);' 'int dirty(void) {' \
    'static int calls; return ++calls; }' >>"$tmp/src/overlay/spoilt.c"
compile
says pure.t 'calls.*variable in .bss' "pure.t refuses a hidden variable"

fresh
printf '%s\n' 'int blob_sign(void);' 'int dirty(void);' \
    'int dirty(void) { return blob_sign(); }' >>"$tmp/src/overlay/spoilt.c"
compile
says pure.t 'spoilt.o: blob_sign' "pure.t refuses a core that signs by itself"

for call in 'getrandom((void *)0, 0, 0)' 'fopen("x", "r") != 0' \
    'socket(1, 1, 0)' 'time((void *)0) != 0' 'getenv("X") != 0' \
    'printf("x")' 'rand()'; do
    fresh
    printf '%s\n' '#include <stdio.h>' '#include <stdlib.h>' \
        '#include <sys/random.h>' '#include <sys/socket.h>' \
        '#include <time.h>' 'int dirty(void);' \
        "int dirty(void) { return (int)($call); }" \
        >>"$tmp/src/overlay/spoilt.c"
    compile
    says pure.t "spoilt.o: ${call%%(*}" "pure.t refuses ${call%%(*}"
done
echo "1..$points"
