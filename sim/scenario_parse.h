/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the scenario language share; nobody else includes this.
 *
 *   scenario.c        lines, and what the whole run has
 *   scenario_words.c  words, times, shares
 *   scenario_steps.c  the steps
 */
#ifndef SIM_SCENARIO_PARSE_H
#define SIM_SCENARIO_PARSE_H

#include "sim/scenario.h"
#include "sim/world.h"

enum { SCN_WORDS_MAX = 16 };

struct scn_word {
    char text[SCN_WORD_MAX];
    uint32_t column;
};

struct scn_parser {
    struct scn *scn;
    struct scn_error *error;
    uint32_t line;
    struct scn_word words[SCN_WORDS_MAX];
    size_t n;     /* words of this line */
    size_t at;    /* the next one */
    uint32_t end; /* column behind the last word */
    uint64_t seed;
    bool seeded;    /* from outside: beats the file's */
    uint64_t draws; /* from it, so far */
};

/* All: 0, or XN_EINVAL and the error told. */
__attribute__((format(printf, 3, 4))) int scn_complain(struct scn_parser *p,
                                                       uint32_t column,
                                                       const char *fmt, ...);
const char *scn_peek(const struct scn_parser *p); /* "": the line's end */
uint32_t scn_column(const struct scn_parser *p);
/* Take the next word if it is this one. */
bool scn_take(struct scn_parser *p, const char *word);
int scn_expect(struct scn_parser *p, const char *word);
/* A value, or A..B: one between these, drawn from the seed. */
int scn_take_span(struct scn_parser *p, uint64_t *us_out);
int scn_take_number(struct scn_parser *p, uint64_t max, uint64_t *n_out);
/* Of at most SCN_WORD_MAX bytes, zero included. */
int scn_take_file(struct scn_parser *p, char *file_out);
int scn_take_share(struct scn_parser *p, uint32_t *ppm_out);
int scn_take_rate(struct scn_parser *p, uint32_t *milli_out);
/* Drawn from the seed. */
bool scn_happens(struct scn_parser *p, uint32_t ppm);
int scn_take_amount(struct scn_parser *p, struct scn_amount *amount_out);
/* "2", "0.25", "13.5": thousandths; `end` gets what follows. */
bool scn_milli(const char *text, uint32_t max, uint32_t *out, const char **end);

/* The rest of a step's line; added to the scenario. */
int scn_parse_step(struct scn_parser *p, uint64_t at_us);

#endif
