/* SPDX-License-Identifier: GPL-3.0-or-later */
/* EnvironmentalRequirements, the paper's II-A.3: what a job needs, as XML of
 * schema/requirements.xsd, in its namespace or none.  Elements under QoS and
 * Resources are amounts that the server must at least have, and so is
 * EnvIPAddresses (of IPv4Addresses); EnvName is the client's own label and no
 * condition; all others must be equal.  <Job> holds what query_set_job takes,
 * <Budget currency="GBP"> bounds its cost. */
#ifndef WIRE_REQUIREMENT_H
#define WIRE_REQUIREMENT_H

#include <stddef.h>
#include <stdint.h>

#include "wire/query.h"

/* Turns a document into a query (query_free).  Job, budget and currency are the
 * query's: add other conditions to this one with query_and, not the other way
 * round.  Errors as advert_parse; XN_ETOOBIG also past QUERY_TERMS_MAX. */
int requirement_parse(const uint8_t *xml, size_t len, struct query **query_out,
                      char *why_out, size_t why_len);

#endif
