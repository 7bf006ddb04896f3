/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tasks: what runs in a session, one at a time.
 *
 *   (asked) -> on record -> DOM_START -> runs <-> paused -> ends -> on record
 *
 * A task's record is durable before xenodomd hears of it, its end before anybody
 * else does.  A task has a name of its own that is used once, so a start whose
 * answer was lost is looked up and never done twice.
 *
 * Tasks go on beside the steps of their session (session.h): what is under way
 * for one is `work.step`, and task_go decides the next from the record, what
 * xenodomd said last, and what the session is to do. */
#ifndef HOSTAGENT_TASK_H
#define HOSTAGENT_TASK_H

#include "hostagent/session.h"

#define TASK_NAME_MAX 48
#define TASK_PATIENCE_US (25 * 1000000ULL) /* of who waits for one to run */

/* What may be asked; xenodomd has bounds of its own. */
#define TASK_WORDS_MAX 256
#define TASK_TEXT_MAX (64 << 10)
#define TASK_FILES_MAX 64
#define TASK_FILE_NAME_MAX 128
#define TASK_FILE_BYTES_MAX (512 << 10)
#define TASK_LIFE_MS_MAX (1ULL << 40)
#define TASK_INPUT_MAX 4096
#define TASK_GRACE_MS_MAX 60000
#define TASK_BODY_MAX                                                          \
    (TASK_FILE_BYTES_MAX + 2 * TASK_TEXT_MAX +                                 \
     TASK_FILES_MAX * (TASK_FILE_NAME_MAX + 16) + 2048)
#define TASK_IMAGE_URL_MAX 2048
/* For an image; the driver ends it first, unless it is lost (net/images.h). */
#define TASK_FETCH_US (1000 * 1000000ULL)
#define TASK_ARGV_TOLD 1024 /* bytes of a running one's that are told */

struct host_task {
    uint32_t number; /* from 1 */
    Xn__TaskRecord *record;
    bool dirty;          /* the record is to be stored */
    bool stored;         /* a version of it is in the store */
    bool tried;          /* xenodomd may have heard of it */
    bool over;           /* its end is on record */
    bool flows_told;     /* since then xenodomd has told all of them */
    char *image;         /* where it lies, from FETCH until DOM_START */
    bool fetching;       /* that is the step under way, and not given up */
    Xn__TaskState state; /* by xenodomd's last word */
    uint64_t memory_bytes, console_bytes;
    uint32_t address;     /* IPv4; 0: none */
    uint8_t address6[16]; /* IPv6 */
    bool has_address6;
    uint64_t until_us; /* end of the order that its keeper was told of; 0: that
                          is not known */
};

/* ---- task.c: what becomes of the last task of a session ---- */

/* NULL: there is none. */
struct host_task *task_last(const struct host_session *s);
struct host_task *task_find(const struct host_session *s, uint32_t number);
/* Does one run, or is to? */
bool task_lives(const struct host_session *s);
/* The next step, if none is under way. */
void task_go(struct host_session *s, const struct xn_now *now);
/* xenodomd is there again, or gone: nothing is known of tasks. */
void task_unsure(struct host_session *s);
/* What does not hold together; NULL: all does. */
const char *task_wrong(const struct host_session *s);

void task_log(const struct host_session *s, const struct host_task *t,
              const char *what, const char *more);

/* ---- task_heard.c: what xenodomd says of one, and what it has used ---- */

/* xenodomd's word on it, whoever asked; then task_go. */
void task_heard(struct host_session *s, const struct xn_now *now,
                const Xn__TaskStatus *status);
/* The same, and the caller goes on. */
void task_take_status(struct host_session *s, const struct xn_now *now,
                      struct host_task *t, const Xn__TaskStatus *status);
/* What its last one has used, and no more: the reading is not all its keeper's. */
void task_read(struct host_session *s, const Xn__TaskReading *reading);
/* The one word on that task in an answer; NULL: it is not there. */
const Xn__TaskStatus *task_status_in(const struct host_session *s,
                                     const struct host_task *t,
                                     const Xn__DomTell *tell);
/* CPU time of all tasks of the session. */
uint64_t task_cpu_ns(const struct host_session *s);
/* Time that they were saved. */
uint64_t task_saved_ms(const struct host_session *s);
/* Bytes that they sent and got by their interfaces. */
void task_traffic(const struct host_session *s, uint64_t *sent_out,
                  uint64_t *got_out);

/* ---- task_image.c ---- */

/* Its image is yet to be fetched. */
bool task_lacks_image(const struct host_task *t);
void task_fetch(struct host_session *s, const struct xn_now *now,
                struct host_task *t);
/* Nobody wants it any more: it ends soon. */
void task_fetch_stop(struct host_session *s, struct host_task *t);

/* ---- task_file.c: records ---- */

/* A new one, behind the others; nothing is stored yet.  XN_ENOMEM. */
int task_add(struct host_session *s, const struct xn_now *now,
             const Xn__NewTask *want, const xn_id *request);
/* From the store.  XN_EINTEGRITY, XN_ENOMEM. */
int task_take_record(struct host_session *s, uint32_t number,
                     const uint8_t *bytes, size_t len);
void task_clear_all(struct host_session *s);
void task_name(const struct host_session *s, uint32_t number,
               char out[TASK_NAME_MAX]);
/* Which task has such a name?  false: none could. */
bool task_name_parse(const char *name, uint8_t session_out[16],
                     uint32_t *number_out);
/* What is told of a running task is enough from now on. */
void task_trim(struct host_task *t);
/* What to try instead of one that did not start; not stored. */
int task_set_advice(struct host_task *t, const char *advice);
/* Its end, known but not stored. */
int task_set_exit(struct host_task *t, const Xn__TaskExit *exit);

struct task_write { /* room for one write of a record */
    uint8_t key[1 + XN_ID_SIZE + 4];
    Xn__Write write;
};
/* The value is the caller's (free).  XN_ENOMEM. */
int task_write(const struct host_session *s, const struct host_task *t,
               struct task_write *room);
void task_write_drop(const struct host_session *s, uint32_t number,
                     struct task_write *room);
/* As others see it; points into the record. */
void task_describe(const struct host_session *s, const struct host_task *t,
                   Xn__HostTask *out);

/* ---- task_spec.c ---- */

/* It did not start, and that is to be on record. */
void task_not_started(struct host_session *s, const struct xn_now *now,
                      struct host_task *t, int rc, const char *because);
/* Later, and then what is known counts. */
void task_again_later(struct host_session *s, const struct xn_now *now);
/* Why one did not start, also where nobody said; what to try instead. */
const char *task_because(const struct host_task *t);
const char *task_advice(const struct host_task *t);
/* What is wrong with what is asked; NULL: nothing. */
const char *task_malformed(const Xn__NewTask *want);
/* Is a session of these rates large enough for any?  NULL: yes. */
const char *task_too_small(const struct money_rates *rates);
/* Why its image, a disk where tasks are domains, has no place.  NULL: it has. */
const char *task_lacks_disk(const struct host *host, const Xn__NewTask *want,
                            const struct money_rates *rates);
/* What the session's terms let it have.  The texts and files stay want's. */
void task_spec(const struct host_session *s, const Xn__NewTask *want,
               Xn__TaskSpec *out);
/* How long it may run; want_ms 0: no limit is asked.  Its machine ends it a minute after the order
 * at the latest, whatever has become of this server. */
uint64_t task_life_ms(const struct host_session *s, uint64_t from_us,
                      uint64_t want_ms);

/* ---- task_new.c, task_ask.c, task_pause.c: who asks for tasks ---- */

void host_task_new(struct host *host, const struct xn_now *now, uint64_t ask,
                   const Xn__Ask *question);
void host_task_list(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question);
void host_task_console(struct host *host, const struct xn_now *now,
                       uint64_t ask, const Xn__Ask *question);
void host_task_input(struct host *host, const struct xn_now *now, uint64_t ask,
                     const Xn__Ask *question);
void host_task_stop(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question);
void host_task_pause(struct host *host, const struct xn_now *now, uint64_t ask,
                     const Xn__Ask *question);
void host_task_resume(struct host *host, const struct xn_now *now, uint64_t ask,
                      const Xn__Ask *question);
/* ---- task_stream.c: connections that are carried to tasks ---- */

void host_task_forward(struct host *host, const struct xn_now *now,
                       uint64_t ask, const Xn__Ask *question);
void host_task_exec(struct host *host, const struct xn_now *now, uint64_t ask,
                    const Xn__Ask *question);
/* Refused, where this server runs no tasks, or cannot now; the session's
 * machine, or (NULL) any. */
bool host_runs_tasks(struct host *host, uint64_t ask, const char *what,
                     const struct host_session *s);
/* The same for a task's image. */
bool host_takes_image(struct host *host, uint64_t ask, const char *what,
                      const Xn__NewTask *want, const struct host_session *s);

/* ---- task_wait.c: who waits for something of a task ---- */

#define TASK_WAITS_OF_CALLER 8
#define TASK_WAITS_OF_SESSION 32
#define TASK_WAITS_MAX 1024
#define TASK_STREAMS_OF_SESSION 32
#define TASK_STREAMS_MAX 112 /* the driver has 128: some still end */
#define TASK_STREAM_US (7 * 86400 * 1000000ULL) /* that one lasts at most */
#define TASK_CONSOLES_FAR                                                      \
    24 /* of one member; the lane has 32: some still end */

enum task_waiting {
    WAIT_RUNS,
    WAIT_END,
    WAIT_DONE, /* xenodomd has done it, or says why not */
    WAIT_LOOK, /* its reading; where there is none, the last stands */
    WAIT_CONSOLE,
    WAIT_STANDS, /* it stands still or goes on, as was asked last */
    WAIT_STREAM, /* the driver carries it, and has answered by that */
};
struct task_wait {
    enum task_waiting kind;
    uint64_t ask;    /* 0: nobody waits any more */
    uint64_t ticket; /* of what ends it */
    struct host *host;
    xn_id session, machine, caller;
    uint32_t number;
    const char *what;
    struct { /* a stream to a port, as a flow */
        uint16_t port;
        char from[HOST_ADDRESS_MAX]; /* "ADDRESS:PORT" of who has it */
        uint64_t since_us;           /* wall */
        uint64_t sent, got;          /* that are told already */
        bool told;                   /* that there is one is, too */
    } carried;
    struct task_wait *prev, *next;
};
/* NULL: refused, too many wait. */
struct task_wait *task_wait_new(struct host_session *s, uint64_t ask,
                                const xn_id *caller, uint32_t number,
                                enum task_waiting kind, const char *what);
/* Ends by itself at that time: WAIT_RUNS, WAIT_END, WAIT_STANDS. */
void task_wait_until(struct task_wait *wait, const struct xn_now *now,
                     uint64_t us);
/* Ends with the answer to a question to xenodomd. */
void task_wait_dom(struct task_wait *wait, const struct xn_now *now,
                   const Xn__DomAsk *ask);
void task_wait_console(struct task_wait *wait, const struct xn_now *now,
                       Xn__AskConsole *ask);
/* Who waits is told so, if anybody does. */
void task_wait_refuse(const struct task_wait *wait, int rc, const char *because,
                      const char *try);
/* What is under way for it is not wanted; why: as who has a stream is told. */
void task_wait_abandon(const struct task_wait *wait, const char *why);
void task_wait_drop(struct task_wait *wait);
/* It runs, or has ended: those who waited for that are answered. */
void task_tell(struct host_session *s, const struct host_task *t);
/* It does as its session and its asker want: those who waited for that. */
void task_tell_stands(struct host_session *s, const struct host_task *t);
void task_answer(const struct host_session *s, const struct host_task *t,
                 uint64_t ask);
void task_waits_cancel(struct host *host, uint64_t ask);
/* Of a session that goes. */
void task_waits_drop(struct host_session *s);
void task_waits_clear(struct host *host);

/* ---- task_stream.c: connections ---- */

/* Is there room for one more of this caller's?  It may be made. */
/* So much it has carried by now. */
void task_stream_carried(struct task_wait *wait, const struct xn_now *now,
                         const Xn__Carried *carried);
bool task_stream_room(const struct host_market *m, const xn_id *caller);

/* ---- domain.c: xenodomd ---- */

/* Ends with what host_told makes of it; returns the ticket, 0: out of memory. */
uint64_t host_dom(struct host_machine *m, const struct xn_now *now,
                  const Xn__DomAsk *ask, xn_ended *fn, void *ctx);
/* 0, or what is wrong; *tell_out NULL: it did not answer, else the host's until
 * another has. */
int host_told(struct host *host, int rc, const struct xn_msg *msg,
              const Xn__DomTell **tell_out);
void host_dom_forget(struct host_session *s, uint32_t number);
void host_dom_news(struct host *host, const struct xn_now *now,
                   const Xn__News *news);
/* Once all sessions are read: what runs there is looked at. */
void host_dom_begin(struct host_machine *m, const struct xn_now *now);
/* That machine's word on a task. */
void host_dom_take(struct host_machine *m, const struct xn_now *now,
                   const Xn__TaskStatus *status);

/* ---- readings.c ---- */

/* Reads the meter of a task that lives on a machine that is up, along with
 * those of others, then `next`: after some seconds in any case. */
void session_read(struct host_session *s, const struct xn_now *now,
                  session_next *next);

/* ---- sandbox.c: the session's side ---- */

/* A fetch has begun or ended, or xenodomd has come or gone. */
void sandbox_fetches(struct host_session *s, const struct xn_now *now);
/* Its first task could not be started, and that is on record: who asked for both
 * was refused. */
bool sandbox_never_began(const struct host_session *s);
void sandbox_runs(struct host_session *s, const struct xn_now *now);
void sandbox_over(struct host_session *s, const struct xn_now *now);

#endif
