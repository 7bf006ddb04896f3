/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whoever holds a session has connections carried to ports of its task, and
 * commands run beside it.  What is carried passes the core by: it says who may,
 * and counts them. */
#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "hostagent/activity.h"
#include "hostagent/machine.h"
#include "hostagent/task_aim.h"
#include "lib/err.h"
#include "lib/text.h"
#include "wire/stream.h"

#define FORWARD "cannot forward the port"
#define EXEC "cannot run the command"
#define PORT_MAX 65535
#define PROTOCOL_TCP 6
#define WORDS_MAX 64
#define TEXT_MAX 8192 /* bytes of these */
#define URL_MAX 300
#define SAID_MAX 256 /* of a member's words */

/* ---- how many ---- */

/* Of this caller, NULL: of all; those that end already are not counted. */
static size_t streams_of(const struct host_market *m, const xn_id *caller)
{
    const struct task_wait *wait;
    size_t n = 0;

    DL_FOREACH(m->waits, wait)
    {
        n += wait->kind == WAIT_STREAM && wait->ask &&
             (!caller || xn_id_eq(&wait->caller, caller));
    }
    return n;
}

/* The server has all that it can: the oldest of who has most gives way to who
 * has fewer, with this one too.  So who takes all that there are shares them as
 * soon as somebody else wants some.  false: there is no such. */
bool task_stream_room(const struct host_market *m, const xn_id *caller)
{
    struct task_wait *wait, *victim = NULL;
    size_t most = streams_of(m, caller) + 1;

    if (streams_of(m, NULL) < TASK_STREAMS_MAX) return true;
    DL_FOREACH(m->waits, wait)
    {
        size_t n = wait->kind == WAIT_STREAM && wait->ask
                       ? streams_of(m, &wait->caller)
                       : 0;

        if (n <= most) continue;
        most = n;
        victim = wait;
    }
    if (!victim) return false;
    task_wait_abandon(victim, "others have fewer connections");
    task_wait_refuse(victim, XN_EBUSY,
                     "others have fewer connections", /* not begun */
                     "when some have ended");
    victim->ask = 0;
    return true;
}

/* ---- until it has ended ---- */

/* What a member refuses with is another machine's word. */
static int known_rc(int told)
{
    static const int known[] = {XN_EREFUSED, XN_EBUSY,    XN_ENOTYET,
                                XN_EUNREACH, XN_ETIMEOUT, XN_ENOENT};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (told == known[i]) return told;
    }
    return XN_EUNKNOWN;
}

static void refuse_told(struct task_wait *wait, const Xn__DomTell *tell,
                        bool far)
{
    char because[SAID_MAX], advice[SAID_MAX];
    int rc = far ? known_rc(tell->rc) : tell->rc;

    snprintf(because, sizeof because, "%s",
             tell->because[0] ? tell->because : xn_strerror(rc));
    snprintf(advice, sizeof advice, "%s",
             tell->advice[0] ? tell->advice : "xeno task show");
    xn_plain(because);
    xn_plain(advice);
    task_wait_refuse(wait, rc, because, advice);
}

static void refuse_rc(struct task_wait *wait, int rc, bool far)
{
    if (far && (rc == XN_EUNREACH || rc == XN_ETIMEOUT || rc == XN_EIDENT))
        task_wait_refuse(wait, XN_ENOTYET,
                         "the machine that it runs on does not answer",
                         "again in some seconds");
    else if (rc == XN_EUNREACH)
        task_wait_refuse(wait, XN_ENOTYET,
                         "what runs tasks on this server is not there",
                         "again in some seconds");
    else if (rc == XN_EPROTO && far)
        task_wait_refuse(wait, rc,
                         "no Upgrade: xeno-stream came with the question",
                         "another version of xeno");
    else if (rc == XN_EBUSY)
        task_wait_refuse(wait, rc, "too many connections begin at once",
                         "again in a second");
    else
        task_wait_refuse(wait, XN_EUNKNOWN, "xenodomd does not answer",
                         "again in a second");
}

static bool is_far(const struct task_wait *wait)
{
    const struct host_machine *m = host_machine(wait->host, &wait->machine);

    return !m || m->url;
}

/* A flow of its session's, by as much as it has grown. */
void task_stream_carried(struct task_wait *wait, const struct xn_now *now,
                         const Xn__Carried *carried)
{
    struct host_session *s = session_find(wait->host, &wait->session);
    struct flow flow = {.protocol = PROTOCOL_TCP, .carried = true};
    uint64_t sent = wait->carried.sent, got = wait->carried.got;

    if (!s || !wait->carried.port || carried->sent < sent ||
        carried->got < got ||
        (wait->carried.told && carried->sent == sent && carried->got == got)) {
        return;
    }
    wait->carried.told = true;
    wait->carried.sent = carried->sent;
    wait->carried.got = carried->got;
    flow.own_port = wait->carried.port;
    flow.sent = carried->sent - sent;
    flow.got = carried->got - got;
    flow.first_us = wait->carried.since_us;
    flow.last_us = now->wall_us;
    if (flow_set_peer(&flow, wait->carried.from)) return;
    activity_add(s, &flow);
}

/* It has ended, or did not begin, which is said. */
static void on_stream(void *owner, void *ctx, const struct xn_now *now, int rc,
                      struct xn_msg *msg, struct xn_out *out)
{
    struct task_wait *wait = ctx;
    bool far = is_far(wait);
    const Xn__DomTell *tell;

    if (rc == XN_ETIMEOUT) /* by our own clock, perhaps */
        task_wait_abandon(wait, "it has lasted for a week");
    wait->ticket = 0;
    if (!rc && msg && msg->kind == XN__KIND__CARRIED) {
        task_stream_carried(wait, now, XN_BODY(msg, Xn__Carried));
    } else if (!rc && msg && msg->kind == XN__KIND__DOM_TELL) {
        tell = XN_BODY(msg, Xn__DomTell);
        if (tell->rc < 0) refuse_told(wait, tell, far);
    } else if (rc) {
        refuse_rc(wait, rc, far);
    }
    task_wait_drop(wait);
}

static void carry(struct task_wait *wait, const struct xn_now *now,
                  Xn__AskStream *ask)
{
    struct host *host = wait->host;
    const struct host_machine *m = host_machine(host, &wait->machine);
    char url[URL_MAX];

    ask->ask = wait->ask;
    if (m && m->url) {
        snprintf(url, sizeof url, "%s/v1/stream", m->url);
        ask->url = url;
        ask->peer_id = xn_id_bytes(&m->id);
    }
    wait->ticket = xn_ticket(host->tickets, now->mono_us + TASK_STREAM_US,
                             on_stream, host, wait, &host->out);
    if (!wait->ticket) return;
    xn_out_emit(&host->out, XN_ACT_DOMAIN, wait->ticket, XN_PEER_NONE,
                XN__KIND__ASK_STREAM, ask);
}

/* ---- who may ---- */

/* Is anybody there who could answer?  Else it is refused. */
static bool may_reach(const struct task_aim *aim, uint64_t ask,
                      const char *what)
{
    const struct host_session *s = aim->s;
    char because[SESSION_REASON_MAX + 40];

    if (s->state >= XN__SESSION_STATE__SESSION_ENDING) {
        snprintf(because, sizeof because, "the session has ended%s%s",
                 s->reason[0] ? ": " : "", s->reason);
        task_refuse(s->host, ask, XN_ENOENT, what, because, "a new session");
    } else if (aim->t->over || aim->t->state == XN__TASK_STATE__STOPPING) {
        task_refuse(s->host, ask, XN_EREFUSED, what,
                    "the task has ended, or is being stopped", "xeno task new");
    } else if (!aim->t->record->seen) {
        task_refuse(s->host, ask, XN_ENOTYET, what, "it does not run yet",
                    "again in a second");
    } else if (s->state == XN__SESSION_STATE__SESSION_PAUSED) {
        snprintf(because, sizeof because, "the session is paused: %s",
                 s->reason);
        task_refuse(s->host, ask, XN_EMONEY, what, because,
                    "xeno session extend");
    } else if (aim->t->record->paused) {
        task_refuse(s->host, ask, XN_EREFUSED, what, "the task is paused",
                    "xeno task resume");
    } else {
        return host_runs_tasks(s->host, ask, what, s);
    }
    return false;
}

static void begin(const struct task_aim *aim, const struct xn_now *now,
                  uint64_t ask, const char *what, const char *from,
                  Xn__AskStream *body)
{
    struct task_wait *wait = task_wait_new(aim->s, ask, &aim->caller,
                                           aim->t->number, WAIT_STREAM, what);
    char name[TASK_NAME_MAX];

    if (!wait) return;
    task_name(aim->s, aim->t->number, name);
    body->name = name;
    wait->carried.port = (uint16_t)body->port;
    wait->carried.since_us = now->wall_us;
    snprintf(wait->carried.from, sizeof wait->carried.from, "%s", from);
    carry(wait, now, body);
}

static void forward(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question, const Xn__ForwardTask *want)
{
    Xn__AskStream body = XN__ASK_STREAM__INIT;
    struct task_aim aim;
    xn_id session;

    if (xn_id_from_bytes(&want->session, &session) || want->port > PORT_MAX) {
        task_refuse(host, ask, XN_EINVAL, FORWARD,
                    "a session's id, and a port up to 65535",
                    "a ForwardTask as doc/PROTOCOL.md has it");
    } else if (task_aim_session(host, ask, question, FORWARD, false, &session,
                                &aim) &&
               task_aim_task(host, ask, FORWARD, want->task, &aim) &&
               may_reach(&aim, ask, FORWARD)) {
        if (!want->port) { /* only whether it could be */
            task_answer(aim.s, aim.t, ask);
            return;
        }
        body.port = want->port;
        begin(&aim, now, ask, FORWARD, question->caller->address, &body);
    }
}

void host_task_forward(struct host *host, const struct xn_now *now,
                       uint64_t ask, const Xn__Ask *question)
{
    Xn__ForwardTask *want = task_body(host, ask, question, FORWARD, 256,
                                      &xn__forward_task__descriptor);

    if (!want) return;
    forward(host, now, ask, question, want);
    xn__forward_task__free_unpacked(want, NULL);
}

/* ---- commands ---- */

static bool is_command(const Xn__ExecTask *want)
{
    size_t bytes = 0;

    for (size_t i = 0; i < want->n_argv; i++)
        bytes += strlen(want->argv[i]) + 1;
    return want->n_argv && want->n_argv <= WORDS_MAX && bytes <= TEXT_MAX &&
           want->argv[0][0] == '/' && stream_terminal_ok(want->terminal);
}

static void exec(struct host *host, const struct xn_now *now, uint64_t ask,
                 const Xn__Ask *question, const Xn__ExecTask *want)
{
    Xn__AskStream body = XN__ASK_STREAM__INIT;
    struct task_aim aim;
    xn_id session;

    if (xn_id_from_bytes(&want->session, &session) || !is_command(want)) {
        task_refuse(host, ask, XN_EINVAL, EXEC,
                    "a session's id, and a program by its whole path with at "
                    "most 64 words of 8192 bytes; of a terminal rows, columns "
                    "and type",
                    "less of it; a file in the task's home folder");
    } else if (task_aim_session(host, ask, question, EXEC, false, &session,
                                &aim) &&
               task_aim_task(host, ask, EXEC, want->task, &aim)) {
        if (host->config.xen) {
            task_refuse(host, ask, XN_EREFUSED, EXEC,
                        "a domain runs by itself: nobody else begins anything "
                        "in it",
                        "xeno console --input; xeno session forward");
        } else if (may_reach(&aim, ask, EXEC)) {
            body.argv = want->argv;
            body.n_argv = want->n_argv;
            body.terminal = want->terminal;
            begin(&aim, now, ask, EXEC, question->caller->address, &body);
        }
    }
}

void host_task_exec(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question)
{
    Xn__ExecTask *want = task_body(host, ask, question, EXEC, TEXT_MAX + 512,
                                   &xn__exec_task__descriptor);

    if (!want) return;
    exec(host, now, ask, question, want);
    xn__exec_task__free_unpacked(want, NULL);
}
