/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "keeper/patience.h"

unsigned patience_for(struct patience *patience, uint64_t now_us, size_t silent)
{
    /* The more there are, the rarer. */
    uint64_t pause_us = PATIENCE_US * (silent ? silent : 1);

    if (patience->silent && now_us < patience->waited_us + pause_us)
        return PATIENCE_SHORT_MS;
    patience->waited_us = now_us;
    return SESSIONS_KEEPER_MS;
}
