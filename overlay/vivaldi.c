/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "overlay/vivaldi.h"

#include <math.h>
#include <stddef.h>

#define PART                                                                   \
    0.25               /* of what is missing, that one sample may move us; and
                          of the error, that it may change; */
#define PART_MIN 0.03  /* so little where we are sure */
#define STEP_MAX 100.0 /* ms, by one sample */
#define HEIGHT_MIN 0.1 /* ms: no two nodes are at one place */
#define ERROR_MIN 0.05 /* as sure as anybody is believed to be */
#define ERROR_SURE 0.5 /* we start at 1 */
#define UNIT 10.0      /* a tenth of a ms is said */
#define SAID_MAX 30000 /* 3 s */

void vivaldi_start(struct vivaldi *self)
{
    *self = (struct vivaldi){.h = (float)HEIGHT_MIN, .error = 1};
}

static double apart(const struct vivaldi *a, const struct vivaldi *b)
{
    double dx = (double)a->x - (double)b->x, dy = (double)a->y - (double)b->y;

    return sqrt(dx * dx + dy * dy);
}

static double clamp(double v, double least, double most)
{
    return v < least ? least : v > most ? most : v;
}

bool vivaldi_is_sure(const struct vivaldi *at)
{
    return at->error > 0 && (double)at->error <= ERROR_SURE;
}

bool vivaldi_sample(struct vivaldi *self, const struct vivaldi *peer,
                    uint32_t rtt_us, struct xn_rng *rng)
{
    double any_x = xn_rng_unit(rng) - 0.5, any_y = xn_rng_unit(rng) - 0.5;
    double rtt = rtt_us / 1000.0, flat = apart(self, peer);
    double up = (double)self->h + (double)peer->h, expect = flat + up;
    double dx = (double)self->x - (double)peer->x;
    double dy = (double)self->y - (double)peer->y;
    double weight, wrong, step;

    if (rtt_us == 0 || peer->error <= 0) return false;
    if (vivaldi_is_sure(self) && !vivaldi_is_sure(peer)) return false;
    if (flat < HEIGHT_MIN) { /* at one point: away from it, anywhere */
        dx = any_x;
        dy = any_y;
        flat = sqrt(dx * dx + dy * dy);
        if (flat <= 0) return false;
    }
    weight = (double)self->error / ((double)self->error + (double)peer->error);
    weight *= clamp(PART * 2 * (double)self->error, PART_MIN, PART);
    wrong = clamp(fabs(expect - rtt) / rtt, 0, 1);
    step = clamp(weight * (rtt - expect), -STEP_MAX, STEP_MAX);
    self->error = (float)clamp(
        (double)self->error * (1 - weight) + wrong * weight, ERROR_MIN, 1);
    self->x += (float)(step * dx / (flat + up));
    self->y += (float)(step * dy / (flat + up));
    self->h = (float)clamp((double)self->h + step * up / (flat + up),
                           HEIGHT_MIN, SAID_MAX / UNIT);
    self->x = (float)clamp((double)self->x, -SAID_MAX / UNIT, SAID_MAX / UNIT);
    self->y = (float)clamp((double)self->y, -SAID_MAX / UNIT, SAID_MAX / UNIT);
    return true;
}

uint32_t vivaldi_rtt_us(const struct vivaldi *a, const struct vivaldi *b)
{
    return (uint32_t)(1000 * (apart(a, b) + (double)a->h + (double)b->h));
}

uint32_t vivaldi_moved_us(const struct vivaldi *now, const struct vivaldi *then)
{
    return (uint32_t)(1000 * (apart(now, then) +
                              fabs((double)now->h - (double)then->h)));
}

void vivaldi_say(const struct vivaldi *self, Xn__Coordinate *out)
{
    xn__coordinate__init(out);
    out->x = (int32_t)((double)self->x * UNIT);
    out->y = (int32_t)((double)self->y * UNIT);
    out->height = (uint32_t)((double)self->h * UNIT);
    out->error = (uint32_t)((double)self->error * 100);
}

void vivaldi_hear(const Xn__Coordinate *said, struct vivaldi *out)
{
    *out = (struct vivaldi){.error = 0};
    if (!said) return;
    out->x = (float)(clamp(said->x, -SAID_MAX, SAID_MAX) / UNIT);
    out->y = (float)(clamp(said->y, -SAID_MAX, SAID_MAX) / UNIT);
    out->h = (float)(clamp(said->height, 1, SAID_MAX) / UNIT);
    out->error = (float)clamp(said->error / 100.0, ERROR_MIN, 1);
}
