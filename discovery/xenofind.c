/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenofind: find servers.  Trusts nobody: what it prints it has verified. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/xenofind.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/log.h"

static int print(const struct find_options *opt, const struct query *query,
                 const struct find_result *result)
{
    int rc;

    switch (opt->output) {
    case FIND_JSON: return find_print_json(opt, query, result);
    case FIND_JSONL: rc = find_print_jsonl(query, result); break;
    case FIND_CSV: rc = find_print_csv(opt, query, result); break;
    case FIND_XML: rc = find_print_xml(query, result); break;
    case FIND_NAME: rc = find_print_names(result); break;
    case FIND_ADDRESS: rc = find_print_addresses(result); break;
    default: rc = find_print_table(opt, query, result);
    }
    if (rc || !opt->explain) return rc;
    /* Not among rows that a program reads. */
    return find_print_explain(result,
                              opt->output <= FIND_WIDE ? stdout : stderr);
}

/* An answer that survives is an answer, whoever lied beside it. */
static int exit_code(const struct find_options *opt,
                     const struct find_result *result)
{
    const struct find_list *list = &result->list;

    size_t i;

    if (list->n == 0 && list->n_rejects > 0) return XN_EXIT_INTEGRITY;
    for (i = 0; i < opt->n_servers; i++)
        if (result->lied[i]) return XN_EXIT_INTEGRITY;
    if (result->answered_ppm < 1000000) return XN_EXIT_PARTIAL;
    if (list->n < opt->n_servers) return XN_EXIT_NONE;
    if (list->n > 0) return XN_EXIT_OK;
    /* Counts alone were asked for. */
    return opt->limit == 0 && result->matching ? XN_EXIT_OK : XN_EXIT_NONE;
}

/* Those without a value stand in the order of their ids. */
static void tell_idle_sort(const char *token)
{
    const char *like = find_token_like(token);

    xn_gripef(FIND_PROGRAM, "the order asked for orders nothing [XS-0-SORT]",
              like ? like : "-s PricePerHour", "no server shown has '%s'%s%s%s",
              token, like ? ", did you mean " : "", like ? like : "",
              like ? "?" : "");
}

static void tell_partial(void)
{
    xn_gripe(FIND_PROGRAM, "the answer is not whole [XS-10-PARTIAL]",
             "a part of the index did not answer: its nodes died, or the node "
             "asked has just started",
             "again in some seconds, or another --node");
}

static int search(const struct find_options *opt)
{
    struct net_identity identity = {.key = NULL};
    struct find_result result = {.matching = 0};
    struct query *query = NULL;
    const char *token;
    int rc, code = XN_EXIT_OK;

    rc = find_query_make(opt, &query);
    if (rc) goto out;
    if (opt->n_nodes == 0) {
        rc = find_no_nodes(opt);
        goto out;
    }
    rc = find_identity_make(opt, &identity);
    if (rc) goto out;
    rc = find_fetch(opt, query, &identity, &result);
    if (rc) goto out;
    /* The network is behind us: who reads no further, as head does, ends us
     * without a word. */
    signal(SIGPIPE, SIG_DFL);
    errno = 0;
    rc = print(opt, query, &result);
    if (!rc && (fflush(stdout) || ferror(stdout))) rc = XN_EIO;
    if (rc) {
        xn_gripe(FIND_PROGRAM, "cannot print the answer [XS-1-OUT]",
                 rc == XN_EIO && errno ? strerror(errno) : xn_strerror(rc),
                 "more room, or another place to print to");
        goto out;
    }
    find_print_summary(query, &result);
    code = exit_code(opt, &result);
    token = find_idle_sort(query, &result);
    if (token) tell_idle_sort(token);
    find_tell_unlisted(opt, &result);
    if (code == XN_EXIT_NONE || code == XN_EXIT_INTEGRITY)
        find_tell_missing(opt, &result);
    if (code == XN_EXIT_NONE && !opt->n_servers)
        find_advise(opt, query, &identity, &result);
    if (code == XN_EXIT_PARTIAL) tell_partial();
out:
    find_result_clear(&result);
    net_identity_clear(&identity);
    query_free(query);
    return rc ? xn_exit_code(rc) : code;
}

int main(int argc, char **argv)
{
    struct find_options opt = {.program = FIND_PROGRAM};
    int rc, code = XN_EXIT_OK;

    /* Characters alone: numbers are written with a point everywhere. */
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    xn_log_open(FIND_PROGRAM, XN_LOG_WARN, NULL);
    rc = find_options_parse(argc, argv, &opt);
    if (rc) {
        code = xn_exit_code(rc);
    } else if (!opt.exit_now) {
        code = search(&opt);
    }
    find_options_clear(&opt);
    return xn_end(FIND_PROGRAM, code);
}
