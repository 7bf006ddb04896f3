dnl SPDX-License-Identifier: GPL-3.0-or-later
dnl Dependencies are gathered first and reported together, so that a newcomer
dnl installs once rather than once per missing library.

AC_DEFUN([XN_MISSING_INIT], [xn_missing=])

dnl XN_LACK(DEBIAN-PACKAGE): note that the package is missing.
AC_DEFUN([XN_LACK],
[AS_CASE([" $xn_missing "], [*" $1 "*], [],
    [xn_missing="$xn_missing $1"])])

dnl XN_NEED(VARIABLE, MODULES, DEBIAN-PACKAGE)
AC_DEFUN([XN_NEED],
[PKG_CHECK_MODULES([$1], [$2], [], [XN_LACK([$3])])])

AC_DEFUN([XN_MISSING_REPORT],
[AS_IF([test -n "$xn_missing"],
    [AC_MSG_ERROR([cannot build XenoServer
  because: these Debian packages are missing:$xn_missing
  try:     apt-get install$xn_missing])])])

dnl XN_TRY_FLAG(VARIABLE, FLAG): add FLAG to VARIABLE where CC takes it.
AC_DEFUN([XN_TRY_FLAG],
[AC_MSG_CHECKING([whether $CC accepts $2])
xn_save_cflags=$CFLAGS
CFLAGS="$CFLAGS -Werror $2"
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <string.h>]], [])],
    [AC_MSG_RESULT([yes]); $1="$$1 $2"], [AC_MSG_RESULT([no])])
CFLAGS=$xn_save_cflags])

dnl XN_FLAGS: sets XN_CFLAGS (warnings, hardening, instrumentation),
dnl XN_LDFLAGS and FUZZ_ENGINE.
AC_DEFUN([XN_FLAGS],
[xn_warn=
for xn_flag in -Wall -Wextra -Wshadow -Wstrict-prototypes \
    -Wmissing-prototypes -Wold-style-definition -Wpointer-arith \
    -Wwrite-strings -Wvla -Wundef -Wformat=2 \
    -Wnull-dereference -Wlogical-op \
    -Wduplicated-cond -Wno-unknown-warning-option \
    -Wno-unused-parameter; do
    XN_TRY_FLAG([xn_warn], [$xn_flag])
done
# clang does not read "fall through" comments, not even those in uthash's macros.
AC_CHECK_DECL([__clang__], [], [XN_TRY_FLAG([xn_warn], [-Wimplicit-fallthrough])])
AS_IF([test "x$enable_werror" = xyes], [xn_warn="$xn_warn -Werror"])

# FMA would give digests that differ between machines, and so would an x87.
xn_code="-ffp-contract=off -fno-common -fno-strict-aliasing"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
#include <float.h>
#if FLT_EVAL_METHOD != 0
#error more than asked for
#endif
]], [])], [], [XN_TRY_FLAG([xn_code], [-msse2 -mfpmath=sse])])
xn_ld="-Wl,--as-needed"
xn_harden=
xn_instr=
AS_IF([test "x$enable_fuzz" = xyes], [enable_sanitizers=yes])
AS_IF([test "x$enable_sanitizers" = xyes],
    [xn_instr="-fsanitize=address,undefined -fno-sanitize-recover=undefined \
-fno-omit-frame-pointer"],
    [# _FORTIFY_SOURCE hides reads from AddressSanitizer, hence only here;
     # it warns without -O, hence the trial.
     for xn_flag in "-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2" \
         -fstack-protector-strong -fstack-clash-protection \
         -fcf-protection "-Wformat -Werror=format-security"; do
         XN_TRY_FLAG([xn_harden], [$xn_flag])
     done
     xn_code="$xn_code -fPIE"
     xn_ld="$xn_ld -pie -Wl,-z,relro -Wl,-z,now"])
AS_IF([test "x$enable_coverage" = xyes], [xn_instr="$xn_instr --coverage"])
FUZZ_ENGINE=
AS_IF([test "x$enable_fuzz" = xyes],
    [xn_instr="$xn_instr -fsanitize=fuzzer-no-link"
     FUZZ_ENGINE=-fsanitize=fuzzer])
AS_IF([test -n "$xn_instr"],
    [AC_MSG_CHECKING([whether $CC can link with$xn_instr $FUZZ_ENGINE])
     xn_save_cflags=$CFLAGS
     CFLAGS="$CFLAGS $xn_instr"
     AC_LINK_IFELSE([AC_LANG_PROGRAM([[]], [])], [AC_MSG_RESULT([yes])],
        [AC_MSG_RESULT([no])
         AC_MSG_ERROR([cannot instrument
  because: $CC does not link with $xn_instr
  try:     CC=clang with the Debian packages clang and libclang-rt-14-dev])])
     CFLAGS=$xn_save_cflags])
AC_SUBST([XN_CFLAGS], ["$xn_warn $xn_code $xn_harden $xn_instr"])
AC_SUBST([XN_LDFLAGS], ["$xn_ld $xn_instr"])
AC_SUBST([FUZZ_ENGINE])])
