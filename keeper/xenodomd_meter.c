/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Meters of many at once.  To wake hundreds of keepers costs ten times what it
 * takes to read what their control groups count. */
#include <unistd.h>

#include "keeper/xenodomd.h"

/* Opened when it is first asked for, and kept so. */
static bool read_one(struct dom *dom, const char *name, Xn__TaskReading *out)
{
    struct live *live = dom_find(dom, name);
    int folder;

    if (!live || live->watch < 0) return false;
    if (live->tally.files.cpu < 0) {
        folder = session_open(dom->sessions, name);
        if (folder < 0) return false;
        if (tally_open(folder, name, &live->tally)) tally_close(&live->tally);
        close(folder);
    }
    return live->tally.files.cpu >= 0 && !tally_read(&live->tally, out);
}

void dom_answer_readings(struct dom *dom, int client, const Xn__DomAsk *ask)
{
    Xn__TaskStatus status[DOM_LIST_MAX], *tasks[DOM_LIST_MAX];
    Xn__TaskReading readings[DOM_LIST_MAX];
    Xn__DomTell answer;
    size_t i, n = 0;

    for (i = 0; i < ask->n_names; i++) {
        if (!read_one(dom, ask->names[i], &readings[n])) continue;
        xn__task_status__init(&status[n]);
        status[n].name = ask->names[i];
        status[n].reading = &readings[n];
        tasks[n] = &status[n];
        n++;
    }
    xn__dom_tell__init(&answer);
    answer.tasks = tasks;
    answer.n_tasks = n;
    dom_answer(dom, client, &answer);
}
