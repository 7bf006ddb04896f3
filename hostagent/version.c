/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Versions of the advertisement: when a new one is needed, what it says, and
 * where it and older ones may lie. */
#include <stdlib.h>
#include <string.h>

#include "hostagent/machine.h"
#include "hostagent/state.h"
#include "lib/err.h"

/* ---- places ---- */

static bool has_text(char *const *list, size_t n, const char *text)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (strcmp(list[i], text) == 0) return true;
    }
    return false;
}

static bool is_ours(const struct host *host, const char *token)
{
    size_t i;

    for (i = 0; i < host->n_tokens; i++) {
        if (strcmp(host->tokens[i], token) == 0) return true;
    }
    return false;
}

bool host_drop_places(struct host *host, const Xn__Published *published)
{
    Xn__HostRecord *record = host->record;
    size_t i, n = 0;

    for (i = 0; i < record->n_tokens; i++) {
        char *token = record->tokens[i];

        if (has_text(published->tokens, published->n_tokens, token) ||
            (!record->withdrawn && is_ours(host, token))) {
            record->tokens[n++] = token;
        } else {
            free(token);
        }
    }
    if (n == record->n_tokens) return false;
    record->n_tokens = n;
    return true;
}

/* ---- a new version ---- */

static int write_document(const struct host *host, uint64_t version,
                          struct xn_buf *out)
{
    struct advert_environment room[OFFER_ENVIRONMENTS_MAX];
    struct advert_offer offer = host_able_offer(host, room);
    char why[128];

    return offer_write(&offer, version, out, NULL, why, sizeof why);
}

int host_set_bytes(ProtobufCBinaryData *to, const void *data, size_t len)
{
    uint8_t *bytes = malloc(len + 1);

    if (!bytes) return XN_ENOMEM;
    if (len) memcpy(bytes, data, len);
    free(to->data);
    to->data = bytes;
    to->len = len;
    return 0;
}

static int add_token(Xn__HostRecord *draft, const char *token)
{
    if (has_text(draft->tokens, draft->n_tokens, token)) return 0;
    if (draft->n_tokens == HOST_TOKENS_MAX) return 0;
    draft->tokens[draft->n_tokens] = strdup(token);
    if (!draft->tokens[draft->n_tokens]) return XN_ENOMEM;
    draft->n_tokens++;
    return 0;
}

/* The places of this version, then those of older ones (where the record of
 * them is damaged, ours of today).  Past the bound the oldest are left to their
 * leases' end. */
static int set_tokens(struct host *host, Xn__HostRecord *draft)
{
    const Xn__HostRecord *old = host->record;
    bool ours = !draft->withdrawn || host->damaged;
    size_t i;
    int rc = 0;

    draft->tokens = calloc(HOST_TOKENS_MAX, sizeof *draft->tokens);
    if (!draft->tokens) return XN_ENOMEM;
    for (i = 0; i < host->n_tokens && !rc && ours; i++) {
        rc = add_token(draft, host->tokens[i]);
    }
    for (i = 0; old && i < old->n_tokens && !rc; i++) {
        rc = add_token(draft, old->tokens[i]);
    }
    return rc;
}

/* Above every version that we ever said or heard of, whatever the clock
 * does. */
static uint64_t next_version(struct host *host, const struct xn_now *now)
{
    uint64_t version = now->wall_us;

    if (host->record && version <= host->record->version) {
        version = host->record->version + 1;
    }
    if (version <= host->floor) version = host->floor + 1;
    host->floor = version;
    return version;
}

int host_make_draft(struct host *host, const struct xn_now *now)
{
    Xn__HostRecord *draft = malloc(sizeof *draft);
    struct xn_buf xml;
    int rc;

    xn_buf_init(&xml, ADVERT_BYTES_MAX);
    if (!draft) return XN_ENOMEM;
    xn__host_record__init(draft);
    host->draft = draft;
    draft->version = next_version(host, now);
    draft->withdrawn = host->withdraw;
    /* Where nothing was ever said, nobody has to hear that it is over; but it
     * must be on record, or a restart would offer. */
    draft->placed = draft->withdrawn && !host->record && !host->damaged;
    rc = set_tokens(host, draft);
    if (!rc && !draft->withdrawn)
        rc = write_document(host, draft->version, &xml);
    if (!rc) rc = host_set_bytes(&draft->document, xml.data, xml.len);
    if (!rc) {
        rc = host_set_bytes(&draft->certificate, host->config.certificate.b,
                            XN_ID_SIZE);
    }
    xn_buf_clear(&xml);
    return rc;
}

/* ---- is a new one needed? ---- */

/* Would the document, written anew with the stored version, be the same? */
static bool same_document(struct host *host)
{
    const Xn__HostRecord *record = host->record;
    struct xn_buf xml;
    bool same;

    xn_buf_init(&xml, ADVERT_BYTES_MAX);
    same = !write_document(host, record->version, &xml) &&
           xml.len == record->document.len &&
           !memcmp(xml.data, record->document.data, xml.len);
    xn_buf_clear(&xml);
    return same;
}

bool host_needs_version(struct host *host)
{
    const Xn__HostRecord *record = host->record;
    xn_id certificate;

    if (!record || record->version < host->heard) return true;
    if (record->version < host->unsure) return true;
    if (record->withdrawn != host->withdraw) return true;
    if (record->withdrawn) return false;
    return xn_id_from_bytes(&record->certificate, &certificate) ||
           !xn_id_eq(&certificate, &host->config.certificate) ||
           record->envelope.len == 0 || !same_document(host);
}
