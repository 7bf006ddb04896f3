/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The advertisement: XML of schema/advertisement.xsd, as parsed rows.
 *
 * An advertisement is flattened into rows of (token -> value): one row where
 * nothing repeats, else one for each combination of the repeated elements
 * (two Environments give two rows), so that conditions on tokens of one kind
 * hold within the same element.  At most ADVERT_ROWS_MAX rows.  The elements
 * that hold others (Server, GPU) name no tokens, those within them do; of
 * attributes only Prices' currency (Currency) and Coordinate's four
 * (CoordinateX, ...Y, ...H, ...Error).  A token in two different parts is
 * refused: a condition could mean either.
 *
 * Pure: parsing and schema checks take bytes and give structs.
 */
#ifndef WIRE_ADVERT_H
#define WIRE_ADVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/dec.h"
#include "wire/id.h"
#include "wire/token.h"

#define ADVERT_BYTES_MAX (32 * 1024)
#define ADVERT_DEPTH_MAX 16
#define ADVERT_TOKENS_MAX 256
#define ADVERT_ROWS_MAX 32

struct advert_value {
    const char *token;
    const char *text; /* as written, blanks trimmed */
    bool is_number;
    xn_dec number;
};

struct advert_row {
    const struct advert_value *const *values; /* sorted by token, no doubles */
    size_t n;
};

struct advert {
    uint64_t version; /* us of wall time */
    const char *server_name;
    const char *currency;      /* of Prices */
    const char *const *tokens; /* distinct, sorted */
    size_t n_tokens;
    const struct advert_row *rows;
    size_t n_rows;
};

/* Parses, checks against the schema and flattens.  XN_ETOOBIG, XN_EINVAL (not
 * well-formed, has a DTD, not UTF-8, too deep), XN_ESCHEMA, XN_ENOMEM.
 * `why_out` (may be NULL) gets one line saying what is wrong and where. */
int advert_parse(const uint8_t *xml, size_t len, struct advert **advert_out,
                 char *why_out, size_t why_len);
void advert_free(struct advert *advert);

/* The value of a token in a row, or NULL. */
const struct advert_value *advert_row_get(const struct advert_row *row,
                                          const char *token);

/* ---- writing ---- */

/* One <Environment>. */
struct advert_environment {
    const char *type;   /* "Linux" */
    const char *kernel; /* "6.1" */
    const char *virtualisation;
};

/* A token that our schema does not know, added after the known parts. */
struct advert_extra {
    const char *token;
    const char *value;
};

/* What a server offers; NULL or empty strings leave optional parts out.
 * Numbers are decimal text. */
struct advert_offer {
    const char *server_name;
    const char *const *corps;
    size_t n_corps;
    const char *endpoint;
    const char *architecture, *country, *city;
    const struct advert_environment *environments;
    size_t n_environments;
    const char *cpu_smps, *memory_mb, *disk_gb, *net_mbps, *ipv4_addresses;
    const char *cpu_utilisation, *sessions, *clients; /* status */
    const char *currency;
    const char *price_per_hour, *cpu_second, *memory_mb_hour, *net_gb, *setup;
    const char *disk_gb_hour;
    const char *coord_x, *coord_y, *coord_h, *coord_error;
    const struct advert_extra *extras;
    size_t n_extras;
};

/* Appends the XML, UTF-8, escaped; valid against the schema if the offer is:
 * advert_parse says whether it is.  XN_EINVAL: an extra's token is none, or
 * control characters; XN_ENOMEM, XN_ETOOBIG. */
int advert_write(const struct advert_offer *offer, uint64_t version,
                 struct xn_buf *out);

#endif
