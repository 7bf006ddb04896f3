/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/traffic.h"

#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/err.h"

#define ANSWER_MAX 8192
#define PATIENCE_S 5 /* the kernel answers within the call that asks it */

struct question {
    struct nlmsghdr head;
    struct tcmsg about;
};

int traffic_open(void)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0) return XN_EIO;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* The attribute of that kind; NULL: there is none. */
static const struct rtattr *find(const void *first, size_t len, unsigned kind)
{
    const struct rtattr *at = first;

    for (; RTA_OK(at, len); at = RTA_NEXT(at, len)) {
        if ((at->rta_type & NLA_TYPE_MASK) == kind) return at;
    }
    return NULL;
}

static int bytes_of(const struct nlmsghdr *head, uint64_t *bytes_out)
{
    const struct tcmsg *about = NLMSG_DATA(head);
    const struct rtattr *stats;
    struct gnet_stats_basic basic = {0};
    size_t len;

    if (head->nlmsg_len < NLMSG_LENGTH(sizeof *about)) return XN_EIO;
    len = head->nlmsg_len - NLMSG_LENGTH(sizeof *about);
    stats = find(TCA_RTA(about), len, TCA_STATS2);
    if (stats)
        stats = find(RTA_DATA(stats), RTA_PAYLOAD(stats), TCA_STATS_BASIC);
    if (!stats || RTA_PAYLOAD(stats) < sizeof basic.bytes) return XN_ENOENT;
    memcpy(&basic.bytes, RTA_DATA(stats), sizeof basic.bytes);
    *bytes_out = basic.bytes;
    return 0;
}

/* Up to the acknowledgement: where nothing counts there is nothing before it. */
static int receive(int fd, uint32_t number, uint64_t *bytes_out)
{
    union {
        struct nlmsghdr head;
        char room[ANSWER_MAX];
    } answer;
    const struct nlmsghdr *head;
    int n, rc = XN_ENOENT;

    for (;;) {
        n = (int)recv(fd, &answer, sizeof answer, 0);
        if (n <= 0) return XN_EIO;
        head = &answer.head;
        for (; n > 0 && NLMSG_OK(head, (unsigned)n);
             head = NLMSG_NEXT(head, n)) {
            if (head->nlmsg_seq != number) continue;
            if (head->nlmsg_type == NLMSG_ERROR) return rc;
            if (head->nlmsg_type == RTM_NEWQDISC)
                rc = bytes_of(head, bytes_out);
        }
    }
}

/* Asked for by its place, one of all; the kernel shows it where it is told to
 * echo. */
static int ask(int fd, unsigned interface, uint32_t place, uint64_t *bytes_out)
{
    const struct question question = {
        {.nlmsg_len = sizeof question,
         .nlmsg_type = RTM_GETQDISC,
         .nlmsg_flags = NLM_F_REQUEST | NLM_F_ECHO | NLM_F_ACK,
         .nlmsg_seq = place},
        {.tcm_ifindex = (int)interface, .tcm_parent = place}};

    if (send(fd, &question, sizeof question, 0) != sizeof question)
        return XN_EIO;
    return receive(fd, place, bytes_out);
}

int traffic_read(int fd, const char *interface, uint64_t *sent_out,
                 uint64_t *got_out)
{
    unsigned number = if_nametoindex(interface);
    int rc;

    if (!number) return XN_ENOENT;
    rc = ask(fd, number, TC_H_CLSACT, sent_out);
    return rc ? rc : ask(fd, number, TC_H_ROOT, got_out);
}
