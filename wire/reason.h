/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why something about money was refused: one table of reasons, each with a
 * code of lib/err.h (and so an exit code), a line that says it and one that
 * says what to try.  The rules of order.h and claim.h give these. */
#ifndef WIRE_REASON_H
#define WIRE_REASON_H

/* What is altered is untrue (XN_EINTEGRITY) or beyond a limit (XN_EMONEY); the
 * other codes are for what an honest party may run into.  So the rules look at
 * signatures and at what binds the documents together first, at dates last. */
/* X(symbol, code, because, try) */
#define REASONS(X)                                                             \
    X(FINE, 0, "nothing is wrong", "")                                         \
    X(REPEATED, 0, "this claim was taken before", "read its receipt")          \
    /* documents */                                                            \
    X(NOMEM, XN_ENOMEM, "out of memory", "again later")                        \
    X(BAD, XN_EINTEGRITY, "not a document of this kind", "report it")          \
    X(SIGNATURE, XN_ESIGNATURE, "the signature does not verify", "report it")  \
    X(SIGNER, XN_EINTEGRITY, "signed by somebody who may not say this",        \
      "report it")                                                             \
    X(STRANGER, XN_EIDENT, "certified by no XenoCorp that is accepted here",   \
      "a certificate of an accepted XenoCorp for this role")                   \
    X(CERTIFICATE, XN_EEXPIRED, "the signer's certificate is not good now",    \
      "xeno register")                                                         \
    X(FUTURE, XN_EFUTURE, "dated ahead of this clock", "set the clocks")       \
    X(UNVERIFIED, XN_EINTEGRITY, "its signature was not checked", "report it") \
    /* orders */                                                               \
    X(OTHER_CORP, XN_EIDENT, "certified by another XenoCorp than the order's", \
      "an order of the server's XenoCorp")                                     \
    X(HOLDER, XN_EINTEGRITY, "not signed by the order's holder",               \
      "the key that the order was issued to")                                  \
    X(CALLER, XN_EIDENT, "asked for by another than the order's holder",       \
      "the key that the order was issued to")                                  \
    X(CHAIN, XN_EINTEGRITY, "does not follow on the document before it",       \
      "report it")                                                             \
    X(CLOSED, XN_EINTEGRITY, "stands over a narrowing that names its server",  \
      "narrow the one before it instead")                                      \
    X(TOO_MANY, XN_EMONEY, "more narrowings than allowed", "a fresh order")    \
    X(WIDENS, XN_EMONEY, "wider than what it narrows", "a fresh order")        \
    X(EMPTY, XN_EMONEY, "nothing can meet all its limits", "a fresh order")    \
    X(CURRENCY, XN_EMONEY, "in another currency than the order",               \
      "a quote in the order's currency")                                       \
    X(OPEN, XN_EMONEY, "no narrowing names both server and quote",             \
      "xeno order narrow")                                                     \
    X(SERVER, XN_EIDENT, "for another server", "an order for this one")        \
    X(TYPE, XN_EMONEY, "for another type of environment",                      \
      "a quote for the order's type")                                          \
    X(QUOTE, XN_EMONEY, "for another quote", "narrow the order to this one")   \
    X(QUOTE_SERVER, XN_EMONEY, "the quote is another server's",                \
      "a quote of the order's server")                                         \
    X(QUOTE_EXPIRED, XN_EEXPIRED, "the quote has ended", "a fresh quote")      \
    X(EARLY, XN_EFUTURE, "the order does not hold yet", "wait until it does")  \
    X(EXPIRED, XN_EEXPIRED, "the order has ended", "a fresh order")            \
    X(TOO_SMALL, XN_EMONEY, "setting up alone costs more than the order",      \
      "a larger order")                                                        \
    X(ACCEPTANCE, XN_EINTEGRITY, "the acceptance is not of this order",        \
      "report it")                                                             \
    X(RECEIPT, XN_EINTEGRITY, "the receipt does not add up", "report it")      \
    /* claims */                                                               \
    X(CLAIM_SERVER, XN_EINTEGRITY, "claimed by another server than accepted",  \
      "report it")                                                             \
    X(CLAIM_SESSION, XN_EINTEGRITY, "claimed for another session",             \
      "report it")                                                             \
    X(CLAIM_OLD, XN_ESTALE, "later claims were taken already",                 \
      "go on from the last receipt")                                           \
    X(CLAIM_TWICE, XN_EINTEGRITY, "another claim has this sequence number",    \
      "report it")                                                             \
    X(CLAIM_GAP, XN_ESTALE, "a claim before this one is missing",              \
      "send that first")                                                       \
    X(CLAIM_CHAIN, XN_EINTEGRITY, "the hash of the claim before is another",   \
      "report it")                                                             \
    X(CLAIM_FINAL, XN_EMONEY, "the session's last claim was taken",            \
      "a fresh order")                                                         \
    X(CLAIM_SHRINKS, XN_EINTEGRITY, "it goes back on what was said before",    \
      "report it")                                                             \
    X(CLAIM_DATE, XN_EMONEY, "usage read ahead of time", "set the clocks")     \
    X(CLAIM_PRICE, XN_EINTEGRITY, "usage at the quoted prices is another sum", \
      "report it")                                                             \
    X(CLAIM_RATE, XN_EMONEY, "more usage than that time allows",               \
      "claim what the time allows")                                            \
    X(CLAIM_STOPPED, XN_EMONEY, "usage after the client's stop",               \
      "claim what was used before")                                            \
    X(CLAIM_ENDED, XN_EMONEY, "usage after the order's end",                   \
      "claim what was used before")                                            \
    X(CLAIM_AMOUNT, XN_EMONEY, "more than the order's amount",                 \
      "claim up to the amount")                                                \
    X(CLAIM_HOURLY, XN_EMONEY, "more than the order allows for these hours",   \
      "claim up to what it allows")

enum money_reason {
#define X(symbol, code, because, try) REASON_##symbol,
    REASONS(X)
#undef X
};

#define REASON_TEXT_MAX 200

/* What a user reads behind "because:"; `text` has the numbers. */
struct money_refusal {
    enum money_reason reason;
    char text[REASON_TEXT_MAX];
};

/* Fills `why` (may be NULL): the reason's own line and, where fmt is not NULL,
 * a colon and this.  Returns the reason. */
enum money_reason reason_refuse(struct money_refusal *why,
                                enum money_reason reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "WIDENS", "CLAIM_RATE"; static, as the others. */
const char *reason_name(enum money_reason reason);
/* The other way round; XN_ENOENT: no such name. */
int reason_parse(const char *name, enum money_reason *reason_out);
/* 0 or a code of lib/err.h. */
int reason_rc(enum money_reason reason);
const char *reason_try(enum money_reason reason);

#endif
