/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages of any type from a fuzzer's bytes: of the right shape, so that they
 * come past the decoder, with whatever values in them. */
#ifndef TESTS_FUZZ_ANY_MSG_H
#define TESTS_FUZZ_ANY_MSG_H

#include "lib/arena.h"
#include "wire/msg.h"

#define ANY_POOL 96

/* Values worth saying: ids, documents, words.  Not owned. */
struct any_pool {
    ProtobufCBinaryData bytes[ANY_POOL];
    const char *words[ANY_POOL];
    uint64_t numbers[ANY_POOL];
    size_t n_bytes, n_words, n_numbers;
};

struct any_input {
    const uint8_t *at, *end;
    const struct any_pool *pool;
    struct xn_arena *arena; /* where messages lie */
};

/* Behind the end all are 0. */
unsigned any_byte(struct any_input *in);
/* The next ones, a byte of length before them. */
ProtobufCBinaryData any_raw(struct any_input *in);
/* One of the kinds that travel on links. */
unsigned any_kind(struct any_input *in);
/* The payload of a Request or Reply is a message of the kind that it says. */
void *any_msg(struct any_input *in, const ProtobufCMessageDescriptor *type);

#endif
