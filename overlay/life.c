/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long nodes live, and how many links that is worth.
 *
 * A link costs its handshake and lasts until either end goes, so where nodes
 * live for a minute a large table is dialled anew all the time, for requests
 * that never come.  What n links cost a second is n over the life of a node;
 * what they save goes with 1 / n, for so much shorter is what is left of the
 * way after a hop.  Both are least together where n goes with the square root
 * of the life.  How much of it: where requests are one a second, fifty links
 * are worth it at a quarter of an hour.
 * How long nodes live shows in our links: the time that all have stood, for
 * each that ended with its node.  A newcomer has seen none: it goes by the
 * middle one of what its first peers say.
 *
 * Where it is we who fail, stopped, suspended or without network, all links end
 * and no node does.  What ends after a gap in our own time counts for nothing,
 * nor what ends in a burst: nodes do not die by the quarter in seconds, and
 * where they do, that tells nothing of how long the others live.  Nor does a
 * node end that is linked again at once: it was restarted, or both had dialled
 * and one of the two links went.  Nor one whose link ends as soon as it began: it
 * had no room, and its word of that was overtaken. */
#include <stdlib.h>
#include <string.h>

#include "overlay/inside.h"

#define SQUARE_PER_S 3U   /* of the number of links, by how long nodes live */
#define ENDS_MIN 4U       /* seen, before we trust them */
#define ENDS_MAX 64U      /* then the older half of it counts no more */
#define TOLD_WORTH 8U     /* ends, as which what others said counts */
#define LINKS_PER_LEAF 5U /* at least so many links, for each leaf on a side */
#define SILENT_PART 100U  /* of a life, a node may be silent for */
#define WATCH_MAX_US (15 * SECOND_US)
#define BURST_US (10 * SECOND_US)
#define BACK_S 30U               /* who is linked again by then did not end */
#define BURST_PART 4U            /* more than one in so many is a burst */
#define STILL_US (5 * SECOND_US) /* late by more, we stood still */
#define OURS_US (60 * SECOND_US) /* until all peers' ends have shown */

struct ended {
    uint32_t tag;  /* the first bytes of its id */
    uint32_t at_s; /* 0: nobody */
    bool counted, back;
};

/* Where nothing ends and nobody is new there is none. */
struct lives {
    struct burst {
        uint64_t from_us, stood_us; /* that began then, from these counts on */
        uint32_t ends, n, of;       /* n of so many links have ended */
        bool is_one, again;         /* a burst; so was the one before */
    } burst;
    uint32_t n_ended;
    struct ended ended[LIFE_ENDED];
    struct {
        uint32_t tag, s; /* of the id; seconds */
    } told[LIFE_TOLD];   /* by seconds, ascending */
};

/* NULL: no memory, so what comes tells nothing. */
static struct lives *need_lives(struct life *life)
{
    if (!life->lives) life->lives = calloc(1, sizeof *life->lives);
    return life->lives;
}

void life_clear(struct ov *ov)
{
    free(ov->life.lives);
}

static uint32_t tag_of(const xn_id *id)
{
    uint32_t tag;

    memcpy(&tag, id->b, sizeof tag);
    return tag;
}

static uint32_t seconds(const struct xn_now *now)
{
    return (uint32_t)(now->mono_us / SECOND_US);
}

/* Until now. */
void life_count(struct ov *ov, const struct xn_now *now)
{
    struct life *life = &ov->life;

    /* That the watch should have woken us long ago shows whatever comes first. */
    if (ov->watch_us && now->mono_us > ov->watch_us + STILL_US)
        life->ours_us = now->mono_us + OURS_US;
    else
        life->stood_us += ov->ring.n * (now->mono_us - life->counted_us);
    life->counted_us = now->mono_us;
}

static bool is_of_burst(const struct burst *burst, const struct ended *ended)
{
    return ended->at_s >= burst->from_us / SECOND_US;
}

/* Of the ends since then, and what was seen before it, none counts. */
static void forget_burst(struct life *life)
{
    const struct burst *burst = &life->lives->burst;
    size_t i;

    for (i = 0; i < LIFE_ENDED; i++) {
        struct ended *ended = &life->lives->ended[i];

        if (is_of_burst(burst, ended)) ended->counted = false;
    }
    life->stood_us = burst->stood_us;
    life->ends = burst->ends;
}

/* Is this one of a burst?  Then those of it that were counted are not.  Burst
 * upon burst is how nodes live here. */
static bool is_burst(struct ov *ov, const struct xn_now *now)
{
    struct life *life = &ov->life;
    struct burst *burst = &life->lives->burst;

    if (burst->n == 0 || now->mono_us - burst->from_us > BURST_US) {
        burst->again =
            burst->is_one && now->mono_us - burst->from_us <= 2 * BURST_US;
        burst->is_one = false;
        burst->from_us = now->mono_us;
        burst->stood_us = life->stood_us;
        burst->ends = life->ends;
        burst->of = (uint32_t)ov->ring.n;
        burst->n = 0;
    }
    burst->n++;
    if (burst->n < ENDS_MIN || burst->n <= burst->of / BURST_PART) {
        return false;
    }
    burst->is_one = true;
    if (burst->again) return false;
    forget_burst(life);
    return true;
}

/* NULL: it is not among the last. */
static struct ended *find_ended(const struct life *life, uint32_t tag)
{
    size_t i;

    for (i = 0; life->lives && i < LIFE_ENDED; i++) {
        struct ended *ended = &life->lives->ended[i];

        if (ended->tag == tag && ended->at_s > 0) return ended;
    }
    return NULL;
}

/* One node ends once, however often it comes back, until as many others have
 * ended as we remember: else some peers, by linking and going again and again,
 * would set what we take for a life. */
void life_ended(struct ov *ov, const struct xn_now *now, const xn_id *id)
{
    struct life *life = &ov->life;
    struct ended *ended = find_ended(life, tag_of(id));

    life_count(ov, now);
    if (!need_lives(life) || (ended && !ended->back)) return;
    if (!ended)
        ended = &life->lives->ended[life->lives->n_ended++ % LIFE_ENDED];
    *ended = (struct ended){.tag = tag_of(id), .at_s = seconds(now)};
    if (now->mono_us < life->ours_us || is_burst(ov, now)) return;
    ended->counted = true;
    if (++life->ends < ENDS_MAX) return;
    life->ends /= 2;
    life->stood_us /= 2;
}

void life_back(struct ov *ov, const struct xn_now *now, const xn_id *id)
{
    struct life *life = &ov->life;
    struct ended *ended = find_ended(life, tag_of(id));
    struct burst *burst;

    if (!ended || ended->back || seconds(now) - ended->at_s > BACK_S) return;
    burst = &life->lives->burst;
    ended->back = true;
    if (ended->counted && life->ends > 0) life->ends--;
    if (is_of_burst(burst, ended))
        burst->n -= burst->n > 0;
    else if (ended->counted)
        burst->ends -= burst->ends > 0;
    ended->counted = false;
}

/* Everybody has one word. */
void life_told(struct ov *ov, const xn_id *id, uint32_t life_s)
{
    struct life *life = &ov->life;
    struct lives *lives;
    uint32_t tag = tag_of(id);
    size_t i;

    if (life_s == 0 || life->n_told == LIFE_TOLD) return;
    lives = need_lives(life);
    if (!lives) return;
    for (i = 0; i < life->n_told; i++) {
        if (lives->told[i].tag == tag) return;
    }
    for (; i > 0 && lives->told[i - 1].s > life_s; i--)
        lives->told[i] = lives->told[i - 1];
    lives->told[i].tag = tag;
    lives->told[i].s = life_s;
    life->n_told++;
}

/* Ours, in seconds; 0: too few have ended. */
uint32_t life_seen_s(const struct ov *ov)
{
    const struct life *life = &ov->life;
    uint64_t s;

    if (life->ends < ENDS_MIN) return 0;
    s = life->stood_us / life->ends / SECOND_US;
    return s < 1 ? 1 : s < UINT32_MAX ? (uint32_t)s : UINT32_MAX;
}

/* So that no more than one in a hundred is silent and not known to be, by what
 * we have seen ourselves.  In a minute all must be mended, so there is a most. */
uint64_t life_watch_us(const struct ov *ov)
{
    uint64_t us = ov->life.stood_us / (ov->life.ends + 1) / SILENT_PART;

    if (us < WATCH_US) return WATCH_US;
    return us < WATCH_MAX_US ? us : WATCH_MAX_US;
}

/* With what others said; 0: nobody knows. */
static uint64_t life_s(const struct ov *ov)
{
    const struct life *life = &ov->life;
    uint64_t told_s;

    if (life->n_told == 0) return life_seen_s(ov);
    told_s = life->lives->told[life->n_told / 2].s;
    return (life->stood_us / SECOND_US + TOLD_WORTH * told_s) /
           (life->ends + TOLD_WORTH);
}

size_t links_wanted(const struct ov *ov)
{
    uint64_t most = ov->config.links_max, want;
    uint64_t least = LINKS_PER_LEAF * (uint64_t)ov->config.leaves;
    uint64_t s = life_s(ov);

    if (ov_is_guest(ov)) return guest_wants(ov);
    if (s == 0 || s > UINT32_MAX) return most;
    if (most * most <= SQUARE_PER_S * s) return most;
    for (want = least; want < most && want * want < SQUARE_PER_S * s; want++)
        continue;
    return want < most ? want : most;
}
