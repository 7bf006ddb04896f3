/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno exec: a command beside a task, in its sandbox. */
#include <stdlib.h>
#include <unistd.h>

#include "lib/err.h"
#include "net/command.h"
#include "net/terminal.h"
#include "tools/xeno_kept.h"
#include "tools/xeno_task.h"
#include "wire/nest.h"
#include "wire/stream.h"

enum { INTERRUPTED = 128 + 2 };

static const char cannot[] = "cannot run the command";

/* Its code; where it was cut off, what the server says of that. */
static int code_of(const struct xeno *xeno, const struct xeno_place *place,
                   const struct net_command_end *end)
{
    struct xeno_why why;

    if (!end->rc) return end->code;
    if (end->rc == XN_ECANCELLED) return INTERRUPTED;
    if (end->began && (end->rc == XN_EUNREACH || end->rc == XN_ECONFLICT) &&
        xeno_task_reach(xeno, &place->server, &place->kept.session, place->task,
                        cannot, &why))
        return xeno_tell(&why, "the command was ended");
    return xeno_gripe(end->rc, end->began ? "the command was cut off" : cannot,
                      end->because[0] ? end->because : xn_strerror(end->rc),
                      end->try[0] ? end->try : "the same again");
}

/* As it is now; the other end's TERM is ours, if that could be one's. */
static void describe(Xn__Terminal *terminal)
{
    const char *type = getenv("TERM");
    uint16_t rows, columns;

    net_terminal_window(&rows, &columns);
    terminal->rows = rows;
    terminal->columns = columns;
    if (type) terminal->type = (char *)(uintptr_t)type;
    if (!stream_terminal_ok(terminal))
        terminal->type = (char *)(uintptr_t) "dumb";
}

static int run(const struct xeno *xeno, const struct xeno_place *place,
               const Xn__NewTask *words)
{
    Xn__Terminal terminal = XN__TERMINAL__INIT;
    Xn__ExecTask body = XN__EXEC_TASK__INIT;
    const struct net_command command = {
        .identity = &place->server.identity,
        .url = place->server.corp.url,
        .path = "/v1/tasks/exec",
        .server = &place->server.corp.id,
        .body = &body,
        .timeout_ms = xeno->timeout_ms,
        .terminal = words->terminal,
    };
    struct net_command_end end;

    body.session = xn_id_bytes(&place->kept.session);
    body.task = place->task;
    body.argv = words->argv;
    body.n_argv = words->n_argv;
    if (words->terminal) {
        describe(&terminal);
        body.terminal = &terminal;
    }
    net_command_run(&command, &end);
    return code_of(xeno, place, &end);
}

int xeno_exec(struct xeno *xeno, int argc, char **argv)
{
    static struct xeno_deed deed;
    struct xeno_work work = {0};
    const struct xn_option options[] = {
        XN_OPTION("terminal", 't', NULL, "it has a terminal, which is yours",
                  &work.terminal),
    };
    struct xeno_place place;
    int words, code;

    code = xeno_work_split(&work, &argc, argv);
    if (code >= 0) return code;
    code = xeno_options(xeno, options, 1, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    if (xeno->json) return xeno_usage("what a command says is no JSON");
    if (!work.argc) return xeno_usage("no command stands behind --");
    if (work.terminal && !isatty(STDIN_FILENO))
        return xeno_usage("standard input is no terminal that --terminal could "
                          "give the command");
    code = xeno_deed_make(&work, &deed);
    if (!code) code = xeno_place(xeno, argv[words], &place);
    if (!code) {
        code = run(xeno, &place, &deed.task);
        xeno_place_clear(&place);
    }
    xeno_deed_clear(&deed);
    return code;
}
