/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real driver: turns one core's crank with libevent, TLS 1.3 links, HTTPS,
 * Kyoto Cabinet and the clocks.  One per process.
 *
 * The loop thread alone touches the core.  SIGN, VERIFY and ISSUE run in a
 * small pool, TXN and READ in the store's own thread; their results come back
 * to the loop as DONE events.  CALL runs on libcurl's multi interface in the
 * same loop, DOMAIN on unix sockets, FETCH in two threads of its own, PROBE as
 * CALL.
 *
 * The first event of a core is a WAKE.  On SIGTERM the core gets a News of
 * kind "stop" and then about a second to send what it has to say.
 * An ANSWER that is Prometheus' text goes out with the driver's own numbers
 * behind it (net/metrics.h).
 */
#ifndef NET_DRIVER_H
#define NET_DRIVER_H

#include "net/backing.h"
#include "net/identity.h"
#include "net/images.h"
#include "seam/peers.h"
#include "seam/xn_core.h"

struct net_driver;

struct net_config {
    const char *program;                 /* for messages */
    const struct net_identity *identity; /* key, certificate, anchors */
    const char *listen_links; /* "127.0.0.1:0"; NULL: no overlay links */
    const char *listen_api;   /* HTTPS; NULL: none */
    enum net_store_kind store;
    const char *store_path;  /* Kyoto Cabinet file */
    const char *record_path; /* --record; NULL: no recording */
    const char *dom_path; /* xenodomd's socket (net/dom.h); NULL: no DOMAIN */
    const struct net_images_config *images; /* NULL: no FETCH */
    const char *admission;  /* program for ADMIT; NULL: no ADMIT */
    uint64_t admission_us;  /* that it may take */
    const char *delay_path; /* --delay, for tests (net/delay.h); NULL: none */
    unsigned threads;       /* of the pool; 1 */
    unsigned links_max;     /* accepted, dialled, half-open: hard bound; 512 */
    unsigned handshakes;    /* of links, a second, that come in; 0: no bound */
    unsigned defer_s;       /* net_listen_defer, of both; 60 */
    bool private_ok;       /* links to private addresses, wherever it listens */
    const char *announced; /* where others reach the links; NULL: where it
                              listens */
    unsigned api_max;      /* connections; 256 */
    unsigned api_connects; /* that begin, a second, of one address; 100; 0: no
                              bound */
    unsigned api_connects_all; /* of all addresses where no member has proved
                                  itself, and as many of the others; 400 */
    /* Requests per second, 0: no bound. */
    unsigned api_rate;           /* of one address, anonymous; 50 */
    unsigned api_rate_certified; /* of one certified caller; 500 */
    size_t api_body_max;         /* bytes; 0: 1 MiB */
    uint64_t api_ask_us;         /* for an answer; 0: 30 s */
};

/* Everything at its default; the texts NULL. */
void net_config_default(struct net_config *config);

/* Binds and opens everything: errors are told with xn_gripe already.  The
 * peers table lives as long as the driver; config->identity must outlive it,
 * the texts are copied. */
int net_driver_new(const struct net_config *config,
                   struct net_driver **driver_out);
void net_driver_free(struct net_driver *driver);
const struct xn_peers *net_driver_peers(const struct net_driver *driver);
/* The bound addresses, ports filled in; "" where there is no such listener. */
const char *net_driver_links_address(const struct net_driver *driver);
const char *net_driver_api_address(const struct net_driver *driver);

/* Runs the core until SIGTERM or SIGINT (a second one ends at once).  Takes
 * the core over: frees it at the end.  0, or the error that ended it.  program,
 * seed and config go into the head of a recording. */
int net_driver_run(struct net_driver *driver, struct xn_core *core,
                   const char *program, uint64_t seed, const void *config,
                   size_t config_len);

#endif
