/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tokens: the names under which advertisements are found.
 *
 * A token is an XML element's name.  For the elements of our schema the type
 * is fixed by the table; any other element's text is a number if it parses as
 * an exact decimal, else a string.  EnvKernel is a string: 6.1 and 6.10
 * differ.  Currency is a token too (the attribute of Prices).
 */
#ifndef WIRE_TOKEN_H
#define WIRE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/id.h"

#define XN_TOKEN_MAX 64  /* bytes of a name */
#define XN_VALUE_MAX 256 /* bytes of a value's text */

enum xn_token_type { XN_TOKEN_ANY, XN_TOKEN_NUMBER, XN_TOKEN_STRING };

struct xn_token_info {
    const char *name;
    enum xn_token_type type;
    const char *unit; /* "ms of CPU time per s", "" */
    bool mandatory;   /* in every advertisement */
    bool price;       /* compared in one currency only */
};

/* NULL for a token that our schema does not know. */
const struct xn_token_info *xn_token_info(const char *name);
/* The whole table; *n_out rows, by name. */
const struct xn_token_info *xn_token_table(size_t *n_out);

/* [A-Za-z_][A-Za-z0-9_.-]*, at most XN_TOKEN_MAX bytes. */
bool xn_token_valid(const char *name, size_t len);

/* The token that every advertisement has: where a query goes that demands no
 * token at all. */
#define XN_TOKEN_EVERY "ServerName"

/* The name of the shard that holds this server's advertisement whatever its
 * tokens are: one of 256, by the first byte of the server's id.  What is asked
 * for by id is found there, and not where everything is. */
#define XN_TOKEN_SERVER_SIZE 11
void xn_token_server(const xn_id *server, char out[XN_TOKEN_SERVER_SIZE]);

/* The ring key of a trie node: SHA-256("xn.trie.1" 0 token 0 prefix).  `far`:
 * the independent second place, SHA-256("xn.trie.far.1" 0 token 0 prefix).
 * prefix may be NULL where it is empty. */
void xn_token_key(const char *token, const uint8_t *prefix, size_t prefix_len,
                  bool far, xn_id *key_out);

#endif
