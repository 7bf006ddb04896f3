/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a process of ours gives up on its way to being a task's. */
#ifndef KEEPER_LIMITS_H
#define KEEPER_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/task.pb-c.h"

/* Those that are caught, ignored or held are no more. */
void limits_reset_signals(void);
/* Its user, its limits, and (0: all) the first few CPUs of ours.  limit_data: no
 * control group counts its memory.  False with errno. */
bool limits_take(const Xn__TaskSpec *spec, uint8_t cpus, bool limit_data);

#endif
