/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The documents of money: XML of schema/money.xsd, each in an envelope
 * (wire/envelope.h) signed by whom it names first.
 *
 *   order       XenoCorp   this much of an account, for this holder, until then
 *   narrowing   client     the same, but only ...; over what it narrows
 *   quote       server     these resources at these prices, until then
 *   acceptance  XenoCorp   this order is bound to this server's session
 *   claim       server     used so much up to now, which costs so much
 *   stop        client     nothing more from now on
 *   receipt     XenoCorp   taken, and so much is charged, so much is left
 *
 * A document is named by the SHA-256 of its bytes (not of the envelope: who
 * verifies a signature may make another that verifies as well).  They chain:
 * narrowing over order, narrowing over narrowing, acceptance over narrowing,
 * claim over acceptance, claim over claim.
 *
 * Money is int64 micro-units of the currency, times are microseconds of wall
 * time, ids are names of keys or hashes.  Plain structs without pointers: they
 * are copied freely and nothing is freed.  Zero (empty) is "not given".
 */
#ifndef WIRE_MONEY_H
#define WIRE_MONEY_H

#include <stdbool.h>

#include "lib/buf.h"
#include "wire/cert.h"
#include "wire/id.h"
#include "wire/local.pb-c.h"
#include "wire/price.h"
#include "wire/reason.h"
#include "wire/token.h"

#define MONEY_CURRENCY_SIZE 4                    /* "GBP" */
#define MONEY_BYTES_MAX 4096                     /* of a document */
#define MONEY_AHEAD_US_MAX (5 * 60 * 1000000ULL) /* issued, of a clock */

enum money_type {
    MONEY_ORDER,
    MONEY_NARROWING,
    MONEY_QUOTE,
    MONEY_ACCEPTANCE,
    MONEY_CLAIM,
    MONEY_STOP,
    MONEY_RECEIPT,
};
#define MONEY_TYPES (MONEY_RECEIPT + 1)

struct money_head {     /* what every document begins with */
    xn_id by;           /* who says it */
    uint64_t issued_us; /* when */
    /* These two do not stand in the document. */
    xn_id hash; /* of its bytes; set by parsing */
    xn_id corp; /* that certified the signer; zero: nobody checked */
};

/* What a document allows to be spent; a narrowing gives what it changes. */
struct money_limits {
    char currency[MONEY_CURRENCY_SIZE];
    int64_t amount;
    uint64_t until_us;     /* from then on nothing is accepted or paid */
    int64_t most_per_hour; /* for each hour begun since the acceptance */
    uint64_t from_us;      /* before, nothing is accepted */
    char env_type[XN_VALUE_MAX + 1]; /* "Linux" */
    xn_id server;
    xn_id quote; /* hash of the server's quote */
};

struct money_order {
    struct money_head head;
    xn_id serial;  /* the order's name, from holder and request */
    xn_id account; /* a pseudonym: the corp knows whose */
    xn_id holder;  /* the key that may narrow and stop */
    struct money_limits limits;
};

struct money_narrowing {
    struct money_head head;
    xn_id over; /* hash of the order, or of the narrowing before */
    struct money_limits limits;
};

struct money_rates { /* what a session gets at most */
    xn_dec cpu_smps; /* ms of CPU time per s */
    xn_dec memory_mb, disk_gb;
    xn_dec net_mbps; /* each way */
    xn_dec ipv4_addresses;
};

enum money_metering { MONEY_USED, MONEY_RESERVED }; /* CPU time */

struct money_quote {
    struct money_head head;
    uint64_t until_us; /* to be accepted before */
    uint64_t version;  /* of the server's advertisement */
    char env_type[XN_VALUE_MAX + 1];
    char virtualisation[XN_VALUE_MAX + 1]; /* "pvh"; "": as that type is */
    struct money_rates rates;
    unsigned metering; /* enum money_metering */
    char currency[MONEY_CURRENCY_SIZE];
    struct price_list prices;
    xn_id session; /* to extend that one; zero: for a new one */
};

struct money_acceptance {
    struct money_head head; /* issued_us: from here on time counts */
    xn_id serial;           /* the order's */
    xn_id narrowing;        /* hash of the last one */
    xn_id server, session, quote;
    char currency[MONEY_CURRENCY_SIZE];
    int64_t amount;    /* at most */
    uint64_t until_us; /* at the latest */
    int64_t prepaid;   /* of the amount, paid to the server already */
};

enum money_state { MONEY_RUNNING, MONEY_FINAL };

struct money_claim {
    struct money_head head;
    xn_id session;
    uint64_t sequence; /* 1, 2, 3, ... */
    xn_id previous;    /* hash of the claim before; first: of the acceptance */
    uint64_t till_us;  /* when the usage was read, by the server's clock */
    struct price_usage usage; /* since the session's start */
    char currency[MONEY_CURRENCY_SIZE];
    int64_t amount; /* the price of all that, not of what is new */
    unsigned state; /* enum money_state */
    char activity[XN_VALUE_MAX + 1]; /* what it was used for */
};

struct money_stop {
    struct money_head head;
    xn_id narrowing; /* the one that names the server */
};

struct money_receipt {
    struct money_head head;
    xn_id of; /* hash of the claim or stop */
    xn_id session;
    uint64_t sequence; /* of the last claim taken; 0: none yet */
    char currency[MONEY_CURRENCY_SIZE];
    int64_t charge; /* what this one added */
    int64_t amount; /* charged in all */
    int64_t left;   /* of what was accepted */
};

struct money {
    enum money_type type;
    union {
        struct money_head head;
        struct money_order order;
        struct money_narrowing narrowing;
        struct money_quote quote;
        struct money_acceptance acceptance;
        struct money_claim claim;
        struct money_stop stop;
        struct money_receipt receipt;
    };
};

/* The root element: "PurchaseOrder". */
const char *money_name(enum money_type type);
/* How a type reads and writes, for those who list fields. */
struct flat_form;
const struct flat_form *money_form(enum money_type type);

/* Parses and checks against the schema and in itself; head.corp stays zero.
 * XN_ETOOBIG, XN_EINVAL (not well-formed), XN_ESCHEMA (also: another type),
 * XN_ENOMEM.  `why_out` (may be NULL) gets one line. */
int money_parse(enum money_type type, const uint8_t *xml, size_t len,
                struct money *out, char *why_out, size_t why_len);

/* Appends the canonical form to an empty buffer and sets head.hash.  What is
 * written parses.  Errors as money_parse; XN_EINVAL: a field is missing. */
int money_write(struct money *doc, struct xn_buf *out);

/* May this signer, whose signature over the document was verified, say so?  By
 * its role and name; and the document is not dated more than 5 minutes after
 * at_us.  Sets head.corp, without which the rules take no document. */
enum money_reason money_vouch(struct money *doc, const Xn__Caller *signer,
                              uint64_t at_us, struct money_refusal *why);

/* For cores: what a VERIFY of its envelope said, then money_parse and
 * money_vouch.  doc->type says what it must be; at_us as in money_vouch. */
enum money_reason money_verified(struct money *doc, int rc,
                                 const Xn__Verified *verified, uint64_t at_us,
                                 struct money_refusal *why);

/* envelope_verify, money_parse and money_vouch.  at_us is the time at which
 * the signer's certificate must be good: now for what is new, the time of the
 * corp's receipt for what is old (certificates end, bills stay).  A reason, of
 * which REASON_BAD covers malformed documents and envelopes; and XN_ENOMEM
 * comes as REASON_NOMEM. */
enum money_reason money_open(enum money_type type, const uint8_t *envelope,
                             size_t len, const struct xn_anchors *anchors,
                             uint64_t at_us, struct money *out,
                             struct money_refusal *why);

/* money_write and envelope_sign; *out is the caller's (free).  The head's `by`
 * is set from the key.  What it made is opened as anybody's.  For programs: cores
 * write, and ask for SIGN. */
int money_seal(struct money *doc, EVP_PKEY *key, X509 *cert, uint8_t **out,
               size_t *out_len);

/* "12.5 GBP"; returns `out`. */
#define MONEY_TEXT_MAX 40
const char *money_text(int64_t micro, const char *currency,
                       char out[MONEY_TEXT_MAX]);
/* "10.50GBP", or with blanks before the currency: above zero, at most six
 * places.  XN_EINVAL. */
int money_amount_parse(const char *text, int64_t *micro_out,
                       char currency_out[MONEY_CURRENCY_SIZE]);

#endif
