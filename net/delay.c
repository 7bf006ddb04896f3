/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/delay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/err.h"
#include "lib/file.h"
#include "lib/gripe.h"
#include "lib/rng.h"
#include "lib/text.h"
#include "net/clock.h"

enum { FILE_MAX = 4 << 20 };

struct row {
    xn_id peer;
    uint32_t us, jitter_us;
};

struct net_delays {
    struct row *rows; /* by id */
    size_t n;
};

struct held {
    struct xn_msg *msg;
    uint64_t due_us; /* mono */
    struct held *next;
};

struct net_delay {
    struct row row;
    struct xn_rng rng;
    struct event *timer;
    struct held *first, **last;
    size_t bytes;
    uint64_t due_us; /* of the last one: nobody overtakes */
    net_delay_hand *hand;
    void *arg;
};

/* ---- the file ---------------------------------------------------------- */

static bool parse_us(const char *text, uint32_t *us_out)
{
    uint64_t us;

    if (xn_number_parse(text, NET_DELAY_US_MAX, &us)) return false;
    *us_out = (uint32_t)us;
    return true;
}

/* One line, cut in place; true: row_out holds a row. */
static bool parse_line(char *line, struct row *row_out, bool *bad_out)
{
    char *save = NULL, *word = strtok_r(line, " \t\r", &save);

    *bad_out = false;
    if (!word || *word == '#') return false;
    *row_out = (struct row){.us = 0};
    *bad_out = xn_id_unhex(word, strlen(word), &row_out->peer) != 0;
    word = strtok_r(NULL, " \t\r", &save);
    if (!word || !parse_us(word, &row_out->us)) *bad_out = true;
    word = strtok_r(NULL, " \t\r", &save);
    if (word && !parse_us(word, &row_out->jitter_us)) *bad_out = true;
    if (strtok_r(NULL, " \t\r", &save)) *bad_out = true;
    return true;
}

static int by_peer(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return xn_id_cmp(&x->peer, &y->peer);
}

static int read_lines(struct net_delays *delays, char *text, size_t *line_out)
{
    bool bad = false;

    for (*line_out = 0; text && !bad; ++*line_out) {
        char *line = strsep(&text, "\n");

        if (parse_line(line, &delays->rows[delays->n], &bad)) delays->n++;
    }
    return bad ? XN_EINVAL : 0;
}

static bool names_one_twice(const struct net_delays *delays)
{
    size_t i;

    for (i = 1; i < delays->n; i++) {
        if (by_peer(&delays->rows[i - 1], &delays->rows[i]) == 0) return true;
    }
    return false;
}

int net_delays_parse(char *text, struct net_delays **delays_out,
                     size_t *line_out)
{
    struct net_delays *delays = calloc(1, sizeof *delays);
    size_t lines = 1;
    const char *p;
    int rc = XN_ENOMEM;

    *line_out = 0;
    if (!delays) goto out;
    for (p = text; *p; p++)
        lines += *p == '\n';
    delays->rows = calloc(lines, sizeof *delays->rows);
    if (!delays->rows) goto out;
    rc = read_lines(delays, text, line_out);
    if (rc) goto out;
    qsort(delays->rows, delays->n, sizeof *delays->rows, by_peer);
    rc = names_one_twice(delays) ? XN_ECONFLICT : 0;
    if (rc) goto out;
    *delays_out = delays;
    delays = NULL;
out:
    net_delays_free(delays);
    return rc;
}

static void gripe(const char *program, const char *path, size_t line, int rc)
{
    if (rc == XN_EINVAL) {
        xn_gripe_rcf(program, rc, NULL, "cannot delay frames",
                     "lines of: ID MICROSECONDS [JITTER]",
                     "%s:%zu: not an id and times", path, line);
    } else {
        xn_gripe_rcf(program, rc, NULL, "cannot delay frames", "each peer once",
                     "%s: %s", path,
                     rc == XN_ECONFLICT ? "names a peer twice"
                                        : xn_strerror(rc));
    }
}

int net_delays_load(const char *program, const char *path,
                    struct net_delays **delays_out)
{
    struct xn_buf buf;
    char *text;
    size_t line;
    int rc;

    xn_buf_init(&buf, FILE_MAX);
    rc = xn_file_read(path, &buf);
    if (rc) {
        xn_buf_clear(&buf);
        xn_gripe_rcf(program, rc == XN_ENOENT ? XN_EINVAL : rc, NULL,
                     "cannot delay frames", "--delay FILE", "%s: %s", path,
                     xn_file_why(rc));
        return rc == XN_ENOENT ? XN_EINVAL : rc;
    }
    text = xn_buf_steal_str(&buf);
    if (!text) return XN_ENOMEM;
    rc = net_delays_parse(text, delays_out, &line);
    if (rc) gripe(program, path, line, rc);
    free(text);
    return rc == XN_ECONFLICT ? XN_EINVAL : rc;
}

void net_delays_free(struct net_delays *delays)
{
    if (!delays) return;
    free(delays->rows);
    free(delays);
}

/* ---- one link ---------------------------------------------------------- */

static void hand_first(struct net_delay *delay)
{
    struct held *held = delay->first;

    delay->first = held->next;
    if (!delay->first) delay->last = &delay->first;
    delay->bytes -= held->msg->size + NET_DELAY_FRAME_COST;
    delay->hand(delay->arg, held->msg);
    free(held);
}

static void arm(struct net_delay *delay, uint64_t now_us)
{
    uint64_t due_us = delay->first->due_us;
    uint64_t wait_us = due_us > now_us ? due_us - now_us : 0;
    struct timeval tv = {(time_t)(wait_us / 1000000),
                         (suseconds_t)(wait_us % 1000000)};

    event_add(delay->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct net_delay *delay = arg;
    uint64_t now_us = net_mono_us();

    while (delay->first && delay->first->due_us <= now_us)
        hand_first(delay);
    if (delay->first) arm(delay, now_us);
}

int net_delay_new(const struct net_delays *delays, struct event_base *base,
                  const xn_id *peer, net_delay_hand *hand, void *arg,
                  struct net_delay **delay_out)
{
    const struct row key = {.peer = *peer};
    const struct row *row =
        delays->n ? bsearch(&key, delays->rows, delays->n, sizeof key, by_peer)
                  : NULL;
    struct net_delay *delay;
    uint64_t seed;

    *delay_out = NULL;
    if (!row || (row->us == 0 && row->jitter_us == 0)) return 0;
    delay = calloc(1, sizeof *delay);
    if (!delay) return XN_ENOMEM;
    delay->timer = evtimer_new(base, on_timer, delay);
    if (!delay->timer) {
        free(delay);
        return XN_ENOMEM;
    }
    delay->row = *row;
    memcpy(&seed, peer, sizeof seed);
    xn_rng_seed(&delay->rng, seed);
    delay->last = &delay->first;
    delay->hand = hand;
    delay->arg = arg;
    *delay_out = delay;
    return 0;
}

void net_delay_put(struct net_delay *delay, struct xn_msg *msg)
{
    uint64_t now_us = net_mono_us();
    uint64_t due_us = now_us + delay->row.us +
                      xn_rng_below(&delay->rng, delay->row.jitter_us + 1ULL);
    struct held *held = malloc(sizeof *held);
    bool idle = !delay->first;

    if (!held) { /* a frame may be lost, as on any network */
        xn_msg_free(msg);
        return;
    }
    if (due_us < delay->due_us) due_us = delay->due_us;
    delay->due_us = due_us;
    *held = (struct held){msg, due_us, NULL};
    *delay->last = held;
    delay->last = &held->next;
    delay->bytes += msg->size + NET_DELAY_FRAME_COST;
    while (delay->bytes > NET_DELAY_HELD_MAX)
        hand_first(delay);
    if (idle && delay->first) arm(delay, now_us);
}

void net_delay_end(struct net_delay *delay)
{
    if (!delay) return;
    while (delay->first)
        hand_first(delay);
    event_free(delay->timer);
    free(delay);
}
