/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/client.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "net/transfer.h"

enum { ANSWER_MAX = 32 << 20 };

int net_reply_take(struct net_transfer *transfer, int code, const char *url,
                   struct net_reply *reply_out, char *why_out, size_t why_len)
{
    curl_off_t begun_us = 0, retry_s = 0;
    int rc = net_transfer_end(transfer, (CURLcode)code);

    memset(reply_out, 0, sizeof *reply_out);
    /* Set once the connection is there and proved. */
    curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &begun_us);
    reply_out->sent = begun_us > 0;
    if (rc) {
        snprintf(why_out, why_len, "%s: %s", url, transfer->error);
        return rc;
    }
    reply_out->status = transfer->status;
    reply_out->server = transfer->server;
    reply_out->date = transfer->date;
    curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_s);
    if (retry_s > 0)
        reply_out->retry_s = retry_s < UINT_MAX ? (unsigned)retry_s : UINT_MAX;
    reply_out->body = transfer->answer;
    memset(&transfer->answer, 0, sizeof transfer->answer);
    return 0;
}

static int request(const struct net_transfer_order *order,
                   struct net_reply *reply_out, char *why_out, size_t why_len)
{
    struct net_transfer transfer;
    int rc;

    memset(reply_out, 0, sizeof *reply_out);
    rc = net_transfer_init(&transfer, order);
    if (rc) {
        snprintf(why_out, why_len, "%s", xn_strerror(rc));
        return rc;
    }
    rc = net_reply_take(&transfer, (int)curl_easy_perform(transfer.easy),
                        order->url, reply_out, why_out, why_len);
    net_transfer_clear(&transfer);
    return rc;
}

static struct net_transfer_order order_of(const struct net_identity *identity,
                                          const char *method, const char *url,
                                          const void *body, size_t len,
                                          const xn_id *peer,
                                          unsigned timeout_ms)
{
    return (struct net_transfer_order){
        .identity = identity,
        .method = method,
        .url = url,
        .body = body,
        .len = len,
        .peer = peer,
        .timeout_ms = timeout_ms,
        .answer_max = ANSWER_MAX,
    };
}

int net_request(const struct net_identity *identity, const char *method,
                const char *url, const void *body, size_t len,
                const xn_id *peer, unsigned timeout_ms,
                struct net_reply *reply_out, char *why_out, size_t why_len)
{
    return net_request_met(identity, method, url, body, len, peer, 0,
                           timeout_ms, reply_out, why_out, why_len);
}

int net_request_met(const struct net_identity *identity, const char *method,
                    const char *url, const void *body, size_t len,
                    const xn_id *peer, unsigned meet_ms, unsigned timeout_ms,
                    struct net_reply *reply_out, char *why_out, size_t why_len)
{
    struct net_transfer_order order =
        order_of(identity, method, url, body, len, peer, timeout_ms);

    order.meet_ms = meet_ms;
    return request(&order, reply_out, why_out, why_len);
}

int net_request_pinned(const struct net_identity *identity, const char *method,
                       const char *url, const void *body, size_t len,
                       const xn_id *peer, unsigned timeout_ms,
                       struct net_reply *reply_out, char *why_out,
                       size_t why_len)
{
    struct net_transfer_order order =
        order_of(identity, method, url, body, len, peer, timeout_ms);

    order.pin_suffices = true;
    return request(&order, reply_out, why_out, why_len);
}

void net_reply_clear(struct net_reply *reply)
{
    xn_buf_clear(&reply->body);
}
