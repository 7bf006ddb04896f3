/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <utlist.h>

#include "lib/err.h"
#include "lib/log.h"
#include "net/accept.h"
#include "net/clock.h"
#include "net/delay.h"
#include "net/gate.h"
#include "net/link.h"
#include "net/tls.h"
#include "net/vain.h"
#include "seam/dial.h"

enum {
    TICK_S = 30,
    SKEW_US = 300000000,
    HALF_OPEN_LEAST = 8, /* that one source may have */
};

/* Who has a handle; `link` is NULL from its end until the core knows. */
struct slot {
    struct net_link *link;
    bool used;
};

struct net_links {
    struct net_loop *loop;
    const struct net_identity *identity;
    const struct net_delays *delays;
    SSL_CTX *server, *client;
    struct net_accept *accept;
    struct event *tick, *gate_timer;
    struct net_gate *gate;
    struct net_vain *vain;
    bool private_ok, nowhere; /* to be dialled */
    char address[NET_ADDR_TEXT];
    unsigned max, n;
    uint64_t received, sent; /* over links that are closed */
    bool paused, freeing;
    struct net_link *all;   /* every state */
    struct net_link *dirty; /* have frames of this turn */
    struct slot *slots;
    struct xn_contact *rows;
    size_t n_slots;
    struct xn_peers peers;
};

const struct xn_peers *net_links_peers(const struct net_links *links)
{
    return &links->peers;
}

const char *net_links_address(const struct net_links *links)
{
    return links->address;
}

/* ---- handles ----------------------------------------------------------- */

static int grow(struct net_links *links)
{
    size_t n = links->n_slots ? 2 * links->n_slots : 16;
    struct xn_contact *rows;
    struct slot *slots;

    if (n > XN_PEERS_MAX) return XN_ENOMEM;
    rows = realloc(links->rows, n * sizeof *rows);
    if (!rows) return XN_ENOMEM;
    links->rows = rows;
    links->peers.rows = rows;
    slots = realloc(links->slots, n * sizeof *slots);
    if (!slots) return XN_ENOMEM;
    links->slots = slots;
    memset(rows + links->n_slots, 0, (n - links->n_slots) * sizeof *rows);
    memset(slots + links->n_slots, 0, (n - links->n_slots) * sizeof *slots);
    links->n_slots = n;
    links->peers.n = n;
    return 0;
}

static int take_slot(struct net_links *links, struct net_link *link)
{
    size_t i = 0;
    int rc;

    while (i < links->n_slots && links->slots[i].used)
        i++;
    if (i == links->n_slots) {
        rc = grow(links);
        if (rc) return rc;
    }
    links->slots[i] = (struct slot){link, true};
    links->rows[i] =
        (struct xn_contact){link->cert.id, link->cert.position, link->cert.corp,
                            link->cert.not_after_us, NULL};
    link->peer = (xn_peer)i;
    return 0;
}

static struct net_link *link_of(const struct net_links *links, xn_peer peer)
{
    return peer < links->n_slots ? links->slots[peer].link : NULL;
}

void net_links_release(struct net_links *links, xn_peer peer)
{
    if (peer < links->n_slots && !links->slots[peer].link) {
        links->slots[peer].used = false;
    }
}

/* The handle dies: the core is told, and the link has none any more. */
static void part(struct net_links *links, struct net_link *link, int rc,
                 const char *text)
{
    Xn__Reason reason = XN__REASON__INIT;
    xn_peer peer = link->peer;

    if (peer == XN_PEER_NONE) return;
    net_delay_end(link->delay); /* what came before the end, before the end */
    link->delay = NULL;
    links->slots[peer].link = NULL;
    link->peer = XN_PEER_NONE;
    if (links->freeing) return;
    reason.rc = rc;
    reason.text = (char *)(uintptr_t)text;
    net_loop_tell(links->loop, XN_EV_GONE, 0, peer, XN__KIND__REASON, &reason);
}

static struct net_link *link_with(const struct net_links *links,
                                  const xn_id *id)
{
    size_t i;

    for (i = 0; i < links->n_slots; i++) {
        if (links->slots[i].link && xn_id_eq(&links->rows[i].id, id)) {
            return links->slots[i].link;
        }
    }
    return NULL;
}

/* ---- what links report ------------------------------------------------- */

/* The dial has failed. */
static void dial_failed(struct net_links *links, struct net_link *link, int rc,
                        const char *text)
{
    struct xn_msg *msg = NULL;
    Xn__Reason reason = XN__REASON__INIT;
    uint64_t ticket = link->ticket;

    link->ticket = 0;
    if (ticket == 0 || links->freeing) return;
    reason.rc = rc;
    reason.text = (char *)(uintptr_t)text;
    if (xn_msg_new(XN__KIND__REASON, &reason, &msg)) msg = NULL;
    net_loop_done(links->loop, ticket, rc, msg);
}

static void not_in_vain(struct net_links *links, struct net_link *link)
{
    net_vain_give_back(links->vain, link->vain_network);
    link->vain_network = 0;
}

static void on_closed(struct net_link *link, int rc, const char *text)
{
    struct net_links *links = link->owner;

    if (rc == XN_ECONFLICT) not_in_vain(links, link);
    dial_failed(links, link, rc, text);
    part(links, link, rc, text);
    net_delay_end(link->delay); /* where it never got a handle */
    if (link->dirty) {
        LL_DELETE2(links->dirty, link, dirty_next);
        link->dirty = false;
    }
    links->received += link->received;
    links->sent += link->sent;
    DL_DELETE(links->all, link);
    links->n--;
    if (links->paused && !links->freeing) {
        links->paused = false;
        net_accept_set(links->accept, true);
    }
}

static void hand_on(void *arg, struct xn_msg *msg)
{
    struct net_link *link = arg;
    struct net_links *links = link->owner;

    net_loop_raise(links->loop, XN_EV_MSG, 0, 0, link->peer, msg);
}

static void on_frame(struct net_link *link, struct xn_msg *msg)
{
    if (link->delay) {
        net_delay_put(link->delay, msg);
    } else {
        hand_on(link, msg);
    }
}

/* May the new link live beside or instead of what is there?  Both ends must
 * come to the same answer. */
static bool wins(const struct net_links *links, const struct net_link *link,
                 const struct net_link *old)
{
    int cmp = xn_id_cmp(&links->identity->cert.id, &link->cert.id);
    bool smaller_dialled = link->incoming ? cmp > 0 : cmp < 0;

    /* Older than a dial that was simultaneous with the new link's can be. */
    return smaller_dialled || net_mono_us() - old->open_us >
                                  XN_DIAL_US + xn_shake_us(link->trip_us);
}

/* 0: the peer is who it must be and this link to it may live. */
static int admit(struct net_links *links, struct net_link *link,
                 const char **why_out)
{
    struct net_link *old = link_with(links, &link->cert.id);

    if (!xn_id_is_zero(&link->want) && !xn_id_eq(&link->want, &link->cert.id)) {
        *why_out = "another node answers there";
        return XN_EIDENT;
    }
    if (xn_id_eq(&links->identity->cert.id, &link->cert.id)) {
        *why_out = "that is this node itself";
        return XN_EIDENT;
    }
    if (old && !wins(links, link, old)) {
        *why_out = "linked already";
        return XN_ECONFLICT;
    }
    if (old) net_link_close(old, XN_ECONFLICT, "replaced by a newer link");
    return 0;
}

static void on_ready(struct net_link *link)
{
    struct net_links *links = link->owner;
    Xn__Up up = XN__UP__INIT;
    Xn__Caller who;
    char address[NET_ADDR_TEXT];
    const char *why = "out of memory";
    int rc = admit(links, link, &why);

    if (!rc && links->delays) {
        rc = net_delay_new(links->delays, net_loop_base(links->loop),
                           &link->cert.id, hand_on, link, &link->delay);
    }
    if (!rc) rc = take_slot(links, link);
    if (rc) {
        net_link_close(link, rc, why);
        return;
    }
    net_gate_know(links->gate, xn_id_head(&link->cert.id),
                  net_addr_source((struct sockaddr *)&link->remote.sa));
    not_in_vain(links, link);
    link->open_us = net_mono_us();
    net_addr_text((struct sockaddr *)&link->remote.sa, address);
    net_caller(&link->cert, address, &who);
    up.who = &who;
    up.incoming = link->incoming;
    up.ticket = link->ticket;
    up.trip_us = link->trip_us;
    link->ticket = 0;
    net_loop_tell(links->loop, XN_EV_UP, 0, link->peer, XN__KIND__UP, &up);
}

static void on_knock(struct net_link *link);

static const struct net_link_user link_user = {on_knock, on_ready, on_frame,
                                               on_closed};

/* ---- accepting --------------------------------------------------------- */

static void pause_at_bound(struct net_links *links)
{
    if (links->n < links->max || !links->accept) return;
    links->paused = true;
    net_accept_set(links->accept, false);
}

/* Whose handshake begins next: of the source, and among those of the network,
 * that has had the fewest turns, the one that waits longest. */
static struct net_link *next_waiting(struct net_links *links, bool known)
{
    struct net_link *link, *next = NULL;

    DL_FOREACH(links->all, link)
    {
        if (!link->waits || link->known != known) continue;
        if (!next || link->turn < next->turn) next = link;
    }
    return next;
}

/* So long to wait for the next one; 0: nobody waits. */
static uint64_t let_in(struct net_links *links, bool known)
{
    struct net_link *link;
    uint64_t wait_us;

    while ((link = next_waiting(links, known)) != NULL) {
        wait_us = net_gate_take(links->gate, known, 0, net_mono_us());
        if (wait_us) return wait_us;
        link->waits = false;
        net_link_begin(link);
    }
    return 0;
}

static void on_gate(evutil_socket_t fd, short what, void *arg)
{
    struct net_links *links = arg;
    uint64_t members_us = let_in(links, true), others_us = let_in(links, false);
    uint64_t wait_us = members_us && (!others_us || members_us < others_us)
                           ? members_us
                           : others_us;
    struct timeval tv = {(time_t)(wait_us / 1000000),
                         (suseconds_t)(wait_us % 1000000)};

    if (wait_us) event_add(links->gate_timer, &tv);
}

static void on_knock(struct net_link *link)
{
    struct net_links *links = link->owner;
    const struct sockaddr *sa = (const struct sockaddr *)&link->remote.sa;
    struct net_link *other;

    DL_FOREACH(links->all, other)
    {
        const struct sockaddr *from = (const void *)&other->remote.sa;

        if (!other->waits) continue;
        if (net_addr_same_source(from, sa)) link->turn += 1ULL << 32;
        link->turn += net_addr_network(from) == net_addr_network(sa);
    }
    link->knocked = link->waits = true;
    if (!event_pending(links->gate_timer, EV_TIMEOUT, NULL)) {
        on_gate(-1, 0, links);
    }
}

/* Has this source too many handshakes under way?  Of those where nobody has
 * spoken yet the oldest gives way, else of those that have had their turn: one
 * that is meant takes a second, so who only begins keeps no other of his source
 * out.  All sources together may have half of the links: then the oldest ends,
 * of a source where no member has proved itself if there is one, for ours to
 * others must not wait behind those that are not meant. */
static bool crowded(struct net_links *links, const struct sockaddr *sa)
{
    struct net_link *link, *oldest = NULL, *silent = NULL, *begun = NULL;
    unsigned n = 0, all = 0, most = links->max / 4;

    DL_FOREACH(links->all, link)
    {
        if (!link->incoming || link->state != NET_LINK_SHAKING) continue;
        if (!oldest || (oldest->known && !link->known)) oldest = link;
        all++;
        if (!net_addr_same_source((const struct sockaddr *)&link->remote.sa,
                                  sa)) {
            continue;
        }
        if (!silent && !link->knocked) silent = link;
        if (!begun && !link->waits) begun = link;
        n++;
    }
    if (n >= (most > HALF_OPEN_LEAST ? most : HALF_OPEN_LEAST)) {
        if (!silent) silent = begun;
        if (!silent) return true;
        net_link_close(silent, XN_EBUSY, "others of its source connect");
    } else if (all >= links->max / 2) {
        net_link_close(oldest, XN_EBUSY, "others want to shake hands");
    }
    return false;
}

static struct net_link *add(struct net_links *links, int fd, bool incoming,
                            const struct sockaddr *sa, socklen_t len)
{
    struct net_link *link = NULL;

    if (net_link_new(net_loop_base(links->loop),
                     incoming ? links->server : links->client, fd, incoming,
                     &link_user, links, &link)) {
        return NULL;
    }
    memcpy(&link->remote.sa, sa, len);
    link->remote.len = len;
    DL_APPEND(links->all, link);
    links->n++;
    pause_at_bound(links);
    return link;
}

static void on_accept(void *arg, int fd, const struct sockaddr *sa,
                      socklen_t len)
{
    struct net_links *links = arg;
    struct net_link *link;

    if (crowded(links, sa) || links->n >= links->max) {
        close(fd);
        return;
    }
    link = add(links, fd, true, sa, len);
    if (link) link->known = net_gate_knows(links->gate, net_addr_source(sa));
}

/* No descriptors: wait for the next tick instead of spinning on the socket. */
static void on_accept_error(void *arg)
{
    struct net_links *links = arg;

    xn_log(XN_LOG_WARN, "cannot accept links: %s", strerror(errno));
    links->paused = true;
}

static const struct net_accept_user accept_user = {on_accept, on_accept_error};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct net_links *links = arg;
    uint64_t wall_us = net_wall_us();
    struct net_link *link, *next;

    DL_FOREACH_SAFE(links->all, link, next)
    {
        if (link->peer != XN_PEER_NONE &&
            wall_us > link->cert.not_after_us + SKEW_US) {
            net_link_close(link, XN_EEXPIRED, "its certificate has ended");
            continue;
        }
        net_link_rest(link);
    }
    if (links->paused && links->n < links->max) {
        links->paused = false;
        net_accept_set(links->accept, true);
    }
}

/* ---- actions ----------------------------------------------------------- */

/* A socket that is connecting; -1 with errno. */
static int connecting(const struct net_addr *addr)
{
    int fd = socket(addr->sa.ss_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int saved;

    if (fd < 0) return -1;
    net_link_patient(fd);
    if (!connect(fd, (const struct sockaddr *)&addr->sa, addr->len) ||
        errno == EINPROGRESS) {
        return fd;
    }
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* In which network a dial of it counts; 0: in none, a member has been there. */
static uint64_t vain_network(const struct net_links *links,
                             const struct sockaddr *sa)
{
    return net_gate_knows(links->gate, net_addr_source(sa))
               ? 0
               : net_addr_network(sa);
}

/* Where it listens tells nothing of the network of who is dialled by nobody. */
#define OF_NO_NETWORK "0.0.0.0:0"

static bool may_dial(const struct net_links *links, const struct sockaddr *sa)
{
    const char *at = links->nowhere ? OF_NO_NETWORK : links->address;
    struct net_addr own;

    return !net_addr_parse(at, &own) &&
           net_addr_may_dial(sa, (struct sockaddr *)&own.sa, links->private_ok);
}

static int dial(struct net_links *links, const Xn__Contact *contact,
                const char **why_out, struct net_link **link_out)
{
    struct net_addr addr;
    struct net_link *link;
    xn_id want = {{0}};
    uint64_t network;
    int fd;

    *why_out = "contact is malformed";
    if (!contact || net_addr_parse(contact->address, &addr) ||
        (contact->id.len && xn_id_from_bytes(&contact->id, &want))) {
        return XN_EINVAL;
    }
    *why_out = "that address is not for dialling";
    if (!may_dial(links, (struct sockaddr *)&addr.sa)) return XN_EINVAL;
    *why_out = "that is this node itself";
    if (xn_id_eq(&want, &links->identity->cert.id)) return XN_EIDENT;
    *why_out = "linked already";
    if (link_with(links, &want)) return XN_ECONFLICT;
    *why_out = "at the bound of links";
    if (links->n >= links->max) return XN_EBUSY;
    *why_out = "too many dials in vain of that network";
    network = vain_network(links, (struct sockaddr *)&addr.sa);
    if (!net_vain_take(links->vain, network, net_mono_us())) return XN_EBUSY;
    fd = connecting(&addr);
    if (fd < 0) {
        *why_out = strerror(errno);
        net_vain_give_back(links->vain, network);
        return XN_EUNREACH;
    }
    *why_out = "out of memory";
    link = add(links, fd, false, (struct sockaddr *)&addr.sa, addr.len);
    if (!link) return XN_ENOMEM;
    link->want = want;
    link->vain_network = network;
    *link_out = link;
    return 0;
}

void net_links_dial(struct net_links *links, uint64_t ticket,
                    const Xn__Dial *body)
{
    struct net_link *link = NULL, failed = {0};
    const char *why;
    int rc = dial(links, body->contact, &why, &link);

    if (rc) {
        failed.ticket = ticket;
        dial_failed(links, &failed, rc, why);
    } else {
        link->ticket = ticket;
    }
}

bool net_links_abort(struct net_links *links, uint64_t ticket)
{
    struct net_link *link;

    DL_FOREACH(links->all, link)
    {
        if (link->ticket == ticket) {
            net_link_close(link, XN_ECANCELLED, "no longer wanted");
            return true;
        }
    }
    return false;
}

bool net_links_host(const struct net_links *links, xn_peer peer,
                    char host_out[NET_ADDR_TEXT])
{
    const struct net_link *link = link_of(links, peer);
    const struct sockaddr *sa;
    char *port;

    if (!link) return false;
    sa = (const struct sockaddr *)&link->remote.sa;
    if (!may_dial(links, sa)) return false;
    net_addr_text(sa, host_out);
    port = strrchr(host_out, ':');
    if (port) *port = '\0';
    return port != NULL;
}

void net_links_hang(struct net_links *links, xn_peer peer,
                    const Xn__Reason *reason)
{
    struct net_link *link = link_of(links, peer);

    if (!link) return;
    part(links, link, reason ? reason->rc : 0, reason ? reason->text : "");
    if (reason && reason->rc == XN_ETIMEOUT)
        net_link_reset(link);
    else
        net_link_drain(link);
}

void net_links_send(struct net_links *links, xn_peer peer, struct xn_msg *msg)
{
    struct net_link *link = link_of(links, peer);

    if (!link || !msg || !xn_kind_is_wire(msg->kind)) return;
    if (!net_link_send(link, msg)) {
        net_link_close(link, XN_EBUSY, "reads too slowly");
        return;
    }
    if (!link->dirty) {
        link->dirty = true;
        LL_PREPEND2(links->dirty, link, dirty_next);
    }
}

void net_links_flush(struct net_links *links)
{
    while (links->dirty) {
        struct net_link *link = links->dirty;

        LL_DELETE2(links->dirty, link, dirty_next);
        link->dirty = false;
        net_link_flush(link);
    }
}

bool net_links_idle(const struct net_links *links)
{
    const struct net_link *link;

    DL_FOREACH(links->all, link)
    {
        if (link->state >= NET_LINK_OPEN && !net_link_idle(link)) return false;
    }
    return true;
}

/* ---- begin and end ----------------------------------------------------- */

static int open_listener(struct net_links *links, const char *text,
                         unsigned defer_s)
{
    int fd = -1, rc;

    rc = net_listen(text, &fd, links->address);
    if (rc) return rc;
    net_listen_defer(fd, defer_s);
    net_link_patient(fd);
    return net_accept_new(net_loop_base(links->loop), fd, &accept_user, links,
                          &links->accept);
}

/* Is it an address of a network that is not the world's? */
static bool is_private(const char *text)
{
    struct net_addr addr;
    const struct sockaddr *sa = (const struct sockaddr *)&addr.sa;

    return text && !net_addr_parse(text, &addr) && net_addr_is_private(sa) &&
           net_addr_network(sa) != 0 && net_addr_may_dial(sa, sa, false);
}

int net_links_new(struct net_loop *loop, const struct net_links_config *config,
                  struct net_links **links_out)
{
    struct net_links *links = calloc(1, sizeof *links);
    struct timeval tick = {TICK_S, 0};
    int rc = XN_ENOMEM;

    if (!links) goto out;
    links->loop = loop;
    links->identity = config->identity;
    links->max = config->max;
    links->delays = config->delays;
    links->private_ok = config->private_ok || is_private(config->announced);
    links->nowhere =
        config->announced && !strcmp(config->announced, NET_NOWHERE);
    rc = net_tls_links(config->identity, &links->server, &links->client);
    if (rc) goto out;
    rc = net_gate_new(config->handshakes, &links->gate);
    if (rc) goto out;
    rc = net_vain_new(&links->vain);
    if (rc) goto out;
    rc = open_listener(links, config->listen, config->defer_s);
    if (rc) goto out;
    links->gate_timer = evtimer_new(net_loop_base(loop), on_gate, links);
    links->tick =
        event_new(net_loop_base(loop), -1, EV_PERSIST, on_tick, links);
    rc = XN_ENOMEM;
    if (!links->gate_timer || !links->tick || event_add(links->tick, &tick)) {
        goto out;
    }
    *links_out = links;
    links = NULL;
    rc = 0;
out:
    net_links_free(links);
    return rc;
}

void net_links_free(struct net_links *links)
{
    if (!links) return;
    links->freeing = true;
    while (links->all)
        net_link_close(links->all, XN_ECANCELLED, "going down");
    if (links->tick) event_free(links->tick);
    if (links->gate_timer) event_free(links->gate_timer);
    net_gate_free(links->gate);
    net_vain_free(links->vain);
    net_accept_free(links->accept);
    SSL_CTX_free(links->server);
    SSL_CTX_free(links->client);
    free(links->slots);
    free(links->rows);
    free(links);
}

void net_links_load(const struct net_links *links,
                    struct net_links_load *load_out)
{
    const struct net_link *link;

    *load_out = (struct net_links_load){.received = links->received,
                                        .sent = links->sent};
    DL_FOREACH(links->all, link)
    {
        load_out->shaking += link->state == NET_LINK_SHAKING;
        load_out->open += link->state == NET_LINK_OPEN;
        load_out->draining += link->state == NET_LINK_DRAINING;
        load_out->queued += net_link_queued(link);
        load_out->received += link->received;
        load_out->sent += link->sent;
    }
}

void net_links_traffic(const struct net_links *links, const xn_id *id,
                       uint64_t *received_out, uint64_t *sent_out)
{
    const struct net_link *link = link_with(links, id);

    *received_out = link ? link->received : 0;
    *sent_out = link ? link->sent : 0;
}
