/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno session activity: whom its tasks talked to, as its server noted it. */
#include "net/activity.h"
#include "tools/xeno_kept.h"

struct asking {
    const struct xeno *xeno;
    const struct xeno_member *server;
};

static int ask(void *arg, const char *path, Xn__ActivityNotes **page_out)
{
    const struct asking *asking = arg;
    const struct xeno_question question = {
        .what = "cannot tell the activity",
        .method = "GET",
        .path = path,
        .answer = &xn__activity_notes__descriptor,
    };

    return xeno_ask(asking->xeno, asking->server, &question, page_out);
}

static int show(const struct xeno *xeno, const struct xeno_member *server,
                const xn_id *session)
{
    struct asking asking = {xeno, server};
    const struct net_activity activity = {.program = XENO_PROGRAM,
                                          .session = session,
                                          .json = xeno->json,
                                          .ask = ask,
                                          .arg = &asking};

    return net_activity_show(&activity);
}

/* SESSION, or SERVER SESSION for one that is not kept here. */
int xeno_session_activity(struct xeno *xeno, int argc, char **argv)
{
    struct xeno_member server;
    struct xeno_place place;
    xn_id id;
    int words, code = xeno_options(xeno, NULL, 0, argc, argv, 1, 2, &words);

    if (code >= 0) return code;
    if (words + 1 == argc) {
        code = xeno_place(xeno, argv[words], &place);
        if (code) return code;
        code = show(xeno, &place.server, &place.kept.session);
        xeno_place_clear(&place);
        return code;
    }
    code = xeno_session_take(argv[words + 1], &id);
    if (!code) code = xeno_server(xeno, argv[words], &server);
    if (code) return code;
    code = show(xeno, &server, &id);
    xeno_member_clear(&server);
    return code;
}
