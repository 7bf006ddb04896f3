/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver: the operator's tool, as `xenoserver VERB`.  Each verb is a
 * function in the table of xenoserver.c, most in a file of their own.
 *
 * It shares state folder, key and configuration with xenohostd, and speaks to
 * the running one over its HTTPS interface, with the server's own certificate.
 * A verb reads its options with server_options and returns an exit code;
 * errors are told in three lines. */
#ifndef HOSTAGENT_XENOSERVER_H
#define HOSTAGENT_XENOSERVER_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/options.h"
#include "net/client.h"
#include "net/file.h"
#include "net/settings.h"
#include "wire/api.pb-c.h"

#define SERVER_PROGRAM "xenoserver"
#define SERVER_CORPS_MAX 8
#define SERVER_NODES_MAX 16
#define SERVER_OPTIONS_MAX 16
#define SERVER_HOST_MAX 160     /* an address, in brackets where it is IPv6 */
#define SERVER_NODE_PORT "7402" /* where a node beside a server answers */

struct server { /* what all verbs share */
    const struct server_verb *verb;
    bool json;           /* -o json */
    unsigned timeout_ms; /* for one answer */
    char state[NET_PATH_MAX];
    const char *state_option;  /* --state, where it was given */
    char config[NET_PATH_MAX]; /* xenohostd's */
    const char *url;           /* --url: of the running xenohostd */
    struct net_corp corps[SERVER_CORPS_MAX];
    size_t n_corps;
    struct net_setting *rows; /* xenohostd's */
    size_t n_rows;
};

struct server_verb {
    const char *verb, *words, *help;
    int (*run)(struct server *server, int argc, char **argv);
};

/* ---- xenoserver_common.c ---- */

/* The options that all verbs have, and these.  -1: go on with
 * argv[*words_out..argc); else the exit code to end with. */
int server_options(struct server *server, const struct xn_option *own, size_t n,
                   int argc, char **argv, int most, int *words_out);
void server_clear(struct server *server);

/* "cannot ... [XS-6-PERM]" and the other two lines; returns the exit code. */
int server_gripe(int rc, const char *what, const char *because,
                 const char *try);
int server_gripef(int rc, const char *what, const char *try,
                  const char *because_fmt, ...)
    __attribute__((format(printf, 4, 5)));
int server_usage(const char *because_fmt, ...)
    __attribute__((format(printf, 1, 2)));
/* "name      value"; a peer's words may be among them. */
void server_say(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Takes the object, whatever comes; an exit code. */
int server_print_json(json_t *top);

/* Settings of xenohostd, with those of `text` where that is not NULL; `path`
 * is what errors call it.  XN_EINVAL with why_out. */
int server_settings(const struct server *server, const char *path,
                    const char *text, struct net_settings **settings_out,
                    char *why_out, size_t len);
/* The configuration file.  *text_out is the caller's.  XN_ENOENT: there is
 * none; XN_EIO, XN_ETOOBIG with why_out. */
int server_config_read(const struct server *server, char **text_out,
                       char *why_out, size_t len);
/* Writes it whole or not at all.  XN_EIO with why_out. */
int server_config_write(const struct server *server, const char *text,
                        char *why_out, size_t len);

/* ---- xenoserver_ask.c ---- */

/* The server's key and certificate.  An exit code; errors are told. */
int server_identity(const struct server *server, const char *what,
                    struct net_identity *identity_out);

/* Where the xenohostd of this state folder answers, "https://HOST:PORT";
 * false: none runs, or it is too old to say so. */
bool server_find(const struct server *server, bool *runs_out, char *url_out,
                 size_t len);

struct server_question {
    const char *what; /* "cannot tell the status" */
    const char *method, *path;
    const void *body; /* bytes; NULL: none */
    size_t len;
    const ProtobufCMessageDescriptor *answer; /* NULL: as it is */
    bool quiet;                               /* errors are not told */
};
/* To the running xenohostd.  0 and the answer, the caller's (a struct xn_buf
 * where it is told as it is); else a code of lib/err.h, which has been told
 * unless the question is quiet. */
int server_ask(const struct server *server, const struct net_identity *as,
               const struct server_question *question, void *answer_out);
/* What a refusal says; XN_EPROTO where it is none. */
int server_refusal(const struct net_reply *reply, char *because_out, size_t len,
                   char *try_out, size_t try_len);

/* --corp, else XENO_CORP, else those that this server joined. */
int server_corps(struct server *server);
/* STATE/joined: "URL#ID" a line.  _joined: those and `also`, in place of what
 * server->corps holds; XN_ENOMEM.  _keep adds a line; an exit code; errors are
 * told. */
int server_corps_joined(struct server *server, const struct net_corp *also);
bool server_corps_has(const struct server *server, const struct net_corp *corp);
int server_corps_keep(const struct server *server, const struct net_corp *corp);

/* ---- xenoserver_conf.c: pure ---- */

/* A configuration with section.key set to `value`, or left out where that is
 * NULL; all else stays, comments too.  A key that is left out becomes a comment
 * "#key = ..", which is taken back when it is set again.  Appends to `out`.
 * XN_EINVAL: `value` holds what cannot stand there, or the text is not of the
 * form; XN_ENOMEM. */
int server_conf_set(const char *text, const char *key, const char *value,
                    struct xn_buf *out);
/* Line and column, from 1, of section.key; false: it is not there. */
bool server_conf_find(const char *text, const char *key, unsigned *line_out,
                      unsigned *column_out);
/* The value of join.corps, in an empty `out`: the words of `list`, then those
 * of corps[n] that it lacks.  `now`, where not NULL, has its URL changed in the
 * list.  XN_ENOMEM. */
int server_conf_corps(const char *list, const struct net_corp *corps, size_t n,
                      const struct net_corp *now, struct xn_buf *out);
/* All rows as a new file, with their help as comments; what has a value in
 * values[] (as many as rows) is set, the rest is commented out. */
int server_conf_new(const struct net_setting *rows, size_t n,
                    const char *const *values, struct xn_buf *out);

/* ---- xenoserver_self.c: what this machine is ---- */

/* Its name as far as it can be a label. */
void server_self_label(char out[33]);
/* "x86_64, 8 CPUs, 16000 MiB" */
void server_self_machine(char *out, size_t len);
/* The address of ours that the way to the XenoCorp begins at: others reach us
 * there, unless something translates it.  false: there is no way. */
bool server_self_address(const struct net_corp *corp,
                         char out[SERVER_HOST_MAX]);
/* Is its host an address, not a name, of this machine? */
bool server_self_url(const char *url);
/* Does publish.nodes, URLs between blanks, name a node of this machine at its
 * port?  By an address, not by a name. */
bool server_self_node(const char *nodes, char host_out[SERVER_HOST_MAX]);

/* ---- xenoserver_offer.c ---- */

/* "CPUsmps=4000", "price.per_hour=0.02", "Disk=SSD", "City=": the text with all
 * those done, checked as xenohostd would.  *text_out is the caller's.  An exit
 * code; errors are told. */
int server_offer_edit(const struct server *server, const char *text,
                      const char *const *words, size_t n, char **text_out);
/* Would xenohostd take it?  XN_EINVAL: why_out says what and where. */
int server_offer_check(const struct server *server, const char *text,
                       char *why_out, size_t len);

/* ---- the verbs ---- */

int server_join(struct server *server, int argc, char **argv);
int server_status(struct server *server, int argc, char **argv);
int server_page(struct server *server, int argc, char **argv);
int server_metrics(struct server *server, int argc, char **argv);
int server_offer(struct server *server, int argc, char **argv);
int server_drain(struct server *server, int argc, char **argv);
int server_undrain(struct server *server, int argc, char **argv);
int server_doctor(struct server *server, int argc, char **argv);
int server_earnings(struct server *server, int argc, char **argv);
int server_activity(struct server *server, int argc, char **argv);

#endif
