/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A development platform on one machine: what xenodev keeps in its state
 * folder and what its files share.
 *
 *     STATE/xenodev         marks the folder as ours to empty
 *     STATE/platform.json   what is below, written atomically
 *     STATE/lock            held by a xenodev that changes the platform
 *     STATE/corp-NAME/ node-NN/ host-NN/ domd-NN/ client/   the programs' own
 *                           folders
 *     STATE/log/PROGRAM-NN.log
 *     STATE/xeno.conf       what XENO_CONFIG points to
 */
#ifndef TOOLS_DEV_H
#define TOOLS_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/latency.h"
#include "net/identity.h"
#include "wire/advert.h"

#define DEV_CORPS 2
#define DEV_SERVERS_MAX 256
#define DEV_PATH_MAX 512
#define DEV_PROGRAM "xenodev"

/* Ports chosen for programs that do not listen yet; zeroed: none. */
#define DEV_PORTS_MAX (DEV_CORPS + 3 * DEV_SERVERS_MAX)
struct dev_ports {
    int fds[DEV_PORTS_MAX];
    size_t n;
};

struct dev_process {
    pid_t pid;        /* 0: never started */
    uint64_t started; /* of /proc/PID/stat: a reused pid is another process */
    int port_api;
    int port_links; /* nodes */
    char id[XN_ID_HEX];
};

struct dev_corp {
    char name[64];
    struct dev_process process;
};

struct dev_server {
    unsigned number; /* from 1 */
    char name[64];
    char program[DEV_PATH_MAX]; /* run as its node; "": xenonoded */
    struct dev_process node;
    struct dev_process domd; /* where tasks can run */
    struct dev_process host;
};

struct dev_latency;

struct dev_platform {
    char state[DEV_PATH_MAX];
    char currency[8];
    char lease[16];     /* of the servers' ads: "15m" */
    char lease_max[16]; /* that nodes and clients accept */
    uint64_t seed;
    struct dev_corp corps[DEV_CORPS];
    struct dev_server servers[DEV_SERVERS_MAX];
    size_t n_servers;
    const char *sets[64]; /* --set, for the nodes */
    size_t n_sets;
    bool tasks; /* servers run some; else they sell what is reserved */
    char images[DEV_PATH_MAX]; /* folder of their folders; "": none are taken */
    struct dev_latency *latency; /* where servers are; NULL: nowhere */
    struct dev_ports ports;      /* kept while programs start */
    int lock_fd;
};

/* ---- dev_state.c ---- */

/* Open the state folder, from here on by its absolute path, and take its lock
 * unless we only look; XN_EBUSY, XN_ENOENT. */
enum dev_access { DEV_LOOK, DEV_CHANGE, DEV_CREATE };
int dev_open(struct dev_platform *platform, const char *state,
             enum dev_access access_mode);
void dev_close(struct dev_platform *platform);
/* XN_ENOENT where there is no platform. */
int dev_load(struct dev_platform *platform);
int dev_save(const struct dev_platform *platform);
/* Make an empty folder ours, or empty one that is; XN_EINVAL: others' things
 * are in it. */
int dev_claim(const struct dev_platform *platform);
/* Remove what a platform kept; `all`: the folder itself too.  XN_EPERM where
 * it is not ours. */
int dev_wipe(const struct dev_platform *platform, bool all);
/* "STATE/fmt..." into out. */
void dev_path(const struct dev_platform *platform, char out[DEV_PATH_MAX],
              const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int dev_mkdir(const char *path); /* 0700; there already is fine */
int dev_write_file(const char *path, const void *data, size_t len);

/* ---- dev_process.c ---- */

/* Is it still the process that was started? */
bool dev_alive(const struct dev_process *process);
/* Where a program of ours is: installed, or in its folder of the build tree; its
 * bare name where neither. */
void dev_program(const char *folder, const char *name, char out[DEV_PATH_MAX]);
/* Starts argv[0] (a program's name, found beside this one) with --ready-fd
 * added, output to log_path; comes back at once.  The process waits for dev_go,
 * so that it can be noted first, and ends where we die before. */
int dev_spawn(const char *folder, char *const *argv, const char *log_path,
              struct dev_process *process, int *ready_fd_out);
void dev_go(int ready_fd);
/* Waits for the readiness line and takes the id from it; closes the fd.
 * XN_ETIMEOUT, XN_EIO (it ended instead: the log's end is shown),
 * XN_ECANCELLED. */
int dev_wait_ready(struct dev_process *process, int ready_fd,
                   const char *log_path, unsigned timeout_ms);
/* Runs a command and waits for it; XN_EIO unless it ends with 0. */
int dev_run(char *const *argv);
/* The same with its output to a file, which is overwritten. */
int dev_run_to(char *const *argv, const char *path);
/* Sends a signal, if it is alive. */
void dev_signal(const struct dev_process *process, int sig);
/* Waits until none of them is alive; those left after timeout_ms are killed. */
void dev_reap(struct dev_process **processes, size_t n, unsigned timeout_ms);

/* ---- dev_tasks.c ---- */

/* Can this machine run tasks?  If not, says why on stderr, as a remark. */
bool dev_tasks_possible(const struct dev_platform *platform);
/* Where a server keeps images of tasks, made where it is missing. */
int dev_images_folder(const struct dev_platform *platform, unsigned number,
                      char out[DEV_PATH_MAX]);
/* Those of all servers are removed. */
void dev_images_end(const struct dev_platform *platform);
/* Ends all tasks of these servers (0: of all), by signal, and waits for that;
 * sweeps where `sweep` says so, which no xenodomd may be there for. */
void dev_tasks_end(const struct dev_platform *platform, const unsigned *numbers,
                   size_t n, int sig, bool sweep);

/* ---- dev_ports.c ---- */

/* Finds n free loopback ports, the first that are free from number `from` on
 * (taken modulo the range's size), and keeps them for us among all xenodevs.
 * XN_EBUSY: too few are free; those found are kept. */
int dev_ports_find(struct dev_ports *ports, unsigned from, int *ports_out,
                   size_t n);
/* Keeps this one; false: another xenodev has it, or somebody listens there. */
bool dev_ports_keep(struct dev_ports *ports, int port);
/* Once the programs listen, or will not. */
void dev_ports_release(struct dev_ports *ports);

/* ---- dev_tty.c ---- */

/* From here on SIGINT, SIGTERM and SIGHUP do not end the program but what
 * waits: dev_interrupted() says XN_ECANCELLED then, else 0. */
void dev_catch_signals(void);
int dev_interrupted(void);
/* Dies of the signal that was caught, if one was. */
void dev_end_as_caught(void);
/* Shows "what done of n" on a terminal; gone again once done is n. */
void dev_progress(const char *what, size_t done, size_t n);

/* ---- dev_catalogue.c ---- */

struct dev_catalogue; /* rows of a CSV */

/* A CSV, plain or .xz, first row names.  Rows without Price are dropped. */
int dev_catalogue_read(const char *path, struct dev_catalogue **catalogue_out);
void dev_catalogue_free(struct dev_catalogue *catalogue);
size_t dev_catalogue_rows(const struct dev_catalogue *catalogue);
/* Puts the rows in an order drawn by seed: row i is the i-th drawn, without
 * replacement. */
void dev_catalogue_shuffle(struct dev_catalogue *catalogue, uint64_t seed);
/* Column j's name and the value in row i; "" where it has none. */
size_t dev_catalogue_columns(const struct dev_catalogue *catalogue);
const char *dev_catalogue_column(const struct dev_catalogue *catalogue,
                                 size_t j);
const char *dev_catalogue_value(const struct dev_catalogue *catalogue, size_t i,
                                size_t j);

/* ---- dev_offer.c ---- */

struct dev_offer; /* an advert_offer and the memory it points to */

/* Row i as an offer: its columns become tokens; vCPUs, MemoryGiB and Price
 * also give CPUsmps, MemoryMB and PricePerHour. */
int dev_offer_new(const struct dev_platform *platform,
                  const struct dev_catalogue *catalogue, size_t i,
                  const char *server_name, const char *corp,
                  struct dev_offer **offer_out);
void dev_offer_free(struct dev_offer *offer);
const struct advert_offer *dev_offer_get(const struct dev_offer *offer);
/* The same as xenohostd's configuration. */
int dev_offer_config(const struct dev_offer *offer, const char *lease,
                     struct xn_buf *out);

/* ---- dev_place.c ---- */

/* The round trip between two places is about the distance of (x, y) plus both
 * heights, ms; error says how far off that is on average, relative. */
struct dev_place {
    double x, y, h, error;
};

/* A place for each of the matrix, the caller's to free: the same for the same
 * seed. */
int dev_places(const struct xn_latency *latency, uint64_t seed,
               struct dev_place **places_out);
double dev_place_rtt_ms(const struct dev_place *a, const struct dev_place *b);

/* ---- dev_latency.c ---- */

/* Reads the matrix and draws the servers' places by the platform's seed:
 * server i gets the i-th drawn, without replacement until all are taken. */
int dev_latency_read(struct dev_platform *platform, const char *path);
void dev_latency_free(struct dev_latency *latency);
/* The coordinate of the i-th server or ad, as text in the arena. */
int dev_latency_place(const struct dev_latency *latency, size_t i,
                      struct xn_arena *arena, struct advert_offer *offer);
/* Makes the nodes' keys, so that their ids are known, and for each node the
 * file by which it delays what comes from the others. */
int dev_latency_delays(const struct dev_platform *platform);
/* That file's path, if this server's node has one. */
bool dev_latency_file(const struct dev_platform *platform,
                      const struct dev_server *server, char out[DEV_PATH_MAX]);

/* ---- dev_up.c ---- */

int dev_make_corps(struct dev_platform *platform);
int dev_start_corp(struct dev_platform *platform, size_t i);
/* Node, xenodomd and host agent of each, as far as they do not run. */
int dev_start_servers(struct dev_platform *platform, const unsigned *numbers,
                      size_t n);
/* What a node says of itself; *status_out is the caller's. */
int dev_node_status(const struct net_identity *client, int port,
                    Xn__NodeStatus **status_out);
/* Waits until every node has settled and finds `n` servers; XN_ETIMEOUT,
 * XN_ECANCELLED. */
int dev_wait_findable(struct dev_platform *platform, size_t n,
                      unsigned timeout_s);
/* The client's key and certificate, made at the first call. */
int dev_client(struct dev_platform *platform, struct net_identity *identity);
/* The client is registered with both XenoCorps, and has an account of 100 in
 * the platform's currency at each. */
int dev_give_money(struct dev_platform *platform);
/* At that one, once. */
int dev_pay_in(const struct dev_platform *platform, size_t i,
               const struct net_corp *corp, const xn_id *client);
void dev_corp_url(const struct dev_platform *platform, size_t i, char *out,
                  size_t len);

/* ---- dev_ads.c ---- */

/* Injects n further ads, rows first.. of the catalogue, each under a key that
 * corp certified, through the nodes in turn. */
int dev_inject(struct dev_platform *platform,
               const struct dev_catalogue *catalogue, size_t first, size_t n,
               const struct net_identity *client);

#endif
