/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "net/clock.h"
#include "net/transfer.h"

enum { ANSWER_MAX = 32 << 20, WAIT_MS = 60000 };

struct request {
    struct net_transfer transfer;
    struct net_said *said;
    char url[512];
    struct request *prev, *next;
};

struct net_talk {
    CURLM *multi;
    struct request *all;
};

int net_talk_new(struct net_talk **talk_out)
{
    struct net_talk *talk = calloc(1, sizeof *talk);
    int rc = talk ? net_transfer_library() : XN_ENOMEM;

    if (!rc) {
        talk->multi = curl_multi_init();
        if (!talk->multi) rc = XN_ENOMEM;
    }
    if (rc) {
        free(talk);
    } else {
        *talk_out = talk;
    }
    return rc;
}

static void drop(struct net_talk *talk, struct request *request)
{
    curl_multi_remove_handle(talk->multi, request->transfer.easy);
    net_transfer_clear(&request->transfer);
    DL_DELETE(talk->all, request);
    free(request);
}

void net_talk_free(struct net_talk *talk)
{
    if (!talk) return;
    while (talk->all)
        drop(talk, talk->all);
    curl_multi_cleanup(talk->multi);
    free(talk);
}

int net_talk_begin(struct net_talk *talk, const struct net_ask *ask,
                   struct net_said *said)
{
    struct request *request = calloc(1, sizeof *request);
    struct net_transfer_order order = {
        .identity = ask->identity,
        .method = ask->method,
        .url = ask->url,
        .body = ask->body,
        .len = ask->len,
        .peer = ask->peer,
        .meet_ms = ask->meet_ms,
        .timeout_ms = ask->timeout_ms,
        .answer_max = ANSWER_MAX,
    };
    int rc = XN_ENOMEM;

    memset(said, 0, sizeof *said);
    if (request) rc = net_transfer_init(&request->transfer, &order);
    if (!rc) {
        snprintf(request->url, sizeof request->url, "%s", ask->url);
        request->said = said;
        curl_easy_setopt(request->transfer.easy, CURLOPT_PRIVATE, request);
        DL_APPEND(talk->all, request);
        if (curl_multi_add_handle(talk->multi, request->transfer.easy)) {
            drop(talk, request);
            request = NULL;
            rc = XN_ENOMEM;
        }
    }
    if (!rc) return 0;
    free(request);
    said->done = true;
    said->rc = rc;
    snprintf(said->why, sizeof said->why, "%s", xn_strerror(rc));
    return rc;
}

/* True: some have ended. */
static bool collect(struct net_talk *talk)
{
    bool any = false;
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(talk->multi, &left))) {
        struct request *request;
        char *mine = NULL;

        if (msg->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &mine);
        request = (struct request *)(void *)mine;
        request->said->rc =
            net_reply_take(&request->transfer, (int)msg->data.result,
                           request->url, &request->said->reply,
                           request->said->why, sizeof request->said->why);
        request->said->done = true;
        drop(talk, request);
        any = true;
    }
    return any;
}

static bool is_readable(struct curl_waitfd *fds, struct pollfd *others,
                        unsigned n)
{
    bool any = false;

    for (unsigned i = 0; i < n; i++) {
        others[i].revents = fds[i].revents ? POLLIN : 0;
        any = any || fds[i].revents;
    }
    return any;
}

/* How long to wait now, of what is left; -1: nothing is. */
static int wait_ms(uint64_t until_us)
{
    uint64_t now_us = net_mono_us(), left_ms;

    if (now_us >= until_us) return -1;
    left_ms = (until_us - now_us + 999) / 1000;
    return left_ms < WAIT_MS ? (int)left_ms : WAIT_MS;
}

void net_talk_wait(struct net_talk *talk, struct pollfd *others, unsigned n,
                   int timeout_ms)
{
    uint64_t until_us = UINT64_MAX;
    struct curl_waitfd fds[NET_TALK_OTHERS_MAX];
    int running, ms;

    if (n > NET_TALK_OTHERS_MAX) n = NET_TALK_OTHERS_MAX;
    if (timeout_ms >= 0) until_us = net_mono_us() + (uint64_t)timeout_ms * 1000;
    for (;;) {
        (void)curl_multi_perform(talk->multi, &running);
        if (collect(talk) || (!running && !n && timeout_ms < 0)) return;
        ms = wait_ms(until_us);
        if (ms < 0) return;
        for (unsigned i = 0; i < n; i++)
            fds[i] = (struct curl_waitfd){.fd = others[i].fd,
                                          .events = CURL_WAIT_POLLIN};
        if (curl_multi_poll(talk->multi, n ? fds : NULL, n, ms, NULL)) return;
        if (is_readable(fds, others, n)) return;
    }
}

void net_talk_give_up(struct net_talk *talk, struct net_said *said)
{
    struct request *request, *next;

    DL_FOREACH_SAFE(talk->all, request, next)
    {
        if (request->said == said) drop(talk, request);
    }
}

void net_said_clear(struct net_said *said)
{
    net_reply_clear(&said->reply);
    memset(said, 0, sizeof *said);
}

void net_talk_ask(struct net_talk *talk, const struct net_ask *ask,
                  struct net_said *said)
{
    if (net_talk_begin(talk, ask, said)) return;
    while (!said->done)
        net_talk_wait(talk, NULL, 0, -1);
}
