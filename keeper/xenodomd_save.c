/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words `save` and `restore`: what lives in domains goes to files, and comes
 * back.  A keeper says nothing while it is at it, and how it went afterwards. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keeper/xenodomd.h"
#include "lib/err.h"
#include "lib/gripe.h"

#define LOOK_MS 200

struct work {
    const struct ask_options *options;
    bool save;
    char (*names)[SPEC_NAME_MAX]; /* what is to be done to; ours */
    size_t n;
};

static bool is_due(const struct work *work, Xn__TaskState state)
{
    if (!work->save) return state == XN__TASK_STATE__SAVED;
    return state != XN__TASK_STATE__SAVED && state != XN__TASK_STATE__ENDED;
}

static int add(struct work *work, const char *name)
{
    void *more = realloc(work->names, (work->n + 1) * sizeof *work->names);

    if (!more) return XN_EXIT_FAILED;
    work->names = more;
    snprintf(work->names[work->n++], SPEC_NAME_MAX, "%s", name);
    return 0;
}

static int find_due(struct work *work)
{
    char after[SPEC_NAME_MAX] = "";
    Xn__DomAsk question = XN__DOM_ASK__INIT;
    Xn__DomTell *tell;
    bool more = true;
    int rc = 0;

    question.op = XN__DOM_OP__DOM_LIST;
    question.after = after;
    while (more && !rc) {
        rc = ask_told(work->options, &question, &tell, NULL);
        if (rc) return rc;
        for (size_t i = 0; i < tell->n_tasks && !rc; i++) {
            const Xn__TaskStatus *task = tell->tasks[i];

            if (is_due(work, task->state)) rc = add(work, task->name);
            snprintf(after, sizeof after, "%s", task->name);
        }
        more = tell->more && tell->n_tasks > 0;
        xn__dom_tell__free_unpacked(tell, NULL);
    }
    return rc;
}

/* What came of it; XN_ENOTYET: nothing yet. */
static int judge(const struct work *work, const Xn__TaskStatus *task,
                 const char **because_out)
{
    *because_out = task->unsaved;
    if (task->state == XN__TASK_STATE__ENDED) {
        *because_out = task->exit ? task->exit->because : "it has ended";
        return XN_ECONFLICT;
    }
    if (!is_due(work, task->state)) return 0;
    return work->save && task->unsaved[0] ? XN_EREFUSED : XN_ENOTYET;
}

static int gripe(const struct work *work, const char *name, int rc,
                 const char *because, const char *try)
{
    char what[SPEC_NAME_MAX + 32];

    snprintf(what, sizeof what, "%s is not %s", name,
             work->save ? "saved" : "restored");
    return xn_gripe_rc(PROGRAM, rc, NULL, what, because, try);
}

static int wait_for(const struct work *work, char *name)
{
    Xn__DomAsk question = XN__DOM_ASK__INIT;
    Xn__DomTell *tell = NULL;
    const char *because;
    int rc;

    question.op = XN__DOM_OP__DOM_STATUS;
    question.name = name;
    for (;;) {
        rc = ask_daemon(work->options, &question, &tell, NULL);
        if (!tell) return xn_exit_code(rc);
        because = tell->because;
        if (!rc && tell->n_tasks == 1)
            rc = judge(work, tell->tasks[0], &because);
        else if (rc == XN_ETIMEOUT || rc == XN_EUNREACH)
            rc = XN_ENOTYET; /* its keeper is at it */
        if (rc != XN_ENOTYET) break;
        xn__dom_tell__free_unpacked(tell, NULL);
        poll(NULL, 0, LOOK_MS);
    }
    if (rc)
        rc = gripe(work, name, rc, because,
                   work->save ? "the same again, or " PROGRAM " stop"
                              : PROGRAM " status");
    else
        printf("%s %s\n", name, work->save ? "saved" : "restored");
    fflush(stdout);
    xn__dom_tell__free_unpacked(tell, NULL);
    return rc;
}

static int do_one(const struct work *work, char *name)
{
    Xn__DomAsk question = XN__DOM_ASK__INIT;
    Xn__DomTell *tell = NULL;
    int rc;

    question.op = work->save ? XN__DOM_OP__DOM_SAVE : XN__DOM_OP__DOM_RESTORE;
    question.name = name;
    rc = ask_daemon(work->options, &question, &tell, NULL);
    if (!tell) return xn_exit_code(rc);
    if (rc && rc != XN_ETIMEOUT)
        rc = gripe(work, name, rc, tell->because, tell->advice);
    else
        rc = wait_for(work, name);
    xn__dom_tell__free_unpacked(tell, NULL);
    return rc;
}

int ask_save(const struct ask_options *options, bool save, char *name)
{
    struct work work = {.options = options, .save = save};
    int code = 0, rc;

    rc = name ? add(&work, name) : find_due(&work);
    for (size_t i = 0; !rc && i < work.n; i++) {
        int one = do_one(&work, work.names[i]);

        if (one) code = one;
    }
    free(work.names);
    return rc ? rc : code ? code : xn_end(PROGRAM, 0);
}
