/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Machines: what sessions run on.  A server is one machine, asked by DOMAIN; or
 * the manager of a cluster, whose members (member.h) are asked the same by CALL.
 * A session is on one machine from its claim to its end, and this is on record.
 *
 * A member that is not heard for some seconds is not there: nothing begins on it,
 * nothing counts on it, and the advertisement does without it.  One that does
 * not answer for grace_us is lost: its sessions end, up to when it was heard last.
 * What it still runs when it comes back is ended. */
#ifndef HOSTAGENT_MACHINE_H
#define HOSTAGENT_MACHINE_H

#include "hostagent/offer.h"
#include "hostagent/session.h"

/* Of one machine; an answer has that many at most. */
#define HOST_READS_MAX 100
struct host_reads {
    xn_id asked[HOST_READS_MAX]; /* sessions, until it has answered */
    size_t n_asked;
    bool more;       /* others may be due, for the next question */
    uint64_t ticket; /* of the question, or of the moment to ask it; 0 */
};

struct host_machine {
    struct host *host;
    xn_id id;                   /* the member's; zero: this server's own */
    const char *url;            /* NULL: the same */
    struct money_rates offered; /* by the member's own word */
    bool up;                    /* xenodomd is there, and the member */
    bool exact;                 /* its meters are */
    bool images;                /* its tasks may bring one */
    bool xen;                   /* it can make domains, */
    char no_xen[256];           /* or why it cannot */
    bool pvh;                   /* these can be PVH ones; so until it told */
    bool bridge;                /* its domains can have an interface */
    uint64_t disk_bytes;        /* for their disks; 0: it did not say */
    uint64_t sweep;             /* ticket of the list of what it has */
    char swept[256];            /* up to this name */
    bool owes;                  /* it is asked for again */
    struct host_reads reads;

    /* Members alone. */
    bool met; /* it was heard since the start, or waited for in vain */
    bool lost;
    uint64_t watch;                   /* ticket; 0: not begun */
    uint64_t heard_us, heard_wall_us; /* mono: or since when it is waited for */
    uint64_t missed_us;  /* mono: since then it does not answer; 0: it does */
    uint64_t life, seen; /* as it told last */
};

/* ---- machine.c ---- */

/* From the configuration. */
int host_machines_take(struct host *host);
void host_machines_clear(struct host *host);
/* NULL: this server has it no more. */
struct host_machine *session_machine(const struct host_session *s);
struct host_machine *host_machine(const struct host *host, const xn_id *id);
/* Can it be asked of? */
bool session_is_up(const struct host_session *s);
/* Its machine is lost: what runs there is out of reach for good. */
bool session_is_stranded(const struct host_session *s);
/* Up to when its machine is known to have worked, wall_us at most. */
uint64_t session_known_us(const struct host_session *s, uint64_t wall_us);
bool host_is_up(const struct host *host);      /* any machine is */
bool host_has_images(const struct host *host); /* any takes them */
bool host_can_domain(const struct host *host); /* any can that is up */
/* Quotes may promise to charge what is used: all machines that are up know. */
bool host_is_exact(const struct host *host);
/* Why no machine can make domains. */
const char *host_no_xen(const struct host *host);

/* Can any machine run such an environment? */
bool host_can_run(const struct host *host,
                  const struct advert_environment *env);
/* Its tasks are PVH domains. */
bool host_env_is_pvh(const struct host *host,
                     const struct advert_environment *env);
/* The offer as it is advertised: of its environments those that can be run, at
 * room; where none can, all: the advertisement stays, and who asks is refused. */
struct advert_offer host_able_offer(
    const struct host *host,
    struct advert_environment room[OFFER_ENVIRONMENTS_MAX]);

/* Of what it is, less what sessions hold; never negative. */
void machine_free_now(const struct host_machine *m,
                      struct money_rates *free_out);
/* The most of each that one session could have, ever and now. */
void host_offered(const struct host *host, struct money_rates *offered_out);
void host_free_now(const struct host *host, struct money_rates *free_out);
/* Of all machines together. */
void host_whole(const struct host *host, bool free_now,
                struct money_rates *whole_out);
/* Why no machine has any of that, ever; NULL: one has. */
const char *host_cannot(const struct host *host, const char *token);
/* One after the other: its token; NULL: there is no such. */
const char *host_amount(const struct money_rates *rates, size_t i,
                        xn_dec *amount_out);
/* What is missing for these rates: the token's name; NULL: they fit. */
const char *host_lacks(const struct host *host, const struct money_rates *want,
                       xn_dec *want_out, xn_dec *free_out);
struct host_needs {
    bool used;  /* exact meters */
    bool image; /* that its tasks may bring one */
    bool pvh;
};
/* The machine that has them and the least besides.  NULL: none has. */
struct host_machine *host_place(const struct host *host,
                                const struct money_rates *want,
                                struct host_needs needs);
uint32_t machine_sessions(const struct host_machine *m);

/* Of a cluster: its amounts are those of its largest machine, and how many there
 * are and what in all is said beside them, always of now.  Else nothing. */
int host_bind_offer(struct host *host, struct advert_offer *offer,
                    struct xn_arena *arena);
/* These texts are of now; true: they have changed, or what can be run. */
bool host_say_machines(struct host *host);

/* ---- cluster.c: members ---- */

void host_cluster_begin(struct host *host, const struct xn_now *now);
/* All members were heard or waited for: what is offered is known. */
bool host_cluster_met(const struct host *host);
/* The advertisement follows what can be had: at its own pace, for a machine may
 * say something else each time. */
void host_offer_follows(struct host *host, const struct xn_now *now);
/* A CALL to the member, with its patience; returns the ticket, 0: out of memory. */
uint64_t member_call(struct host_machine *m, const struct xn_now *now,
                     const char *path, const void *body, uint64_t patience_us,
                     Xn__CallLane lane, xn_ended *fn, void *ctx);
/* The same, and nobody waits. */
void member_tell(struct host_machine *m, const char *path, const void *body);
/* The body of its answer, the host's until it is asked again.  rc: XN_EUNREACH:
 * nothing was done there; XN_EUNKNOWN, XN_ECANCELLED, XN_ENOENT, XN_EPROTO. */
int member_said(struct host *host, int rc, const struct xn_msg *msg,
                const ProtobufCMessageDescriptor *type, const void **body_out);
/* Its texts are of bounded length. */
bool member_status_ok(const Xn__TaskStatus *status);
/* For its operator. */
struct machine_text {
    Xn__HostMachine body;
    struct amounts_text offered, left;
};
void machine_describe(const struct host_machine *m, struct machine_text *room);

#endif
