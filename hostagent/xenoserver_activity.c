/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver activity: whom sessions' tasks talked to, claim by claim. */
#include <string.h>

#include "hostagent/xenoserver.h"
#include "lib/err.h"
#include "net/activity.h"

static const char what[] = "cannot tell the activity";

struct asking {
    const struct server *server;
    struct net_identity identity;
};

static int ask(void *arg, const char *path, Xn__ActivityNotes **page_out)
{
    const struct asking *asking = arg;
    const struct server_question question = {
        .what = what,
        .method = "GET",
        .path = path,
        .answer = &xn__activity_notes__descriptor,
    };

    return server_ask(asking->server, &asking->identity, &question, page_out);
}

int server_activity(struct server *server, int argc, char **argv)
{
    struct asking asking = {.server = server};
    struct net_activity activity = {
        .program = SERVER_PROGRAM, .ask = ask, .arg = &asking};
    int words, code = server_options(server, NULL, 0, argc, argv, 1, &words);
    xn_id session;

    if (code >= 0) return code;
    activity.json = server->json;
    if (words < argc) {
        if (xn_id_unhex(argv[words], strlen(argv[words]), &session))
            return server_usage("'%.80s' is no session: 64 digits",
                                argv[words]);
        activity.session = &session;
    }
    code = server_identity(server, what, &asking.identity);
    if (!code) code = net_activity_show(&activity);
    net_identity_clear(&asking.identity);
    return code;
}
