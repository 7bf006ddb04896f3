/* SPDX-License-Identifier: GPL-3.0-or-later */
/* EnvironmentalRequirements, the paper's II-A.3: what a job needs, as XML of
 * schema/requirements.xsd.  Elements under QoS and Resources are amounts that
 * the server must at least have; elements elsewhere must be equal. */
#ifndef WIRE_REQUIREMENT_H
#define WIRE_REQUIREMENT_H

#include <stddef.h>
#include <stdint.h>

#include "wire/query.h"

/* Turns a document into a query.  Errors as advert_parse. */
int requirement_parse(const uint8_t *xml, size_t len, struct query **query_out,
                      char *why_out, size_t why_len);

#endif
