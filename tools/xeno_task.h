/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks: what runs in a session, one at a time; their consoles and ends. */
#ifndef TOOLS_XENO_TASK_H
#define TOOLS_XENO_TASK_H

#include "tools/xeno_server.h"

#define XENO_PUT_MAX 64                /* files */
#define XENO_PUT_BYTES_MAX (512 << 10) /* of all of them */
#define XENO_ENV_MAX 128
#define XENO_ARGV_MAX 254 /* words, beside the two that find a program */

/* ---- xeno_task.c: what is to run ---- */

struct xeno_work { /* as the command line says it */
    const char *env[XENO_ENV_MAX], *put[XENO_PUT_MAX], *life, *terminal;
    const char *image; /* URL@sha256:HEX */
    size_t n_env, n_put;
    char **argv; /* behind "--" */
    int argc;
};
/* Its options, behind rows[0..n); the new n. */
size_t xeno_work_options(struct xeno_work *work, struct xn_option *rows,
                         size_t n);
/* Takes what stands behind "--" off argv; an exit code, or -1 to go on. */
int xeno_work_split(struct xeno_work *work, int *argc, char **argv);

/* A question that waits for a task to run is answered after half a minute at
 * the latest, and asked again so often: an image may take ten minutes. */
#define XENO_BEGIN_TRIES(task) ((task)->image ? 24 : 3)

struct xeno_deed { /* the message, and what it points into */
    Xn__NewTask task;
    Xn__TaskFile files[XENO_PUT_MAX], *file_list[XENO_PUT_MAX];
    struct xn_buf data[XENO_PUT_MAX];
    char *argv[XENO_ARGV_MAX + 2];
    Xn__TaskImage image;
    char *image_url;
    xn_id image_sha256;
    size_t n_data;
};
/* Reads the files.  A program without a slash is looked for by the task's PATH.
 * Points into the work.  An exit code; xeno_deed_clear in any case. */
int xeno_deed_make(const struct xeno_work *work, struct xeno_deed *deed_out);
void xeno_deed_clear(struct xeno_deed *deed);
/* "make -j2", cut to what fits. */
void xeno_work_text(const struct xeno_work *work, char *out, size_t len);

/* ---- xeno_task_show.c: what became of it ---- */

json_t *xeno_task_json(const Xn__HostTask *task);
void xeno_task_say(const Xn__HostTask *task); /* some lines for people */
int xeno_task_print(const struct xeno *xeno, const Xn__HostTask *task);
const char *xeno_task_state(const Xn__HostTask *task);
/* "ended by itself with code 3" */
void xeno_task_end(const Xn__HostTask *task, char *out, size_t len);
/* The exit code for an ended task, with three lines where it failed; pass: its
 * own one. */
int xeno_task_code(const Xn__HostTask *task, bool pass);

/* ---- asking ---- */

/* As xeno_ask; task 0: the last.  wait_ms: for its end, so long at most. */
int xeno_task_get(const struct xeno *xeno, const struct xeno_member *server,
                  const xn_id *session, uint32_t task, unsigned wait_ms,
                  struct xeno_why *why, Xn__HostTask **task_out);
/* How long to pause before the same is asked again, where an answer came at
 * once that could have waited for news: twice as long each time, so that nobody
 * is asked without end.  *pause_ms: 0 at first. */
unsigned xeno_pause_next(unsigned *pause_ms);
/* Until it has ended, through restarts of the server for some minutes.  over_ms:
 * it must end within that (0: it may run as long as it does).  An exit code;
 * errors are told. */
int xeno_task_await(const struct xeno *xeno, const struct xeno_member *server,
                    const xn_id *session, uint32_t task, unsigned over_ms,
                    Xn__HostTask **task_out);
int xeno_task_stop_at(const struct xeno *xeno, const struct xeno_member *server,
                      const xn_id *session, uint32_t task, uint32_t grace_ms,
                      Xn__HostTask **task_out);

/* ---- xeno_console.c ---- */

enum xeno_stream_end { STREAM_ENDED, STREAM_DETACHED, STREAM_LOST };

struct xeno_stream {
    const struct xeno *xeno;
    const struct xeno_member *server;
    xn_id session;
    uint32_t task;
    bool follow;         /* until the task has ended; else what is there now */
    bool input;          /* what is typed here goes there */
    bool by_key;         /* as it is typed, the echo comes from there */
    bool stops;          /* the first ctrl-C stops the task */
    struct xn_buf *keep; /* instead of standard output, as much as fits */
    uint64_t from;       /* next byte */
};
/* Consoles to standard output.  An exit code, errors are told; *end_out says
 * how it ended. */
int xeno_stream(struct xeno_stream *stream, enum xeno_stream_end *end_out);

/* ---- xeno_forward.c ---- */

/* Could a connection to its ports be carried, or a command be run beside it?  0,
 * or why not; task 0: the last.  what: "cannot forward ports". */
int xeno_task_reach(const struct xeno *xeno, const struct xeno_member *server,
                    const xn_id *session, uint32_t task, const char *what,
                    struct xeno_why *why);

int xeno_task_new(struct xeno *xeno, int argc, char **argv);
int xeno_task_list(struct xeno *xeno, int argc, char **argv);
int xeno_task_show(struct xeno *xeno, int argc, char **argv);
int xeno_task_pause(struct xeno *xeno, int argc, char **argv);
int xeno_task_resume(struct xeno *xeno, int argc, char **argv);
int xeno_task_stop(struct xeno *xeno, int argc, char **argv);
int xeno_console(struct xeno *xeno, int argc, char **argv);
int xeno_exec(struct xeno *xeno, int argc, char **argv);
int xeno_session_forward(struct xeno *xeno, int argc, char **argv);
int xeno_wait(struct xeno *xeno, int argc, char **argv);
int xeno_run(struct xeno *xeno, int argc, char **argv);

#endif
