/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/activity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/utc.h"
#include "net/json.h"
#include "wire/flows.h"
#include "wire/nest.h"

#define PLACE_MAX 64 /* bytes */
#define PROTO_MAX 24

struct note { /* one of them, read */
    Xn__ActivityNote *body;
    xn_id session, serial, hash;
    struct flows flows;
};

static int take(const ProtobufCBinaryData *bytes, struct note *out)
{
    int rc = XN_EPROTO;

    memset(out, 0, sizeof *out);
    out->body =
        xn_unpack(&xn__activity_note__descriptor, bytes->data, bytes->len);
    if (!out->body) return XN_EPROTO;
    xn_id_hash(bytes->data, bytes->len, &out->hash);
    if (!xn_id_from_bytes(&out->body->session, &out->session) &&
        !xn_id_from_bytes(&out->body->serial, &out->serial) &&
        out->body->flows) {
        rc = flows_take(out->body->flows, XN_UTC_US_MAX, &out->flows);
    }
    if (rc) xn__activity_note__free_unpacked(out->body, NULL);
    return rc;
}

static const char *protocol_name(uint8_t protocol, char room[PROTO_MAX])
{
    static const struct {
        uint8_t number;
        const char *name;
    } known[] = {{1, "icmp"}, {6, "tcp"},     {17, "udp"},
                 {47, "gre"}, {58, "icmpv6"}, {132, "sctp"}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].number == protocol) return known[i].name;
    }
    snprintf(room, PROTO_MAX, "protocol-%u", protocol);
    return room;
}

/* ---- for programs ---- */

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *flow_json(const struct flow *flow)
{
    char room[PROTO_MAX];

    return json_pack(
        "{s:s, s:i, s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:b}", "protocol",
        protocol_name(flow->protocol, room), "number", (int)flow->protocol,
        "peer", flow->peer, "peer_port", (int)flow->peer_port, "own_port",
        (int)flow->own_port, "sent_bytes", number(flow->sent), "got_bytes",
        number(flow->got), "first", net_json_time(flow->first_us), "last",
        net_json_time(flow->last_us), "carried", (int)flow->carried);
}

static json_t *note_json(const struct note *note)
{
    const struct flows *f = &note->flows;
    json_t *flows = json_array();

    for (size_t i = 0; i < f->n; i++)
        (void)json_array_append_new(flows, flow_json(&f->list[i]));
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}, "
        "s:s}",
        "note", net_json_id(&note->hash), "session",
        net_json_id(&note->session), "order", net_json_id(&note->serial),
        "claim", number(note->body->sequence), "since",
        net_json_time(note->body->since_us), "till",
        net_json_time(note->body->till_us), "flows", flows, "others", "flows",
        number(f->others), "sent_bytes", number(f->others_sent), "got_bytes",
        number(f->others_got), "unknown", f->unknown);
}

/* ---- for people ---- */

static const char *when(uint64_t us, char room[XN_UTC_TEXT_MAX])
{
    if (!us) return "?";
    xn_utc_format(us / 1000000 * 1000000, room);
    return room;
}

static void say_flow(const struct flow *flow)
{
    char name[PROTO_MAX], first[XN_UTC_TEXT_MAX], last[XN_UTC_TEXT_MAX];
    bool six = strchr(flow->peer, ':') != NULL;

    printf("  %-6s own port %-5u peer %s%s%s:%-5u sent %" PRIu64 " got %" PRIu64
           "  %s to %s%s\n",
           protocol_name(flow->protocol, name), flow->own_port, six ? "[" : "",
           flow->peer, six ? "]" : "", flow->peer_port, flow->sent, flow->got,
           when(flow->first_us, first), when(flow->last_us, last),
           flow->carried ? "  carried" : "");
}

static void say_note(const struct note *note)
{
    char session[XN_ID_HEX], order[XN_ID_HEX], hash[XN_ID_HEX];
    char since[XN_UTC_TEXT_MAX], till[XN_UTC_TEXT_MAX];
    const struct flows *f = &note->flows;

    xn_id_hex(&note->session, session);
    xn_id_hex(&note->serial, order);
    xn_id_hex(&note->hash, hash);
    printf("session %s claim %" PRIu64 "  %s to %s\n  order %s\n  note  %s\n",
           session, note->body->sequence, when(note->body->since_us, since),
           when(note->body->till_us, till), order, hash);
    for (size_t i = 0; i < f->n; i++)
        say_flow(&f->list[i]);
    if (f->others || f->others_sent || f->others_got)
        printf("  others %" PRIu64 " flows at most  sent %" PRIu64
               " got %" PRIu64 "\n",
               f->others, f->others_sent, f->others_got);
    if (f->unknown[0]) {
        fputs("  not all is known: ", stdout);
        xn_put_plain(f->unknown, stdout);
        putchar('\n');
    }
}

/* ---- pages ---- */

static int show_page(const Xn__ActivityNotes *page, json_t *list)
{
    struct note note;
    int rc = 0;

    for (size_t i = 0; i < page->n_notes && !rc; i++) {
        rc = take(&page->notes[i], &note);
        if (rc) break;
        if (list)
            (void)json_array_append_new(list, note_json(&note));
        else
            say_note(&note);
        xn__activity_note__free_unpacked(note.body, NULL);
    }
    return rc;
}

/* false: it does not go on. */
static bool put_path(const struct net_activity *a,
                     const ProtobufCBinaryData *after, char *path, size_t len)
{
    char session[XN_ID_HEX], place[2 * PLACE_MAX + 1] = "";

    if (after->len > PLACE_MAX) return false;
    for (size_t i = 0; i < after->len; i++)
        snprintf(place + 2 * i, 3, "%02x", after->data[i]);
    if (a->session) xn_id_hex(a->session, session);
    snprintf(path, len, "/v1/activity%s%s%s%s%s%s",
             a->session || after->len ? "?" : "", a->session ? "session=" : "",
             a->session ? session : "", a->session && after->len ? "&" : "",
             after->len ? "after=" : "", place);
    return true;
}

static bool goes_on(const ProtobufCBinaryData *last, uint8_t *before,
                    size_t *before_len)
{
    bool further =
        last->len && last->len <= PLACE_MAX &&
        (!*before_len || (last->len == *before_len &&
                          memcmp(last->data, before, last->len) > 0));

    if (!further) return false;
    memcpy(before, last->data, last->len);
    *before_len = last->len;
    return true;
}

int net_activity_show(const struct net_activity *a)
{
    json_t *list = a->json ? json_array() : NULL;
    uint8_t place[PLACE_MAX];
    ProtobufCBinaryData after = {0, place};
    uint64_t kept_us = 0;
    char path[400];
    bool more = true;
    int rc = 0;

    while (more && !rc && put_path(a, &after, path, sizeof path)) {
        Xn__ActivityNotes *page = NULL;

        rc = a->ask(a->arg, path, &page);
        if (rc) {
            json_decref(list);
            return xn_exit_code(rc);
        }
        rc = show_page(page, list);
        kept_us = page->kept_us;
        more = goes_on(&page->last, place, &after.len);
        xn__activity_notes__free_unpacked(page, NULL);
    }
    if (rc) {
        json_decref(list);
        return xn_gripe_rc(a->program, rc, NULL, "cannot tell the activity",
                           "a note is not understood", "another version");
    }
    if (!a->json) return XN_EXIT_OK;
    return net_json_print(a->program,
                          json_pack("{s:s, s:o, s:o}", "schema",
                                    "xeno.activity/1", "kept_s",
                                    number(kept_us / 1000000), "notes", list));
}
