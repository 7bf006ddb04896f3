/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno overlay metrics: as Prometheus would get them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "tools/xeno_overlay.h"

/* A node's words, line by line. */
static int print_text(char *text)
{
    char *save = NULL, *line;

    for (line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        xn_put_plain(line, stdout);
        putchar('\n');
    }
    return XN_EXIT_OK;
}

int xeno_overlay_metrics(struct xeno *xeno, int argc, char **argv)
{
    static struct xeno_nodes nodes;
    const char *node = NULL;
    const struct xn_option options[] = {
        XN_OPTION("node", 0, "URL", "this one ($XENO_NODES)", &node),
    };
    const struct xeno_question question = {
        .what = "cannot get the metrics", .method = "GET", .path = "/metrics"};
    char *text = NULL;
    int words, code, rc;

    code = xeno_options(xeno, options, 1, argc, argv, 0, 0, &words);
    if (code >= 0) return code;
    if (xeno->json) return xeno_usage("metrics have a form of their own");
    code = xeno_nodes_open(xeno, node, &nodes);
    if (code) return code;
    rc = xeno_nodes_ask(xeno, &nodes, &question, &text);
    code = rc ? xn_exit_code(rc) : print_text(text);
    free(text);
    xeno_nodes_clear(&nodes);
    return code;
}
