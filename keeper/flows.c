/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/flows.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "keeper/network.h"
#include "keeper/nft.h"
#include "keeper/spec.h"
#include "lib/err.h"

#define TABLE "xenodomd"
#define TEXT_MAX 16384
#define FULL 1024  /* flows in a set with ports, */
#define COARSE 256 /* in one without, */
#define PROTOCOLS 256
#define IDLE_MS 3600000ULL
#define PATIENCE_S 5 /* the kernel answers within the call that asks it */
#define ANSWER_MAX 32768
#define PARTS_MAX (2 * (2 * FULL + 2 * COARSE + PROTOCOLS))
#define SET_NAME_MAX (SPEC_NAME_MAX + 8)

/* What a set counts.  An element's key is the protocol, the peer's address, its
 * port and the guest's, each of a multiple of four bytes. */
struct kind {
    const char *suffix;
    bool sent;
    int family; /* 0: no address */
    bool ports;
};
static const struct kind kinds[] = {
    {"o4", true, AF_INET, true},   {"i4", false, AF_INET, true},
    {"o6", true, AF_INET6, true},  {"i6", false, AF_INET6, true},
    {"p4", true, AF_INET, false},  {"q4", false, AF_INET, false},
    {"p6", true, AF_INET6, false}, {"q6", false, AF_INET6, false},
    {"r", true, 0, false},         {"s", false, 0, false},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static void set_name(const char *name, const struct kind *kind,
                     char out[SET_NAME_MAX])
{
    snprintf(out, SET_NAME_MAX, "g-%s.%s", name, kind->suffix);
}

/* ---- rules --------------------------------------------------------------- */

struct text {
    char at[TEXT_MAX];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text,
                                                      const char *format, ...)
{
    size_t room = sizeof text->at - text->len;
    va_list list;
    int n;

    va_start(list, format);
    n = vsnprintf(text->at + text->len, room, format, list);
    va_end(list);
    text->len += n > 0 && (size_t)n < room ? (size_t)n : 0;
}

/* One table for all guests, whose own chains are found by address.  As often as
 * one likes. */
static void say_table(struct text *text)
{
    static const struct {
        const char *chain, *hook, *interface, *what, *map;
        int priority;
    } ways[] = {{"out", "prerouting", "iifname", "saddr", "from", -300},
                {"in", "postrouting", "oifname", "daddr", "to", 300}};

    say(text, "add table bridge " TABLE "\n");
    for (size_t i = 0; i < 2; i++) {
        const char *chain = ways[i].chain, *map = ways[i].map;

        say(text,
            "add map bridge " TABLE " %s4 { type ipv4_addr : verdict; }\n"
            "add map bridge " TABLE " %s6 { type ipv6_addr : verdict; }\n"
            "add chain bridge " TABLE
            " %s { type filter hook %s priority %d; }\n"
            "flush chain bridge " TABLE " %s\n",
            map, map, chain, ways[i].hook, ways[i].priority, chain);
        for (int family = 4; family <= 6; family += 2)
            say(text,
                "add rule bridge " TABLE " %s %s \"vif*\" ip%s %s vmap @%s%d\n",
                chain, ways[i].interface, family == 6 ? "6" : "", ways[i].what,
                map, family);
    }
}

static const char *address_type(const struct kind *kind)
{
    return kind->family == AF_INET6 ? " . ipv6_addr"
           : kind->family           ? " . ipv4_addr"
                                    : "";
}

static void say_set(struct text *text, const char *name,
                    const struct kind *kind)
{
    char set[SET_NAME_MAX];

    set_name(name, kind, set);
    say(text,
        "add set bridge " TABLE " %s { type inet_proto%s%s; size %d; "
        "flags dynamic,timeout; timeout %llus; }\n"
        "flush set bridge " TABLE " %s\n",
        set, address_type(kind),
        kind->ports ? " . inet_service . inet_service" : "",
        kind->ports    ? FULL
        : kind->family ? COARSE
                       : PROTOCOLS,
        IDLE_MS / 1000, set);
}

/* Where a set has no room its rule does not match, and the next has its turn. */
static void say_rule(struct text *text, const char *name,
                     const struct kind *kind)
{
    const char *six = kind->family == AF_INET6 ? "6" : "";
    char set[SET_NAME_MAX], address[40] = "", ports[40] = "";

    set_name(name, kind, set);
    if (kind->family)
        snprintf(address, sizeof address, " . ip%s %s", six,
                 kind->sent ? "daddr" : "saddr");
    if (kind->ports)
        snprintf(ports, sizeof ports, " . th %s . th %s",
                 kind->sent ? "dport" : "sport",
                 kind->sent ? "sport" : "dport");
    say(text,
        "add rule bridge " TABLE " g-%s.%s %supdate @%s { meta l4proto%s%s "
        "counter } return\n",
        name, kind->sent ? "out" : "in",
        kind->ports ? "meta l4proto { tcp, udp, sctp } " : "", set, address,
        ports);
}

static void say_guest(struct text *text, const char *name)
{
    static const char *const ways[] = {"out", "in"};

    for (size_t i = 0; i < KINDS; i++)
        say_set(text, name, &kinds[i]);
    for (size_t i = 0; i < 2; i++)
        say(text,
            "add chain bridge " TABLE " g-%s.%s\n"
            "flush chain bridge " TABLE " g-%s.%s\n",
            name, ways[i], name, ways[i]);
    for (size_t i = 0; i < KINDS; i++)
        say_rule(text, name, &kinds[i]);
}

static bool has_six(const Xn__TaskNet *net)
{
    return net->address6.len == NETWORK_ADDRESS6;
}

/* Its elements of the maps: to `name`, NULL: away. */
static void say_address(struct text *text, const Xn__TaskNet *net,
                        const char *name)
{
    char four[NETWORK_TEXT_MAX], six[NETWORK_TEXT6_MAX] = "";

    network_text(net->address, four);
    if (has_six(net)) network_text6(net->address6.data, six);
    for (int i = 0; i < 4; i++) {
        const char *way = i % 2 ? "in" : "out", *map = i % 2 ? "to" : "from";
        const char *address = i < 2 ? four : six;

        if (!*address) continue;
        say(text, "%s element bridge " TABLE " %s%d { %s",
            name ? "add" : "delete", map, i < 2 ? 4 : 6, address);
        if (name) say(text, " : jump g-%s.%s", name, way);
        say(text, " }\n");
    }
}

/* ---- begin and end ------------------------------------------------------- */

int keeper_flows_begin(const char *name, const Xn__TaskNet *net,
                       char *because_out, size_t len)
{
    struct text *texts = calloc(2, sizeof *texts);
    struct text *away = texts, *text = texts + 1;
    int rc = XN_ENOMEM;

    if (!texts) goto out;
    say_address(away, net, NULL);
    say_table(text);
    say_guest(text, name);
    say_address(text, net, name);
    /* who had it before has it no more, if anybody did */
    (void)nft_run(away->at, NULL, 0);
    rc = nft_run(text->at, because_out, len);
out:
    free(texts);
    return rc;
}

void keeper_flows_end(const char *name, const Xn__TaskNet *net)
{
    struct text *text = calloc(1, sizeof *text);
    char set[SET_NAME_MAX];

    if (!text) return;
    if (net) say_address(text, net, NULL);
    if (net) (void)nft_run(text->at, NULL, 0);
    text->len = 0;
    say(text, "delete chain bridge " TABLE " g-%s.out\n", name);
    say(text, "delete chain bridge " TABLE " g-%s.in\n", name);
    for (size_t i = 0; i < KINDS; i++) {
        set_name(name, &kinds[i], set);
        say(text, "delete set bridge " TABLE " %s\n", set);
    }
    (void)nft_run(text->at, NULL, 0);
    free(text);
}

void keeper_flows_clear(void)
{
    (void)nft_run("add table bridge " TABLE "\ndelete table bridge " TABLE "\n",
                  NULL, 0);
}

/* ---- what the kernel says ------------------------------------------------ */

static size_t whole(const struct nlattr *attr)
{
    return (size_t)NLA_ALIGN(attr->nla_len);
}

/* The attribute of that kind; NULL: there is none, or it is cut off. */
static const struct nlattr *find(const void *data, size_t len, unsigned kind)
{
    const uint8_t *at = data;
    struct nlattr head;

    while (len >= sizeof head) {
        memcpy(&head, at, sizeof head);
        if (head.nla_len < sizeof head || head.nla_len > len) return NULL;
        if ((head.nla_type & NLA_TYPE_MASK) == kind) return (const void *)at;
        if (whole(&head) >= len) return NULL;
        at += whole(&head);
        len -= whole(&head);
    }
    return NULL;
}

static const void *inside(const struct nlattr *attr, size_t *len_out)
{
    *len_out = attr ? attr->nla_len - sizeof *attr : 0;
    return attr ? attr + 1 : NULL;
}

static const void *find_inside(const void **data, size_t *len, unsigned kind)
{
    const struct nlattr *attr = *data ? find(*data, *len, kind) : NULL;

    *data = inside(attr, len);
    return *data;
}

static uint64_t number_in(const void *data, size_t len, unsigned kind)
{
    uint64_t number = 0;

    if (find_inside(&data, &len, kind) && len == sizeof number)
        memcpy(&number, data, sizeof number);
    return be64toh(number);
}

struct parts { /* of flows: each direction its own */
    struct flow *list;
    size_t n;
    uint64_t sent, got; /* of those whose peer is not known */
};

static bool take_key(const struct kind *kind, const uint8_t *key, size_t len,
                     struct flow *out)
{
    size_t address = kind->family == AF_INET6  ? 16
                     : kind->family == AF_INET ? 4
                                               : 0;
    uint16_t port;

    if (!kind->family) return len >= 1;
    if (len != 4 + address + (kind->ports ? 8 : 0)) return false;
    out->protocol = key[0];
    if (!inet_ntop(kind->family, key + 4, out->peer, sizeof out->peer))
        return false;
    if (!kind->ports) return true;
    memcpy(&port, key + 4 + address, sizeof port);
    out->peer_port = ntohs(port);
    memcpy(&port, key + 8 + address, sizeof port);
    out->own_port = ntohs(port);
    return true;
}

static void take_element(const struct kind *kind, const void *data, size_t len,
                         uint64_t wall_us, struct parts *parts)
{
    const void *key = data, *counter = data;
    size_t key_len = len, counter_len = len;
    uint64_t bytes, left_ms = number_in(data, len, NFTA_SET_ELEM_EXPIRATION);
    struct flow flow = {.protocol = 0};

    if (!find_inside(&counter, &counter_len, NFTA_SET_ELEM_EXPR) ||
        !find_inside(&counter, &counter_len, NFTA_EXPR_DATA) ||
        !find_inside(&key, &key_len, NFTA_SET_ELEM_KEY) ||
        !find_inside(&key, &key_len, NFTA_DATA_VALUE) ||
        !take_key(kind, key, key_len, &flow)) {
        return;
    }
    bytes = number_in(counter, counter_len, NFTA_COUNTER_BYTES);
    if (!kind->family) {
        *(kind->sent ? &parts->sent : &parts->got) += bytes;
    } else if (bytes && parts->n < PARTS_MAX) {
        *(kind->sent ? &flow.sent : &flow.got) = bytes;
        flow.last_us = wall_us;
        if (left_ms && left_ms < IDLE_MS)
            flow.last_us -= (IDLE_MS - left_ms) * 1000;
        parts->list[parts->n++] = flow;
    }
}

static void take_elements(const struct kind *kind, const struct nlmsghdr *head,
                          uint64_t wall_us, struct parts *parts)
{
    size_t skip = NLMSG_LENGTH(sizeof(struct nfgenmsg)), len, part;
    const void *data = (const uint8_t *)head + NLMSG_ALIGN(skip), *element;
    const struct nlattr *attr;

    if (head->nlmsg_len < NLMSG_ALIGN(skip)) return;
    len = head->nlmsg_len - NLMSG_ALIGN(skip);
    if (!find_inside(&data, &len, NFTA_SET_ELEM_LIST_ELEMENTS)) return;
    while ((attr = find(data, len, NFTA_LIST_ELEM))) {
        element = inside(attr, &part);
        take_element(kind, element, part, wall_us, parts);
        if (whole(attr) >= len) return;
        len -= whole(attr);
        data = (const uint8_t *)data + whole(attr);
    }
}

/* ---- what it is asked ---------------------------------------------------- */

struct question {
    _Alignas(struct nlmsghdr) uint8_t at[4096];
    size_t len;
};

static void put_attr(struct question *q, struct nlmsghdr *head, uint16_t kind,
                     const char *text)
{
    struct nlattr attr = {(uint16_t)(sizeof attr + strlen(text) + 1), kind};

    memcpy(q->at + q->len, &attr, sizeof attr);
    memcpy(q->at + q->len + sizeof attr, text, strlen(text) + 1);
    q->len += NLA_ALIGN(attr.nla_len);
    head->nlmsg_len += NLA_ALIGN(attr.nla_len);
}

/* All that a set has is meant; set NULL: the bounds of a batch. */
static void put(struct question *q, uint16_t type, uint16_t flags,
                uint32_t number, const char *set)
{
    struct nlmsghdr *head = (void *)(q->at + q->len);
    struct nfgenmsg about = {.nfgen_family = NFPROTO_BRIDGE};

    if (!set) {
        about.nfgen_family = AF_UNSPEC;
        about.res_id = htons(NFNL_SUBSYS_NFTABLES);
    } else {
        type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    }
    *head = (struct nlmsghdr){.nlmsg_type = type,
                              .nlmsg_flags = NLM_F_REQUEST | flags,
                              .nlmsg_seq = number,
                              .nlmsg_len = NLMSG_LENGTH(sizeof about)};
    memcpy(NLMSG_DATA(head), &about, sizeof about);
    q->len += NLMSG_ALIGN(head->nlmsg_len);
    if (!set) return;
    put_attr(q, head, NFTA_SET_ELEM_LIST_TABLE, TABLE);
    put_attr(q, head, NFTA_SET_ELEM_LIST_SET, set);
}

static int error_of(const struct nlmsghdr *head)
{
    struct nlmsgerr error = {.error = -1};

    if (head->nlmsg_len >= NLMSG_LENGTH(sizeof error))
        memcpy(&error, NLMSG_DATA(head), sizeof error);
    return !error.error ? 0 : error.error == -ENOENT ? XN_ENOENT : XN_EIO;
}

/* Up to the end of what question `number` is answered with. */
static int receive(int fd, uint32_t number, const struct kind *kind,
                   uint64_t wall_us, struct parts *parts)
{
    union {
        struct nlmsghdr head;
        char room[ANSWER_MAX];
    } answer;
    const struct nlmsghdr *head;
    int n;

    for (;;) {
        n = (int)recv(fd, &answer, sizeof answer, 0);
        if (n <= 0) return XN_EIO;
        head = &answer.head;
        for (; n > 0 && NLMSG_OK(head, (unsigned)n);
             head = NLMSG_NEXT(head, n)) {
            if (head->nlmsg_type == NLMSG_ERROR && error_of(head))
                return error_of(head);
            if (head->nlmsg_seq != number) continue;
            if (head->nlmsg_type == NLMSG_ERROR ||
                head->nlmsg_type == NLMSG_DONE)
                return 0;
            if (kind) take_elements(kind, head, wall_us, parts);
        }
    }
}

static int dump(int fd, const char *name, uint64_t wall_us, struct parts *parts)
{
    char set[SET_NAME_MAX];
    int rc = 0;

    for (uint32_t i = 0; i < KINDS && !rc; i++) {
        struct question q = {.len = 0};

        set_name(name, &kinds[i], set);
        put(&q, NFT_MSG_GETSETELEM, NLM_F_DUMP, i + 1, set);
        if (send(fd, q.at, q.len, 0) != (ssize_t)q.len) return XN_EIO;
        rc = receive(fd, i + 1, &kinds[i], wall_us, parts);
    }
    return rc;
}

/* All sets in one step, or none. */
static int empty(int fd, const char *name)
{
    struct question q = {.len = 0};
    char set[SET_NAME_MAX];

    put(&q, NFNL_MSG_BATCH_BEGIN, 0, 100, NULL);
    for (uint32_t i = 0; i < KINDS; i++) {
        set_name(name, &kinds[i], set);
        put(&q, NFT_MSG_DELSETELEM, i + 1 == KINDS ? NLM_F_ACK : 0, 101 + i,
            set);
    }
    put(&q, NFNL_MSG_BATCH_END, 0, 200, NULL);
    if (send(fd, q.at, q.len, 0) != (ssize_t)q.len) return XN_EIO;
    return receive(fd, 100 + KINDS, NULL, 0, NULL);
}

/* ---- both directions together -------------------------------------------- */

static int by_ends(const void *a, const void *b)
{
    const struct flow *x = a, *y = b;
    int order = strcmp(x->peer, y->peer);

    if (!order) order = x->protocol - y->protocol;
    if (!order) order = x->peer_port - y->peer_port;
    return order ? order : x->own_port - y->own_port;
}

/* The largest are known once each is whole. */
static void sum_up(struct parts *parts, struct flows *out)
{
    size_t i = 0, n;
    struct flow flow;

    qsort(parts->list, parts->n, sizeof *parts->list, by_ends);
    while (i < parts->n) {
        flow = parts->list[i];
        for (n = 1; i + n < parts->n; n++) {
            const struct flow *more = &parts->list[i + n];

            if (by_ends(&flow, more)) break;
            flow.sent += more->sent;
            flow.got += more->got;
            if (more->last_us > flow.last_us) flow.last_us = more->last_us;
        }
        flows_add(out, &flow);
        i += n;
    }
    out->others_sent += parts->sent;
    out->others_got += parts->got;
    if (parts->sent || parts->got)
        snprintf(out->unknown, sizeof out->unknown,
                 "more peers than are told apart");
}

static int open_kernel(void)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

bool keeper_flows_has(const char *name)
{
    struct parts parts = {.n = PARTS_MAX}; /* none is kept */
    int fd = open_kernel();
    bool has = fd >= 0 && dump(fd, name, 0, &parts) == 0;

    if (fd >= 0) close(fd);
    return has;
}

int keeper_flows_take(const char *name, uint64_t wall_us, struct flows *out)
{
    struct parts parts = {.list = malloc(PARTS_MAX * sizeof *parts.list)};
    int fd = parts.list ? open_kernel() : -1;
    int rc = !parts.list ? XN_ENOMEM : fd < 0 ? XN_EIO : 0;

    memset(out, 0, sizeof *out);
    if (!rc) rc = dump(fd, name, wall_us, &parts);
    if (!rc) rc = empty(fd, name);
    if (!rc) sum_up(&parts, out);
    if (fd >= 0) close(fd);
    free(parts.list);
    return rc;
}
