/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver metrics: what the running xenohostd counts, as Prometheus would
 * get it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/xenoserver.h"
#include "lib/buf.h"
#include "lib/err.h"

int server_metrics(struct server *server, int argc, char **argv)
{
    const struct server_question question = {
        .what = "cannot get the metrics", .method = "GET", .path = "/metrics"};
    struct net_identity identity;
    struct xn_buf text;
    int words, code = server_options(server, NULL, 0, argc, argv, 0, &words);

    if (code >= 0) return code;
    if (server->json) return server_usage("metrics have a form of their own");
    code = server_identity(server, question.what, &identity);
    if (code) return code;
    xn_buf_init(&text, 0);
    code = xn_exit_code(server_ask(server, &identity, &question, &text));
    if (!code) (void)fwrite(text.data, 1, text.len, stdout);
    xn_buf_clear(&text);
    net_identity_clear(&identity);
    return code;
}
