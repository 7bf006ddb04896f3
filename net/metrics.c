/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/metrics.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/prom.h"

static void put_links(const struct net_links *links, struct xn_buf *buf)
{
    static const char states[] = "xeno_link_connections";
    struct net_links_load load;

    net_links_load(links, &load);
    xn_prom_family(buf, XN_PROM_GAUGE, states,
                   "TLS connections between nodes, by state.");
    xn_prom_sample(buf, states, "state", "handshake", load.shaking);
    xn_prom_sample(buf, states, "state", "open", load.open);
    xn_prom_sample(buf, states, "state", "closing", load.draining);
    xn_prom_one(buf, XN_PROM_GAUGE, "xeno_link_queued_bytes",
                "Frames that wait for slow readers.", load.queued);
    xn_prom_one(buf, XN_PROM_COUNTER, "xeno_link_received_bytes_total",
                "Frames that came over links, without TLS's own bytes.",
                load.received);
    xn_prom_one(buf, XN_PROM_COUNTER, "xeno_link_sent_bytes_total",
                "Frames that went out over links, without TLS's own bytes.",
                load.sent);
}

static void put_http(const struct net_http *http, struct xn_buf *buf)
{
    struct net_http_load load;

    net_http_load(http, &load);
    xn_prom_one(buf, XN_PROM_GAUGE, "xeno_api_connections",
                "HTTPS connections.", load.connections);
    xn_prom_one(buf, XN_PROM_COUNTER, "xeno_api_connections_total",
                "HTTPS connections since the start.", load.opened);
    xn_prom_one(buf, XN_PROM_GAUGE, "xeno_api_requests_waiting",
                "HTTPS requests without an answer yet, this one among them.",
                load.unanswered);
}

/* 0: not to be known. */
static uint64_t resident_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long all, resident;
    bool read = file && fscanf(file, "%llu %llu", &all, &resident) == 2;

    if (file) fclose(file);
    return read ? resident : 0;
}

static uint64_t us_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

/* Under the names that Prometheus' own libraries give them. */
static void put_process(struct xn_buf *buf)
{
    static const char cpu[] = "process_cpu_seconds_total";
    uint64_t pages = resident_pages();
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        xn_prom_family(buf, XN_PROM_COUNTER, cpu,
                       "User and system CPU time in seconds.");
        xn_prom_millionths(buf, cpu, NULL, NULL,
                           us_of(&usage.ru_utime) + us_of(&usage.ru_stime));
    }
    if (pages) {
        xn_prom_one(buf, XN_PROM_GAUGE, "process_resident_memory_bytes",
                    "Resident memory size in bytes.",
                    pages * (uint64_t)sysconf(_SC_PAGESIZE));
    }
}

int net_metrics_peers(const struct net_links *links,
                      const ProtobufCBinaryData *peers, uint8_t **bytes_out,
                      size_t *len_out)
{
    Xn__NodePeers *body = xn__node_peers__unpack(NULL, peers->len, peers->data);
    size_t i;
    xn_id id;
    int rc;

    if (!body) return XN_EPROTO;
    for (i = 0; i < body->n_peers; i++) {
        Xn__NodePeer *peer = body->peers[i];

        if (!xn_id_from_bytes(&peer->node->id, &id))
            net_links_traffic(links, &id, &peer->received, &peer->sent);
    }
    rc = xn_pack(body, bytes_out, len_out);
    xn__node_peers__free_unpacked(body, NULL);
    return rc;
}

void net_metrics(const struct net_links *links, const struct net_http *http,
                 struct xn_buf *buf)
{
    if (links) put_links(links, buf);
    put_http(http, buf);
    put_process(buf);
}
