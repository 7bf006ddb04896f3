/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver offer: what is offered, in the configuration and by the running
 * xenohostd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/offer.h"
#include "hostagent/xenohostd_cluster.h"
#include "hostagent/xenohostd_offer.h"
#include "hostagent/xenoserver.h"
#include "lib/arena.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "wire/token.h"

#define ARENA_MAX (4 << 20)
#define KEY_MAX 80

static const char what[] = "cannot change the offer";

/* Elements of an advertisement that have a setting of their own. */
static const struct {
    const char *token, *key;
} known[] = {
    {"Architecture", "offer.architecture"},
    {"CPUSecond", "price.cpu_second"},
    {"CPUsmps", "offer.cpu_smps"},
    {"City", "offer.city"},
    {"Country", "offer.country"},
    {"Currency", "price.currency"},
    {"DiskGB", "offer.disk_gb"},
    {"DiskGBHour", "price.disk_gb_hour"},
    {"Endpoint", "offer.endpoint"},
    {"EnvType", "offer.environments"},
    {"IPv4Addresses", "offer.ipv4_addresses"},
    {"MemoryMB", "offer.memory_mb"},
    {"MemoryMBHour", "price.memory_mb_hour"},
    {"NetGB", "price.net_gb"},
    {"NetMbps", "offer.net_mbps"},
    {"PricePerHour", "price.per_hour"},
    {"ServerName", "offer.name"},
    {"SetUp", "price.setup"},
};
#define KNOWN (sizeof known / sizeof known[0])

static const char *key_of_token(const char *token)
{
    for (size_t i = 0; i < KNOWN; i++) {
        if (strcmp(known[i].token, token) == 0) return known[i].key;
    }
    return NULL;
}

/* ---- is it good? ---- */

/* "price.net_gb is an amount ..": where that stands. */
static void add_place(const struct server *server, const char *text, char *why,
                      size_t len)
{
    size_t n = strspn(why, "abcdefghijklmnopqrstuvwxyz_0123456789.");
    unsigned line, column;
    char key[KEY_MAX], copy[1000];

    snprintf(key, sizeof key, "%.*s", (int)n, why);
    if (!strchr(key, '.') || !server_conf_find(text, key, &line, &column))
        return;
    snprintf(copy, sizeof copy, "%s:%u:%u: %.300s", server->config, line,
             column, why);
    snprintf(why, len, "%s", copy);
}

/* With something in place of what only a running xenohostd knows. */
static int check_whole(struct advert_offer *offer, char *why, size_t len)
{
    static const char *const some_corp[] = {"corp"};
    struct xn_buf xml;
    int rc;

    offer->corps = some_corp;
    offer->n_corps = 1;
    if (!offer->server_name) offer->server_name = "name";
    if (!offer->endpoint) offer->endpoint = "https://endpoint";
    xn_buf_init(&xml, ADVERT_BYTES_MAX);
    rc = offer_write(offer, 1, &xml, NULL, why, len);
    xn_buf_clear(&xml);
    return rc ? XN_EINVAL : 0;
}

/* A member of a cluster offers nothing by itself: its amounts must be right. */
static int check_settings(const struct net_settings *settings,
                          struct xn_arena *arena, char *why, size_t len)
{
    struct member_config member;
    struct host_config *host;
    struct advert_offer offer;
    int rc;

    if (xenohostd_is_member(settings))
        return xenohostd_member(settings, arena, &member, why, len);
    rc = xenohostd_offer(settings, arena, &offer, why, len);
    if (!rc) rc = check_whole(&offer, why, len);
    if (rc) return rc;
    snprintf(why, len, "out of memory");
    host = calloc(1, sizeof *host);
    rc = host ? xenohostd_members(settings, arena, host, why, len) : XN_ENOMEM;
    free(host);
    return rc;
}

int server_offer_check(const struct server *server, const char *text,
                       char *why_out, size_t len)
{
    struct net_settings *settings = NULL;
    struct xn_arena arena;
    int rc;

    rc = server_settings(server, server->config, text, &settings, why_out, len);
    if (rc) return rc;
    xn_arena_init(&arena, ARENA_MAX);
    rc = check_settings(settings, &arena, why_out, len);
    if (rc) add_place(server, text, why_out, len);
    xn_arena_clear(&arena);
    net_settings_free(settings);
    return rc;
}

/* ---- changing it ---- */

static int set_key(const char *key, const char *value, char **text)
{
    struct xn_buf out;
    int rc;

    xn_buf_init(&out, 2 * NET_CONFIG_BYTES_MAX);
    rc = server_conf_set(*text, key, value, &out);
    if (rc) {
        xn_buf_clear(&out);
        return rc;
    }
    free(*text);
    *text = xn_buf_steal_str(&out);
    return *text ? 0 : XN_ENOMEM;
}

/* As a list has it: ';' and '\' get a backslash. */
static void put_item(const char *text, struct xn_buf *out)
{
    for (; *text; text++) {
        if (*text == ';' || *text == '\\') xn_buf_char(out, '\\');
        xn_buf_char(out, *text);
    }
}

static int make_list(char **items, size_t n, const char *token,
                     const char *value, struct xn_buf *out)
{
    size_t len = strlen(token);
    bool done = !value, any = false;

    for (size_t i = 0; i < n + 1; i++) {
        bool ours =
            i < n && strncmp(items[i], token, len) == 0 && items[i][len] == '=';

        if (i < n && !ours) {
            if (any) xn_buf_str(out, "; ");
            put_item(items[i], out);
        } else if (!done) {
            if (any) xn_buf_str(out, "; ");
            xn_buf_printf(out, "%s=", token);
            put_item(value, out);
            done = true;
        } else {
            continue;
        }
        any = true;
    }
    return xn_buf_rc(out);
}

/* One of the further tokens, which all stand in one setting. */
static int set_token(const struct server *server, const char *token,
                     const char *value, char **text)
{
    struct net_settings *settings = NULL;
    const char *old;
    struct xn_arena arena;
    struct xn_buf out;
    char **items = NULL, *list = NULL, why[300];
    size_t n = 0;
    int rc;

    rc = server_settings(server, server->config, *text, &settings, why,
                         sizeof why);
    if (rc) return rc;
    xn_arena_init(&arena, ARENA_MAX);
    xn_buf_init(&out, NET_CONFIG_BYTES_MAX);
    old = net_settings_text(settings, "offer.tokens");
    rc = xenohostd_split(old ? old : "", ';', 300, &arena, &items, &n);
    if (!rc) rc = make_list(items, n, token, value, &out);
    if (!rc) {
        list = xn_buf_steal_str(&out);
        rc = list ? set_key("offer.tokens", *list ? list : NULL, text)
                  : XN_ENOMEM;
    }
    free(list);
    xn_buf_clear(&out);
    xn_arena_clear(&arena);
    net_settings_free(settings);
    return rc;
}

static bool has_row(const struct server *server, const char *key)
{
    for (size_t i = 0; i < server->n_rows; i++) {
        if (strcmp(server->rows[i].key, key) == 0) return true;
    }
    return false;
}

static int bad_name(const struct server *server, const char *name)
{
    const char *names[300], *near;
    size_t n = 0;

    for (size_t i = 0; i < KNOWN; i++)
        names[n++] = known[i].token;
    for (size_t i = 0; i < server->n_rows && n < 300; i++)
        names[n++] = server->rows[i].key;
    near = xn_nearest(name, names, n);
    return server_usage("'%.60s' is neither a token nor a setting%s%s%s", name,
                        near ? ", did you mean " : "", near ? near : "",
                        near ? "?" : "");
}

/* A new name that is nearly a known one is a slip of the pen. */
static const char *slip(const char *token)
{
    const char *names[KNOWN];
    const char *near;

    for (size_t i = 0; i < KNOWN; i++)
        names[i] = known[i].token;
    near = xn_nearest(token, names, KNOWN);
    return near && strlen(near) > 4 ? near : NULL;
}

static int apply(const struct server *server, const char *word, char **text)
{
    const char *equal = strchr(word, '='), *key, *value;
    char name[KEY_MAX];
    int rc;

    if (!equal || (size_t)(equal - word) >= sizeof name) {
        return server_usage("'%.60s' is not TOKEN=VALUE", word);
    }
    snprintf(name, sizeof name, "%.*s", (int)(equal - word), word);
    value = equal[1] ? equal + 1 : NULL;
    key = key_of_token(name);
    if (!key && has_row(server, name)) key = name;
    if (!key && (strchr(name, '.') || !xn_token_valid(name, strlen(name)) ||
                 (name[0] >= 'a' && name[0] <= 'z'))) {
        return bad_name(server, name);
    }
    if (!key && value && slip(name)) {
        fprintf(stderr,
                "xenoserver: %s becomes a token of your own; was %s meant?\n",
                name, slip(name));
    }
    rc = key ? set_key(key, value, text) : set_token(server, name, value, text);
    if (!rc) return -1;
    return server_gripef(rc, what, "man xenohostd.conf",
                         rc == XN_EINVAL
                             ? "%s: its value, or the file, cannot be so"
                             : "%s: it does not fit",
                         name);
}

int server_offer_edit(const struct server *server, const char *text,
                      const char *const *words, size_t n, char **text_out)
{
    char *copy = strdup(text), why[700];
    int code = -1, rc;

    if (!copy) return server_gripe(XN_ENOMEM, what, "out of memory", NULL);
    for (size_t i = 0; i < n && code < 0; i++)
        code = apply(server, words[i], &copy);
    if (code < 0) {
        rc = server_offer_check(server, copy, why, sizeof why);
        if (rc) code = server_gripe(rc, what, why, "man xenohostd.conf");
    }
    if (code >= 0) {
        free(copy);
        return code;
    }
    *text_out = copy;
    return XN_EXIT_OK;
}

/* ---- showing it ---- */

static const char *section_is_shown(const char *key)
{
    static const char *const sections[] = {"offer.", "price.", "place."};

    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(sections[i]);

        if (strncmp(key, sections[i], len) == 0) return key + len;
    }
    return NULL;
}

static int show(const struct server *server, const char *text)
{
    struct net_settings *settings = NULL;
    json_t *values = json_object();
    char why[400];
    int rc;

    rc = server_settings(server, server->config, text, &settings, why,
                         sizeof why);
    if (rc) {
        json_decref(values);
        return server_gripe(rc, "cannot show the offer", why,
                            "man xenohostd.conf");
    }
    if (!server->json) server_say("configuration", "%s", server->config);
    for (size_t i = 0; i < server->n_rows; i++) {
        const struct net_setting *row = &server->rows[i];
        const char *value;

        if (!section_is_shown(row->key) || row->type != NET_TEXT) continue;
        value = net_settings_text(settings, row->key);
        if (server->json) {
            (void)json_object_set_new(values, row->key,
                                      value ? json_string(value) : json_null());
        } else if (value) {
            printf("%-22s", row->key);
            xn_put_plain(value, stdout);
            putchar('\n');
        }
    }
    net_settings_free(settings);
    if (server->json) {
        return server_print_json(
            json_pack("{s:s, s:s, s:o}", "schema", "xenoserver.offer/1",
                      "configuration", server->config, "values", values));
    }
    json_decref(values);
    return XN_EXIT_OK;
}

/* ---- the verb ---- */

/* As HostOffer: what it found out at its start xenohostd keeps. */
static int pack_offer(const struct server *server, const char *text,
                      uint8_t **body_out, size_t *len_out)
{
    struct net_settings *settings = NULL;
    struct advert_offer offer;
    struct xn_arena arena;
    char why[300];
    int rc;

    rc = server_settings(server, server->config, text, &settings, why,
                         sizeof why);
    if (rc) return rc;
    xn_arena_init(&arena, ARENA_MAX);
    rc = xenohostd_offer_given(settings, &arena, &offer, why, sizeof why);
    if (!rc) rc = offer_pack(&offer, body_out, len_out);
    xn_arena_clear(&arena);
    net_settings_free(settings);
    return rc;
}

static int tell_offer(const struct server *server, const char *text)
{
    struct server_question question = {
        .what = "cannot tell xenohostd of the offer",
        .method = "POST",
        .path = "/v1/offer",
        .answer = &xn__host_status__descriptor,
    };
    struct net_identity identity = {.key = NULL};
    Xn__HostStatus *status = NULL;
    uint8_t *body = NULL;
    int rc, code = server_identity(server, question.what, &identity);

    if (code) return code;
    rc = pack_offer(server, text, &body, &question.len);
    question.body = body;
    if (rc) {
        code = server_gripe(rc, question.what, xn_strerror(rc), NULL);
    } else {
        code = xn_exit_code(server_ask(server, &identity, &question, &status));
    }
    if (!code) {
        puts(status->envelope.len ? "xenohostd offers it now"
                                  : "xenohostd will offer it: it is drained");
    }
    if (status) xn__host_status__free_unpacked(status, NULL);
    net_identity_clear(&identity);
    free(body);
    return code;
}

static int tell(const struct server *server, const char *text)
{
    char url[300];
    bool runs = false;

    if (!server->url && !server_find(server, &runs, url, sizeof url)) {
        puts(runs ? "xenohostd runs, but is too old to be told: restart it"
                  : "xenohostd does not run: it reads this at its start");
        return XN_EXIT_OK;
    }
    return tell_offer(server, text);
}

static int change(struct server *server, const char *text, char **words,
                  size_t n)
{
    char *changed = NULL, why[600];
    bool same;
    int code, rc;

    code = server_offer_edit(server, text, (const char *const *)words, n,
                             &changed);
    if (code) return code;
    same = strcmp(text, changed) == 0;
    rc = same ? 0 : server_config_write(server, changed, why, sizeof why);
    if (rc) {
        code = server_gripe(rc, what, why, "df, or another --config");
    } else {
        printf(same ? "nothing to change in %s\n" : "changed %s\n",
               server->config);
        code = tell(server, changed);
    }
    free(changed);
    return code;
}

int server_offer(struct server *server, int argc, char **argv)
{
    char *text = NULL, why[600];
    int words, rc;
    int code = server_options(server, NULL, 0, argc, argv, 100, &words);

    if (code >= 0) return code;
    rc = server_config_read(server, &text, why, sizeof why);
    if (rc) {
        return server_gripe(
            rc == XN_ENOENT ? XN_EINVAL : rc,
            words < argc ? what : "cannot show the offer", why,
            "xenoserver join URL#ID, which writes one, or --config FILE");
    }
    code = words == argc
               ? show(server, text)
               : change(server, text, argv + words, (size_t)(argc - words));
    free(text);
    return code;
}
