/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all daemons do alike, so that each main() is short:
 *
 *     struct net_daemon d = {.program = "xenonoded", .role = XN__ROLE__NODE,
 *                            .settings = rows, .n_settings = n, ...};
 *     rc = net_daemon_init(&d, argc, argv);  // options, config, state, log
 *     if (!rc) rc = net_daemon_open(&d);     // identity, enrolment, driver
 *     if (!rc) rc = node_new(&config, net_driver_peers(d.driver), d.seed, ..);
 *     if (!rc) rc = net_daemon_run(&d, core, config, len);
 *     return net_daemon_end(&d, rc);         // exit code
 *
 * Errors are told in three lines already.  The state folder is held by an
 * flock on STATE/lock: a second daemon on it is refused, and whether one lives
 * is told by that lock, never by a pid.
 *
 * When everything is bound, one line goes to
 * --ready-fd, which is then closed:
 *
 *     ready pid=4711 id=<64 hex> links=127.0.0.1:40001 api=127.0.0.1:40002
 *
 * (links= and api= only where there is such a listener).
 */
#ifndef NET_DAEMON_H
#define NET_DAEMON_H

#include "lib/options.h"
#include "net/driver.h"
#include "net/settings.h"

#define NET_DAEMON_CORPS_MAX 8
#define NET_DAEMON_SETS_MAX 64

struct net_daemon {
    /* Filled by the daemon before net_daemon_init. */
    const char *program;
    const char *purpose; /* one line for --help */
    Xn__Role role;       /* enrols as this with --corp; CORP: makes its own */
    bool wants_links, wants_api;
    enum net_store_kind store;
    size_t api_body_max;                    /* of a request; 0: 1 MiB */
    const char *dom_path;                   /* xenodomd's socket; NULL: none */
    const struct net_images_config *images; /* NULL: no FETCH */
    const char *admission;                  /* program; NULL: no ADMIT */
    uint64_t admission_us;
    const struct xn_option *options; /* besides the common ones */
    size_t n_options;
    const struct net_setting *settings_rows; /* besides the common ones */
    size_t n_settings_rows;

    /* Filled by net_daemon_init. */
    const char *state;
    const char *label; /* --label; corps: --name */
    const char *owner, *payout, *machine, *index_node, *invitation;
    const char *record;
    const char *delay;                           /* where it wants links */
    struct net_corp corps[NET_DAEMON_CORPS_MAX]; /* --corp: the first issues
                                                    the certificate, all are
                                                    accepted */
    size_t n_corps;
    struct net_settings *settings;
    uint64_t seed; /* --seed, else drawn */
    bool exit_now; /* --help or --version was served: end with 0 */

    /* Filled by the daemon before net_daemon_open. */
    const char *announced; /* where others reach its links; NULL: where it
                              listens */

    /* Filled by net_daemon_open. */
    struct net_identity identity;
    struct net_driver *driver;

    /* Private. */
    const char *listen, *listen_api, *config, *log_level;
    struct net_setting *rows;
    char state_own[300];
    bool seed_given;
    const char *sets[NET_DAEMON_SETS_MAX];
    size_t n_sets;
    int ready_fd, lock_fd;
};

/* Options, configuration, state folder and its lock, log.  0 with exit_now
 * set: the program is done. */
int net_daemon_init(struct net_daemon *daemon, int argc, char **argv);
/* Identity (enrolled where needed) and driver. */
int net_daemon_open(struct net_daemon *daemon);
/* Takes the core over; config goes into the head of a recording. */
int net_daemon_run(struct net_daemon *daemon, struct xn_core *core,
                   const void *config, size_t config_len);
/* Frees everything and gives the exit code for rc. */
int net_daemon_end(struct net_daemon *daemon, int rc);

#endif
