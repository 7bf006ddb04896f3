/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections to this member's tasks, and commands beside them: the manager says
 * who may and has counted them; what they carry passes both cores by. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "hostagent/member_in.h"
#include "lib/err.h"
#include "wire/msg.h"
#include "wire/nest.h"
#include "wire/stream.h"

#define STREAM_US (8 * 86400 * SECOND_US) /* its manager ends it before */
#define PORT_MAX 65535
#define NAME_LEN_MAX 128
#define WORDS_MAX 64

static void drop(struct member *m, struct asked *asked)
{
    DL_DELETE(m->streams, asked);
    m->n_streams--;
    free(asked);
}

static void abandon(struct member *m, const struct asked *asked)
{
    xn_out_add(&m->out, XN_ACT_ABORT, asked->ticket, XN_PEER_NONE, NULL);
}

static void refuse(struct member *m, uint64_t ask, int rc)
{
    xn_out_refuse(&m->out, ask, rc == XN_EUNREACH ? XN_ENOTYET : rc, WHAT,
                  rc == XN_EUNREACH ? "its xenodomd is not there"
                                    : xn_strerror(rc),
                  "again in a second");
}

/* It has ended, or did not begin, which is said. */
static void on_over(void *owner, void *ctx, const struct xn_now *now, int rc,
                    struct xn_msg *msg, struct xn_out *out)
{
    struct member *m = owner;
    struct asked *asked = ctx;
    const Xn__DomTell *tell = !rc && msg && msg->kind == XN__KIND__DOM_TELL
                                  ? XN_BODY(msg, Xn__DomTell)
                                  : NULL;

    if (rc == XN_ETIMEOUT) abandon(m, asked);
    if (asked->ask && tell)
        xn_out_refuse(out, asked->ask, tell->rc < 0 ? tell->rc : XN_EPROTO,
                      WHAT,
                      tell->because[0] ? tell->because : "it has not begun",
                      tell->advice[0] ? tell->advice : "again in a second");
    else if (asked->ask && rc)
        refuse(m, asked->ask, rc);
    drop(m, asked);
}

static void begin(struct member *m, const struct xn_now *now, uint64_t ask,
                  const Xn__AskStream *want)
{
    Xn__AskStream body = XN__ASK_STREAM__INIT;
    struct asked *asked = calloc(1, sizeof *asked);

    if (!asked) {
        m->out.rc = XN_ENOMEM;
        return;
    }
    asked->ask = ask;
    DL_APPEND(m->streams, asked);
    m->n_streams++;
    body.name = want->name;
    body.ask = ask;
    body.port = want->port;
    body.argv = want->argv;
    body.n_argv = want->n_argv;
    body.terminal = want->terminal;
    asked->ticket = xn_ticket(m->tickets, now->mono_us + STREAM_US, on_over, m,
                              asked, &m->out);
    if (asked->ticket)
        xn_out_emit(&m->out, XN_ACT_DOMAIN, asked->ticket, XN_PEER_NONE,
                    XN__KIND__ASK_STREAM, &body);
}

static bool is_whole(const Xn__AskStream *want)
{
    return want && want->name[0] && strlen(want->name) < NAME_LEN_MAX &&
           want->port <= PORT_MAX && want->n_argv <= WORDS_MAX &&
           stream_terminal_ok(want->terminal) &&
           (want->n_argv ? want->argv[0][0] == '/' : want->port > 0);
}

void member_on_stream(struct member *m, const struct xn_now *now, uint64_t ask,
                      const Xn__Ask *question)
{
    Xn__AskStream *want = xn_unpack(&xn__ask_stream__descriptor,
                                    question->body.data, question->body.len);

    if (!is_whole(want))
        member_malformed(m, ask);
    else if (m->n_streams >= STREAMS_MAX)
        xn_out_refuse(&m->out, ask, XN_EBUSY, WHAT,
                      "this machine carries as many connections as it can",
                      "again when others have ended");
    else
        begin(m, now, ask, want);
    if (want) xn__ask_stream__free_unpacked(want, NULL);
}

void member_stream_cancel(struct member *m, uint64_t ask)
{
    struct asked *asked;

    DL_FOREACH(m->streams, asked)
    {
        if (asked->ask != ask) continue;
        asked->ask = 0;
        abandon(m, asked);
    }
}

void member_streams_clear(struct member *m)
{
    while (m->streams)
        drop(m, m->streams);
}
