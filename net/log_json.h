/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log lines for programs: an object a line. */
#ifndef NET_LOG_JSON_H
#define NET_LOG_JSON_H

#include "lib/log.h"

/* {"time":..., "level":..., "program":..., "pid":..., "text":...} */
xn_log_form net_log_json;

#endif
