/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What xenoserver doctor looks at: one function for each thing, and what they
 * found. */
#ifndef HOSTAGENT_XENOSERVER_DOCTOR_H
#define HOSTAGENT_XENOSERVER_DOCTOR_H

#include "hostagent/xenoserver.h"

#define DOCTOR_FINDINGS_MAX 64

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor_finding {
    const char *about; /* "clock" */
    enum doctor_level level;
    char because[400], try[200];
};

struct doctor {
    struct server *server;
    struct net_identity identity;
    bool has_identity;
    char *text;                    /* of the configuration, or NULL */
    struct net_settings *settings; /* of it, or NULL */
    char api[300];                 /* of the running xenohostd, or "" */
    Xn__HostStatus *status;        /* that it told, or NULL */
    bool drained;
    char endpoint[256]; /* where clients are told to come: HOST:PORT, or "" */
    struct doctor_finding findings[DOCTOR_FINDINGS_MAX];
    size_t n;
};

void doctor_find(struct doctor *doctor, const char *about,
                 enum doctor_level level, const char *try,
                 const char *because_fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* A line each, and a sum; the same as a list, the caller's. */
void doctor_print(const struct doctor *doctor);
json_t *doctor_json(const struct doctor *doctor);

/* What the node says, the caller's, or NULL; the rc of asking it. */
int doctor_ask_node(const struct doctor *doctor, const char *node,
                    Xn__NodeStatus **status_out, char *why_out, size_t len);

/* ---- xenoserver_check.c: this machine ---- */

void doctor_check_files(struct doctor *doctor);
void doctor_check_certificate(struct doctor *doctor);
void doctor_check_configuration(struct doctor *doctor);
void doctor_check_disk(struct doctor *doctor);
void doctor_check_kernel_clock(struct doctor *doctor);
void doctor_check_sandbox(struct doctor *doctor);

/* ---- xenoserver_reach.c: what others see ---- */

struct doctor_aim {        /* what they should find */
    const char *about;     /* "node", as findings have it */
    const char *whom;      /* "all": who is to come in there */
    const char *address;   /* HOST:PORT, as others are told */
    const char *otherwise; /* where nobody can come in */
    const xn_id *id;
};
/* What follows from what they found. */
void doctor_judge_outside(struct doctor *doctor, const struct doctor_aim *aim,
                          const Xn__Reached *reached);
/* `node` is one of this machine, which asks others; `status` is what it told. */
void doctor_check_outside(struct doctor *doctor, const char *node,
                          const Xn__NodeStatus *status);
/* The same when it has met others, for which it has so many seconds. */
void doctor_await_outside(struct doctor *doctor, const char *node,
                          unsigned seconds);

/* ---- xenoserver_xen.c: Xen, by xenodomd ---- */

void doctor_check_domains(struct doctor *doctor);

#endif
