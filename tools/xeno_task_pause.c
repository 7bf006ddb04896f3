/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xeno task pause, task resume. */
#include "lib/err.h"
#include "tools/xeno_kept.h"
#include "tools/xeno_task.h"

static int stand(struct xeno *xeno, int argc, char **argv, const char *what,
                 const char *path)
{
    Xn__PauseTask body = XN__PAUSE_TASK__INIT;
    const struct xeno_question question = {
        .what = what,
        .method = "POST",
        .path = path,
        .body = &body,
        .answer = &xn__host_task__descriptor,
        .changes = true,
    };
    Xn__HostTask *task = NULL;
    struct xeno_place place;
    int words, code;

    code = xeno_options(xeno, NULL, 0, argc, argv, 1, 1, &words);
    if (code >= 0) return code;
    code = xeno_place(xeno, argv[words], &place);
    if (code) return code;
    body.session = xn_id_bytes(&place.kept.session);
    body.task = place.task;
    code = xn_exit_code(xeno_ask(xeno, &place.server, &question, &task));
    if (!code) code = xeno_task_print(xeno, task);
    if (task) xn__host_task__free_unpacked(task, NULL);
    xeno_place_clear(&place);
    return code;
}

int xeno_task_pause(struct xeno *xeno, int argc, char **argv)
{
    return stand(xeno, argc, argv, "cannot pause the task", "/v1/tasks/pause");
}

int xeno_task_resume(struct xeno *xeno, int argc, char **argv)
{
    return stand(xeno, argc, argv, "cannot resume the task",
                 "/v1/tasks/resume");
}
