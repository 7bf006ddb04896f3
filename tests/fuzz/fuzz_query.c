/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts of the query language: the first byte chooses the form (w words, one a
 * line; j a job; b a budget; else --where).  What parses must be written back to a
 * text that parses to the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/query.h"

enum { WORDS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char *text_of(const struct query *query)
{
    struct xn_buf out = {0};

    assert(query_text(query, &out) == 0);
    return xn_buf_steal_str(&out);
}

static void check_round_trip(const struct query *query)
{
    char *text = text_of(query), *again_text;
    struct query *again = NULL;

    assert(query_parse_where(text, &again, NULL) == 0);
    again_text = text_of(again);
    assert(strcmp(text, again_text) == 0);
    free(text);
    free(again_text);
    query_free(again);
}

/* Each condition, too, is words or --where text. */
static void check_conditions(const struct query *query)
{
    size_t i;

    for (i = 0; i < query_conditions(query); i++) {
        struct xn_buf out = {0};
        struct query *again = NULL;
        const char *word;
        char *text;

        assert(query_condition_text(query, i, &out) == 0);
        word = text = xn_buf_steal_str(&out);
        if (strncmp(text, "--budget", 8) != 0 &&
            query_parse_words(&word, 1, &again, NULL)) {
            assert(query_parse_where(text, &again, NULL) == 0);
        }
        query_free(again);
        free(text);
    }
}

static int parse_words(char *text, struct query **query_out,
                       struct query_error *error)
{
    const char *words[WORDS_MAX];
    char *save = NULL, *word;
    size_t n = 0;

    for (word = strtok_r(text, "\n", &save); word && n < WORDS_MAX;
         word = strtok_r(NULL, "\n", &save)) {
        words[n++] = word;
    }
    return query_parse_words(words, n, query_out, error);
}

static int parse_amount(char form, const char *text, struct query **query_out,
                        struct query_error *error)
{
    int rc = query_parse_where("a = 1", query_out, NULL);

    assert(rc == 0);
    if (form == 'j') return query_set_job(*query_out, text, error);
    rc = query_set_job(*query_out, "time=1h", NULL);
    assert(rc == 0);
    return query_set_budget(*query_out, text, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct query_error error = {0, ""};
    struct query *query = NULL;
    size_t text_len;
    char *text;
    int rc;

    if (len == 0) return 0;
    text = malloc(len);
    assert(text);
    memcpy(text, data + 1, len - 1);
    text[len - 1] = '\0';
    text_len = strlen(text);
    switch (data[0]) {
    case 'w': rc = parse_words(text, &query, &error); break;
    case 'j':
    case 'b': rc = parse_amount((char)data[0], text, &query, &error); break;
    default: rc = query_parse_where(text, &query, &error);
    }
    if (rc == 0) {
        check_round_trip(query);
        check_conditions(query);
    } else {
        assert(error.text[0] && error.offset <= text_len);
    }
    query_free(query);
    free(text);
    return 0;
}
