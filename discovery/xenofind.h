/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files xenofind*.c share: the client of the index. */
#ifndef DISCOVERY_XENOFIND_H
#define DISCOVERY_XENOFIND_H

#include <stdio.h>

#include "discovery/verify.h"
#include "net/identity.h"
#include "net/settings.h"

#define FIND_PROGRAM "xenofind"
#define FIND_NODES_MAX 256
#define FIND_CORPS_MAX 16
#define FIND_WORDS_MAX 256
#define FIND_SERVERS_MAX 64
#define FIND_COLUMNS_MAX 64
#define FIND_ALL UINT64_MAX

enum find_output {
    FIND_TABLE,
    FIND_WIDE,
    FIND_JSON,
    FIND_JSONL,
    FIND_CSV,
    FIND_XML,
    FIND_NAME,
    FIND_ADDRESS,
};

/* Where things come from: options beat environment beats configuration. */
struct find_options {
    const char *program; /* that errors are told by; set before anything */
    const char *words[FIND_WORDS_MAX]; /* positional constraints */
    size_t n_words;
    const char *where, *requirements, *sort, *currency, *budget, *job;
    char *columns[FIND_COLUMNS_MAX];
    size_t n_columns;
    char *nodes[FIND_NODES_MAX]; /* URLs without a slash at the end */
    size_t n_nodes;
    struct net_corp corps[FIND_CORPS_MAX];
    size_t n_corps;
    xn_id
        servers[FIND_SERVERS_MAX]; /* of get: whose advertisements, each once */
    size_t n_servers;
    const char *state;   /* folder of key.pem, cert.pem, corps/ */
    const char *anchors; /* folder of further corps' certificates, or NULL */
    uint64_t limit, offset, timeout_us, lease_us_max;
    uint64_t within_us; /* 0: as fast as one copy is */
    enum find_output output;
    bool explain, paranoid, lookup, currency_given, exit_now;
    struct net_settings *settings;
    char state_own[512];
    char *split; /* the copy that columns point into */
};

/* Errors are told in three lines.  XN_EINVAL: usage. */
int find_options_parse(int argc, char **argv, struct find_options *opt);
void find_options_clear(struct find_options *opt);

/* The query that the options ask for.  Errors are told, with a caret under
 * the place in the text. */
int find_query_make(const struct find_options *opt, struct query **query_out);

/* Key, certificate and accepted corps.  Errors are told. */
int find_identity_make(const struct find_options *opt,
                       struct net_identity *identity_out);

/* What was found out. */
struct find_result {
    struct find_list list;
    uint64_t matching, known, other_currency;
    uint32_t answered_ppm;
    char **silent; /* tokens whose shards did not answer */
    size_t n_silent;
    Xn__SearchResult *explained; /* the answer that has the conditions */
    bool lied[FIND_SERVERS_MAX]; /* servers[i]: all that came was rejected */
    /* Corps of servers shown whose newest list of revoked keys did not come. */
    xn_id unlisted[FIND_CORPS_MAX];
    size_t n_unlisted;
};

/* Asks node after node until enough has come that verifies, or, where servers
 * are asked for by id, for each of them.  0: an answer came, perhaps an empty
 * one; else the error, which is told. */
int find_fetch(const struct find_options *opt, const struct query *query,
               const struct net_identity *identity, struct find_result *result);
void find_result_clear(struct find_result *result);

/* ---- hints ---- */

/* Is no server advertised at all?  Every advertisement has EnvType; the shard
 * of a token that nobody has knows of no server either. */
bool find_nobody_there(const struct find_options *opt,
                       const struct net_identity *identity);
/* A token that every match must have and no server has, as the nodes say; NULL:
 * none, or not to be known.  Points into the query. */
const char *find_unknown_token(const struct find_options *opt,
                               const struct query *query,
                               const struct net_identity *identity);
/* A value that every match must have, and another one that servers have, which
 * differs from it only in case: "linux", "Linux".  All three are the caller's to
 * free; false: none, or not to be known. */
bool find_case_slip(const struct find_options *opt, const struct query *query,
                    const struct net_identity *identity, char **token_out,
                    char **value_out, char **like_out);
/* The token of -s, if none of the servers shown has it; else NULL. */
const char *find_idle_sort(const struct query *query,
                           const struct find_result *result);
/* The schema's token that this may have been meant for, or NULL. */
const char *find_token_like(const char *token);

/* Tells those who found nothing why that may be. */
void find_advise(const struct find_options *opt, const struct query *query,
                 const struct net_identity *identity,
                 const struct find_result *result);
/* Tells which of the servers that were asked for by id advertise nothing. */
void find_tell_missing(const struct find_options *opt,
                       const struct find_result *result);
/* Tells of which XenoCorps' servers a revoked one may be among those shown. */
void find_tell_unlisted(const struct find_options *opt,
                        const struct find_result *result);
/* Tells that no node is named; XN_EINVAL. */
int find_no_nodes(const struct find_options *opt);

/* ---- printing ---- */

/* The value of a column: a token, or id, name, age, corp, total, currency.
 * Several values of one token are joined by commas.  Appends; false where the
 * server has none. */
bool find_column(const struct query *query, const struct find_hit *hit,
                 const char *column, struct xn_buf *out);
/* Appends the distinct values of a token, in the order of rows.  Returns how
 * many; `out` has room for ADVERT_ROWS_MAX. */
size_t find_values(const struct advert *advert, const char *token,
                   const struct advert_value **out);
uint64_t find_age_s(const struct find_hit *hit);
/* The columns to show: those asked for, else the usual ones: in a table those
 * that any hit has, in CSV all, since programs want the same ones each time; in a
 * wide table id, corp, and all tokens that any hit has as well. */
size_t find_columns(const struct find_options *opt, const struct query *query,
                    const struct find_result *result, const char **out);

int find_print_json(const struct find_options *opt, const struct query *query,
                    const struct find_result *result);
/* A line of JSON for each server: "xeno.find.server/1". */
int find_print_jsonl(const struct query *query,
                     const struct find_result *result);
/* schema/find.xsd. */
int find_print_xml(const struct query *query, const struct find_result *result);
int find_print_table(const struct find_options *opt, const struct query *query,
                     const struct find_result *result);
int find_print_csv(const struct find_options *opt, const struct query *query,
                   const struct find_result *result);
int find_print_names(const struct find_result *result);
int find_print_addresses(const struct find_result *result);
/* Conditions with their counts, and the cheapest relaxation. */
int find_print_explain(const struct find_result *result, FILE *out);
/* On stderr: how many were shown, how old, what did not answer, who lied. */
void find_print_summary(const struct query *query,
                        const struct find_result *result);

#endif
