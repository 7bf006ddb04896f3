/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one table of error codes.  Functions return 0 or one of these,
 * negative; programs turn them into the exit codes that xn_exit_code() gives.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

/* X(name, value, exit code, text) */
#define XN_ERRORS(X)                                                           \
    X(EINVAL, 1, 2, "malformed or out of range")                               \
    X(ENOMEM, 2, 1, "out of memory or over a fixed bound")                     \
    X(EIO, 3, 1, "input or output failed")                                     \
    X(ENOENT, 4, 3, "there is none")                                           \
    X(ETOOBIG, 5, 2, "larger than allowed")                                    \
    X(ETIMEOUT, 6, 7, "no answer in time")                                     \
    X(EUNREACH, 7, 7, "cannot be reached")                                     \
    X(EBUSY, 8, 4, "too busy now")                                             \
    X(EPERM, 9, 6, "not permitted")                                            \
    X(EIDENT, 10, 6, "identity not proved")                                    \
    X(EEXPIRED, 11, 8, "expired")                                              \
    X(ESTALE, 12, 8, "a newer version is known")                               \
    X(EFUTURE, 13, 8, "dated too far in the future")                           \
    X(ESIGNATURE, 14, 9, "signature does not verify")                          \
    X(EINTEGRITY, 15, 9, "contents damaged")                                   \
    X(ENOTYET, 16, 10, "not known here yet")                                   \
    X(ECONFLICT, 17, 1, "changed meanwhile")                                   \
    X(ECANCELLED, 18, 1, "cancelled")                                          \
    X(EPROTO, 19, 7, "not understood: other version or broken peer")           \
    X(EREFUSED, 20, 4, "refused")                                              \
    X(ESCHEMA, 21, 2, "does not follow the schema")                            \
    X(EOVERFLOW, 22, 2, "number out of range")                                 \
    X(EUNKNOWN, 23, 11, "outcome unknown, safe to repeat")                     \
    X(ENOSPC, 24, 1, "no space left")                                          \
    X(EFUNDS, 25, 5, "not enough money")                                       \
    X(EMONEY, 26, 5, "not covered by the order")                               \
    X(EREVOKED, 27, 6, "revoked by its XenoCorp")

enum xn_err {
    XN_OK = 0,
#define X(name, value, code, text) XN_##name = -(value),
    XN_ERRORS(X)
#undef X
};

/* Exit codes of every program (doc/PROTOCOL.md lists them). */
enum xn_exit {
    XN_EXIT_OK = 0,
    XN_EXIT_FAILED = 1,
    XN_EXIT_USAGE = 2,
    XN_EXIT_NONE = 3,
    XN_EXIT_REFUSED = 4,
    XN_EXIT_MONEY = 5,
    XN_EXIT_IDENTITY = 6,
    XN_EXIT_NETWORK = 7,
    XN_EXIT_STALE = 8,
    XN_EXIT_INTEGRITY = 9,
    XN_EXIT_PARTIAL = 10,
    XN_EXIT_UNKNOWN = 11,
    XN_EXIT_TASK = 12,
};

/* Short lower-case text for a code; a static string, never NULL. */
const char *xn_strerror(int rc);

/* The symbol without its prefix ("ETIMEOUT"); static, never NULL. */
const char *xn_errname(int rc);

/* The exit code that a program ends with after this error. */
int xn_exit_code(int rc);

#endif
