/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a fuzz target once over each file named: what libFuzzer's own main
 * does with files, for compilers that have no libFuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Inputs are small (the parsers cap them); a longer file is our mistake. */
enum { INPUT_MAX = 1 << 20 };

/* Read `path` into an exact-size heap block, so that AddressSanitizer sees a
 * read one past the end.  Returns NULL on error; else the caller frees. */
static uint8_t *slurp(const char *path, size_t *len_out)
{
    uint8_t *all = NULL, *exact = NULL;
    FILE *f;
    size_t n;

    f = fopen(path, "rb");
    if (!f) return NULL;
    all = malloc(INPUT_MAX);
    if (!all) goto out;
    n = fread(all, 1, INPUT_MAX, f);
    if (ferror(f) || n == INPUT_MAX) goto out;
    exact = realloc(all, n ? n : 1);
    if (!exact) goto out;
    all = NULL;
    *len_out = n;
out:
    free(all);
    fclose(f);
    return exact;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t len = 0;
        uint8_t *data = slurp(argv[i], &len);

        if (!data) {
            fprintf(stderr, "replay: cannot read %s\n", argv[i]);
            return 1;
        }
        /* Named first: a crash then shows its input. */
        fprintf(stderr, "replay: %s (%zu bytes)\n", argv[i], len);
        LLVMFuzzerTestOneInput(data, len);
        free(data);
    }
    return 0;
}
