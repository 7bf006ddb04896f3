/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver join --dry-run: the plan, told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostagent/xenohostd_offer.h"
#include "hostagent/xenoserver_doctor.h"
#include "hostagent/xenoserver_join.h"
#include "lib/arena.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "wire/price.h"

#define ARENA_MAX (4 << 20)

static const char *const would[] = {
    [JOIN_REGISTER] = "would register",
    [JOIN_REGISTERED] = "registered already",
    [JOIN_ACCEPT] = "would accept",
    [JOIN_ACCEPTED] = "accepted already",
};

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* ---- the offer ---- */

static xn_dec decimal(const char *text)
{
    xn_dec d = {0};

    if (text && xn_dec_parse(text, strlen(text), &d)) d.v = 0;
    return d;
}

/* What all of it brings an hour, sold whole and in full use. */
static json_t *whole_hour(const struct advert_offer *o)
{
    const struct price_list prices = {
        .per_hour = decimal(o->price_per_hour),
        .cpu_second = decimal(o->cpu_second),
        .memory_mb_hour = decimal(o->memory_mb_hour),
        .disk_gb_hour = decimal(o->disk_gb_hour),
    };
    struct price_usage usage = {
        .hours = xn_dec_int(1),
        .memory_mb_h = decimal(o->memory_mb),
        .disk_gb_h = decimal(o->disk_gb),
    };
    const xn_dec cpu_s_per_smps = {XN_DEC_ONE / 1000 * 3600};
    char text[XN_DEC_TEXT_MAX];
    xn_dec sum;

    if (xn_dec_mul(decimal(o->cpu_smps), cpu_s_per_smps, &usage.cpu_s) ||
        price_exact(&prices, &usage, &sum)) {
        return json_null();
    }
    xn_dec_format(sum, text);
    return json_string(text);
}

static json_t *environments(const struct advert_offer *o)
{
    json_t *list = json_array();
    char text[400];

    for (size_t i = 0; i < o->n_environments; i++) {
        const struct advert_environment *e = &o->environments[i];

        snprintf(text, sizeof text, "%s%s%s%s%s", e->type, e->kernel ? " " : "",
                 e->kernel ? e->kernel : "", e->virtualisation ? " " : "",
                 e->virtualisation ? e->virtualisation : "");
        (void)json_array_append_new(list, json_string(text));
    }
    return list;
}

static json_t *offer_rows(const struct advert_offer *o)
{
    const struct {
        const char *token, *value;
    } rows[] = {
        {"ServerName", o->server_name},
        {"Endpoint", o->endpoint},
        {"Architecture", o->architecture},
        {"Country", o->country},
        {"City", o->city},
        {"CPUsmps", o->cpu_smps},
        {"MemoryMB", o->memory_mb},
        {"DiskGB", o->disk_gb},
        {"NetMbps", o->net_mbps},
        {"IPv4Addresses", o->ipv4_addresses},
        {"Currency", o->currency},
        {"PricePerHour", o->price_per_hour},
        {"CPUSecond", o->cpu_second},
        {"MemoryMBHour", o->memory_mb_hour},
        {"NetGB", o->net_gb},
        {"DiskGBHour", o->disk_gb_hour},
        {"SetUp", o->setup},
    };
    json_t *tokens = json_object();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].value)
            (void)json_object_set_new(tokens, rows[i].token,
                                      json_string(rows[i].value));
    }
    for (size_t i = 0; i < o->n_extras; i++) {
        (void)json_object_set_new(tokens, o->extras[i].token,
                                  json_string(o->extras[i].value));
    }
    return tokens;
}

/* As xenohostd would make it at its start; where nothing has a price yet, what
 * there is to sell. */
static json_t *tell_offer(const struct join_choice *c,
                          const struct join_plan *plan)
{
    const char *listen = net_settings_text(plan->settings, "listen.api");
    struct advert_offer o;
    struct xn_arena arena;
    char why[300], endpoint[SERVER_HOST_MAX + 20];
    json_t *told = json_null();
    int rc;

    xn_arena_init(&arena, ARENA_MAX);
    rc = plan->not_yet[0]
             ? xenohostd_amounts(plan->settings, &arena, &o, why, sizeof why)
             : xenohostd_offer(plan->settings, &arena, &o, why, sizeof why);
    if (!rc) {
        snprintf(endpoint, sizeof endpoint, "https://%.*s", SERVER_HOST_MAX,
                 listen ? listen : c->listen);
        if (!o.endpoint) o.endpoint = endpoint;
        if (!o.server_name) {
            o.server_name = plan->how == JOIN_REGISTER
                                ? c->label
                                : plan->identity.cert.label;
        }
        told = json_pack("{s:o, s:o, s:o}", "tokens", offer_rows(&o),
                         "environments", environments(&o), "hour",
                         plan->not_yet[0] ? json_null() : whole_hour(&o));
    }
    xn_arena_clear(&arena);
    return told;
}

static void print_offer(const json_t *offer)
{
    const json_t *tokens = json_object_get(offer, "tokens"), *value;
    const char *hour = json_string_value(json_object_get(offer, "hour"));
    const char *token;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)tokens, token, value)
    {
        server_say(token, "%s", json_string_value(value));
    }
    json_array_foreach(json_object_get(offer, "environments"), i, value)
    {
        server_say("environment", "%s", json_string_value(value));
    }
    if (hour) {
        server_say("an hour", "%s %s, if all of it is sold and used", hour,
                   json_string_value(json_object_get(tokens, "Currency")));
    }
}

/* ---- files ---- */

static void add_line(json_t *lines, char sign, const char *from, size_t len)
{
    static const char secret[] = "invitation";
    size_t blank = strspn(from, " ");
    char line[1200];

    if (blank < len && strncmp(from + blank, secret, strlen(secret)) == 0) {
        snprintf(line, sizeof line, "%c %*s%s = (as given)", sign, (int)blank,
                 "", secret);
    } else {
        snprintf(line, sizeof line, "%c %.*s", sign,
                 (int)(len < 1100 ? len : 1100), from);
    }
    (void)json_array_append_new(lines, json_string(line));
}

static void add_lines(json_t *lines, char sign, const char *from,
                      const char *to)
{
    while (from < to) {
        size_t len = strcspn(from, "\n");

        add_line(lines, sign, from, len);
        from += len + (from[len] == '\n');
    }
}

/* Where the line that p is in begins. */
static const char *line_start(const char *text, const char *p)
{
    while (p > text && p[-1] != '\n')
        p--;
    return p;
}

/* The lines from the first that differs to the last: before with '-', after with
 * '+'. */
static json_t *differences(const char *before, const char *after)
{
    const char *b = before, *a = after, *b_end, *a_end;
    json_t *lines = json_array();

    while (*b && *b == *a)
        b++, a++;
    if (!*b && !*a) return lines;
    b = line_start(before, b);
    a = line_start(after, a);
    b_end = before + strlen(before);
    a_end = after + strlen(after);
    while (b_end > b && a_end > a && b_end[-1] == a_end[-1])
        b_end--, a_end--;
    if ((b_end > b && b_end[-1] != '\n') || (a_end > a && a_end[-1] != '\n')) {
        b_end += strcspn(b_end, "\n");
        a_end += strcspn(a_end, "\n");
    }
    add_lines(lines, '-', b, b_end);
    add_lines(lines, '+', a, a_end);
    return lines;
}

static void add_file(json_t *files, const char *path, const char *before,
                     const char *after)
{
    json_t *lines = differences(before ? before : "", after);

    if (!json_array_size(lines)) {
        json_decref(lines);
        return;
    }
    (void)json_array_append_new(files, json_pack("{s:s, s:b, s:o}", "path",
                                                 path, "new", before == NULL,
                                                 "lines", lines));
}

static json_t *tell_files(const struct server *server,
                          const struct join_choice *c,
                          const struct join_plan *plan)
{
    json_t *files = json_array();
    char path[NET_PATH_MAX], line[sizeof c->corps_own + 1];

    net_file_path(path, server->state, "joined");
    snprintf(line, sizeof line, "%s\n", c->corps_own);
    if (plan->corp_new)
        add_file(files, path, access(path, F_OK) ? NULL : "", line);
    add_file(files, server->config, plan->before, plan->config);
    if (plan->node_config)
        add_file(files, UNITS_NODE_CONFIG, NULL, plan->node_config);
    return files;
}

static void print_line(const char *text)
{
    printf("  ");
    xn_put_plain(text, stdout);
    putchar('\n');
}

/* Comments of a new file are the same for everybody. */
static bool is_comment(const char *line)
{
    line += 2 + strspn(line + 2, " ");
    return !*line || *line == '#';
}

static bool ends_with(const char *text, char c)
{
    size_t len = strlen(text);

    return len && text[len - 1] == c;
}

/* What is in force; a section with nothing in it is left out. */
static void print_new(const json_t *lines)
{
    const char *opened = NULL;
    const json_t *line;
    size_t i, left = 0;

    json_array_foreach(lines, i, line)
    {
        const char *text = json_string_value(line);

        if (is_comment(text)) {
            left++;
        } else if (ends_with(text, '{')) {
            opened = text;
        } else if (opened && ends_with(text, '}')) {
            opened = NULL;
        } else {
            if (opened) print_line(opened);
            opened = NULL;
            print_line(text);
        }
    }
    if (left) printf("  and %zu lines of comments (all: -o json)\n", left);
}

static void print_file(const json_t *file)
{
    bool fresh = json_is_true(json_object_get(file, "new"));
    const json_t *lines = json_object_get(file, "lines"), *line;
    size_t i;

    server_say(fresh ? "would write" : "would change", "%s",
               json_string_value(json_object_get(file, "path")));
    if (fresh) {
        print_new(lines);
    } else {
        json_array_foreach(lines, i, line) print_line(json_string_value(line));
    }
}

/* ---- what doctor says of this machine already ---- */

static json_t *examine(struct server *server, const struct join_plan *plan)
{
    struct doctor *d = calloc(1, sizeof *d);
    json_t *list;

    if (!d) return json_array();
    d->server = server;
    d->settings = plan->settings;
    if (plan->how != JOIN_REGISTER) {
        doctor_check_files(d);
        doctor_check_certificate(d);
    }
    doctor_check_disk(d);
    doctor_check_sandbox(d);
    doctor_check_domains(d);
    doctor_check_kernel_clock(d);
    if (!server->json) doctor_print(d);
    list = doctor_json(d);
    net_identity_clear(&d->identity);
    free(d);
    return list;
}

/* ---- the whole ---- */

static json_t *units(const struct join_plan *plan)
{
    json_t *list = json_array();

    for (size_t i = 0; plan->start[i]; i++)
        (void)json_array_append_new(list, json_string(plan->start[i]));
    return list;
}

static void print_member(const struct server *server,
                         const struct join_choice *c,
                         const struct join_plan *plan)
{
    bool fresh = plan->how == JOIN_REGISTER;

    server_say(would[plan->how], "with %s as %s", c->corps_own,
               fresh ? c->label : plan->identity.cert.label);
    if (fresh) {
        server_say("key", "made in %s, unless there is one", server->state);
        if (c->owner) server_say("owner", "%s", c->owner);
        if (c->payout) server_say("payout", "%s", c->payout);
        server_say("machine", "%s", c->machine);
        server_say("node", "%s", plan->index_node);
        if (c->invitation) server_say("invitation", "as given");
    }
}

static void print_units(const struct join_plan *plan)
{
    for (size_t i = 0; plan->start[i]; i++)
        server_say("would start", "%s%s", plan->start[i],
                   plan->restart && !plan->start[i + 1] ? ", again if it runs"
                                                        : "");
    if (!plan->start[0])
        server_say("would start", plan->units
                                      ? "nothing before there is a price"
                                      : "nothing: no units of systemd are "
                                        "for this folder");
}

int join_tell(struct server *server, const struct join_choice *c,
              const struct join_plan *plan)
{
    bool fresh = plan->how == JOIN_REGISTER;
    json_t *files = tell_files(server, c, plan);
    json_t *offer = tell_offer(c, plan), *file, *checks;
    size_t i;

    if (!server->json) {
        print_member(server, c, plan);
        print_offer(offer);
        if (plan->not_yet[0]) server_say("not yet", "%s", plan->not_yet);
        json_array_foreach(files, i, file) print_file(file);
        print_units(plan);
    }
    checks = examine(server, plan);
    if (server->json) {
        return server_print_json(json_pack(
            "{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:b, s:o, s:o, s:o, "
            "s:o, s:o}",
            "schema", "xenoserver.join.plan/1", "would", would[plan->how],
            "corp", c->corps_own, "label",
            fresh ? c->label : plan->identity.cert.label, "owner",
            text_or_null(c->owner), "payout", text_or_null(c->payout),
            "machine", c->machine, "node", plan->index_node, "invited",
            c->invitation != NULL, "offer", offer, "because",
            plan->not_yet[0] ? json_string(plan->not_yet) : json_null(),
            "files", files, "start", units(plan), "checks", checks));
    }
    json_decref(checks);
    json_decref(offer);
    json_decref(files);
    puts("nothing was changed");
    return XN_EXIT_OK;
}
