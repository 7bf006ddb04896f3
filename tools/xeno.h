/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno: what a client does, as `xeno NOUN VERB`.  One file per noun; each verb
 * is a function in the table of xeno.c.
 *
 * A verb reads its options with xeno_options, speaks to a XenoCorp by xeno_ask,
 * tells errors in three lines and returns an exit code. */
#ifndef TOOLS_XENO_H
#define TOOLS_XENO_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/options.h"
#include "net/client_conf.h"
#include "net/identity.h"
#include "net/talk.h"
#include "tools/xeno_signals.h"
#include "wire/api.pb-c.h"
#include "wire/money.h"

#define XENO_PROGRAM "xeno"
#define XENO_CORPS_MAX 16
#define XENO_OPTIONS_MAX 24

struct xeno { /* what all verbs share */
    const struct xeno_verb *verb;
    bool json;                /* -o json */
    unsigned timeout_ms;      /* for one answer */
    const char *config;       /* file of --config, or NULL */
    const char *currency;     /* of --currency and its other sources, or NULL */
    char state[NET_PATH_MAX]; /* key.pem, cert.pem, corps/, orders/ */
    struct net_corp corps[XENO_CORPS_MAX]; /* pinned; --corp: that one alone */
    size_t n_corps;
    struct net_settings *settings;
    struct xeno_signals *signals; /* that each wait heeds; NULL: none */
};

struct xeno_verb {
    const char *noun;
    const char *verb;  /* NULL: the noun does without one */
    const char *words; /* for help: "AMOUNT" */
    const char *help;  /* one line */
    int (*run)(struct xeno *xeno, int argc, char **argv);
};

/* ---- xeno_common.c ---- */

/* The options that all verbs have, and these.  argv[0] is not looked at; words
 * are moved behind the options.  -1: go on with argv[*words_out..argc), of
 * which there are least to most; else the exit code to end with. */
int xeno_options(struct xeno *xeno, const struct xn_option *own, size_t n,
                 int argc, char **argv, int least, int most, int *words_out);
void xeno_clear(struct xeno *xeno);

/* "cannot ... [XS-5-FUNDS]" and the other two lines; returns the exit code. */
int xeno_gripe(int rc, const char *what, const char *because, const char *try);
/* The same with a name of its own: "[XS-5-WIDENS]"; "": of rc. */
int xeno_gripe_reason(int rc, const char *reason, const char *what,
                      const char *because, const char *try);
int xeno_gripef(int rc, const char *what, const char *try,
                const char *because_fmt, ...)
    __attribute__((format(printf, 4, 5)));
int xeno_no_memory(void);
int xeno_usage(const char *because_fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* What --save names: written whole or not at all; a pipe or a device is written
 * to.  secret: mode 0600.  what: "cannot keep the bill".  An exit code; errors
 * are told. */
int xeno_save(const char *path, const void *data, size_t len, bool secret,
              const char *what);

/* A folder of the state folder, which is made where it is missing, and a file
 * in it.  An exit code; errors are told. */
int xeno_folder(const struct xeno *xeno, const char *name,
                char out[NET_PATH_MAX]);

/* ---- xeno_corp.c ---- */

struct xeno_member { /* us, at a XenoCorp */
    struct net_corp corp;
    struct net_identity identity;
    struct net_talk *talk; /* our connections as that */
};

/* Us at the first corp that we are registered with; at that one, where `corp`
 * is not NULL.  An exit code; errors are told. */
int xeno_member(const struct xeno *xeno, const xn_id *corp,
                struct xeno_member *member_out);
/* At each corp that we are registered with, at most XENO_CORPS_MAX. */
int xeno_members(const struct xeno *xeno,
                 struct xeno_member members_out[XENO_CORPS_MAX], size_t *n_out);
void xeno_member_clear(struct xeno_member *member);
void xeno_members_clear(struct xeno_member *members, size_t n);
/* Several are asked, `n` in all: what the whole ends with, where it stood at
 * `code` and one of them ended with `part`.  One of several that does not answer
 * makes it XN_EXIT_PARTIAL, which has been told. */
int xeno_part(size_t n, int code, int part);
/* What it calls itself: "alpha.example". */
const char *xeno_corp_name(const struct xeno_member *member);
/* Of the XenoCorps only that of this name, which we must be registered with.
 * -1, or an exit code; errors are told. */
int xeno_corp_named(struct xeno *xeno, const char *name);
/* What the state folder calls the certificate of that corp: cert.pem, or
 * cert-ID.pem where cert.pem is another's. */
void xeno_cert_name(const struct xeno *xeno, const xn_id *corp,
                    char out[XN_ID_HEX + 16]);

struct xeno_why { /* a refusal that is not told at once */
    int rc;
    char reason[40], because[300], try[200];
};
/* Tells it; an exit code. */
int xeno_tell(const struct xeno_why *why, const char *what);

struct xeno_question {
    const char *what; /* "cannot issue the order" */
    const char *method, *path;
    const void *body;                         /* a message; NULL: none */
    const ProtobufCMessageDescriptor *answer; /* what comes back; NULL: text,
                                                 the caller's (free) */
    int none;     /* what XN_ENOENT means here; 0: itself */
    bool node;    /* any that proves itself a node may answer, not `corp` */
    bool changes; /* without an answer nobody knows whether it was done */
    bool quiet;   /* errors are not told */
    bool patient; /* EBUSY with a time to wait: then again */
    struct xeno_why *why; /* they go there instead; NULL: they do not */
    unsigned wait_ms;     /* the answer may be late by so much on purpose */
};
/* 0 and the answer, the caller's (protobuf_c_message_free_unpacked); or a code
 * of lib/err.h, which has been told: XN_EUNREACH, XN_ETIMEOUT: nothing was
 * done; XN_EUNKNOWN: perhaps it was; XN_ECANCELLED: a signal ended it, nothing
 * was done; what the XenoCorp refused with. */
int xeno_ask(const struct xeno *xeno, const struct xeno_member *member,
             const struct xeno_question *question, void *answer_out);

/* The same in two parts, for several at once: said.done says when the second
 * may come (net_talk_wait).  Question and member must stay until then. */
struct xeno_asking {
    const struct xeno_member *member;
    const struct xeno_question *question;
    struct net_said said;
};
void xeno_ask_begin(const struct xeno *xeno, const struct xeno_member *member,
                    const struct xeno_question *question,
                    struct xeno_asking *asking);
/* Until it is done, or a signal ends it. */
void xeno_ask_await(const struct xeno *xeno, struct net_talk *talk,
                    struct xeno_asking *asking);
/* Until all of them are.  Those that are patient and were put off for 10 s or
 * less are asked again after that, 8 times at most. */
void xeno_ask_await_all(const struct xeno *xeno, struct xeno_asking **asked,
                        size_t n);
int xeno_ask_end(struct xeno_asking *asking, void *answer_out);

/* ---- xeno_print.c ---- */

/* "12.5" for JSON, where the currency stands beside it. */
json_t *xeno_json_money(int64_t micro);
json_t *xeno_json_id(const xn_id *id); /* zero: null */
json_t *xeno_json_time(uint64_t us);   /* 0: null */
/* Takes the object, whatever comes; an exit code. */
int xeno_print_json(json_t *top);

struct xeno_table;
struct xeno_table *xeno_table_new(const char *const *headings, size_t n,
                                  uint32_t right); /* bits of columns */
/* One text for each column, copied; NULL is "-". */
void xeno_table_row(struct xeno_table *table, const char *const *texts);
/* Prints and frees; an exit code. */
int xeno_table_print(struct xeno_table *table);
void xeno_table_free(struct xeno_table *table); /* NULL is fine */
/* "name      value" */
void xeno_say(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* On a terminal: "what done"; xeno_progress(NULL, 0) wipes it. */
void xeno_progress(const char *what, uint64_t done);

/* ---- the nouns ---- */

int xeno_register(struct xeno *xeno, int argc, char **argv);
int xeno_account(struct xeno *xeno, int argc, char **argv);

#endif
