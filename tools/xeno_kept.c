/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tools/xeno_kept.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/file.h"
#include "lib/text.h"
#include "lib/utc.h"
#include "wire/pemfile.h"

#define FILE_MAX 4096
#define DIGITS_LEAST 4
#define HEX_DIGITS "0123456789abcdef"

static const char cannot[] = "cannot find the session";

static void path_of(const struct xeno *xeno, const xn_id *session,
                    char out[NET_PATH_MAX])
{
    char hex[XN_ID_HEX], inner[XN_ID_HEX + 16];

    xn_id_hex(session, hex);
    snprintf(inner, sizeof inner, "sessions/%s", hex);
    net_file_path(out, xeno->state, inner);
}

/* ---- writing ---- */

void xeno_kept_name(const char *name, char out[XENO_SERVER_NAME_MAX])
{
    bool fits = name && strlen(name) < XENO_SERVER_NAME_MAX;

    snprintf(out, XENO_SERVER_NAME_MAX, "%s", fits ? name : "");
}

int xeno_kept_put(const struct xeno *xeno, const struct xeno_kept *kept)
{
    char folder[NET_PATH_MAX], path[NET_PATH_MAX];
    char name[XENO_SERVER_NAME_MAX], doing[XENO_DOING_MAX];
    char *text = NULL;
    json_t *top;
    int rc, code = xeno_folder(xeno, "sessions", folder);

    if (code) return code;
    path_of(xeno, &kept->session, path);
    /* A session that runs is never lost for a letter that was cut in two. */
    snprintf(name, sizeof name, "%s", kept->name);
    snprintf(doing, sizeof doing, "%s", kept->doing);
    xn_plain(name);
    xn_plain(doing);
    top = json_pack("{s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:s}", "schema",
                    "xeno.kept/1", "session", xeno_json_id(&kept->session),
                    "server", kept->server, "name", name, "corp",
                    xeno_json_id(&kept->corp), "order",
                    xeno_json_id(&kept->serial), "since",
                    xeno_json_time(kept->since_us), "doing", doing);
    if (top) text = json_dumps(top, JSON_INDENT(2));
    json_decref(top);
    if (!text) return xeno_no_memory();
    errno = 0;
    rc = pemfile_write(path, text, strlen(text), true);
    free(text);
    if (!rc) return XN_EXIT_OK;
    return xeno_gripef(rc, "cannot keep where the session is", "more room",
                       "%s: %s", path,
                       errno ? strerror(errno) : xn_strerror(rc));
}

void xeno_kept_drop(const struct xeno *xeno, const xn_id *session)
{
    char path[NET_PATH_MAX];

    path_of(xeno, session, path);
    unlink(path);
}

/* ---- reading ---- */

static bool id_in(const json_t *top, const char *key, xn_id *out)
{
    const char *text = json_string_value(json_object_get(top, key));

    return text && !xn_id_unhex(text, strlen(text), out);
}

static void text_in(const json_t *top, const char *key, char *out, size_t len)
{
    const char *text = json_string_value(json_object_get(top, key));

    snprintf(out, len, "%s", text ? text : "");
    xn_plain(out);
}

static int parse(const struct xn_buf *buf, const xn_id *session,
                 struct xeno_kept *out)
{
    json_t *top = json_loadb((const char *)buf->data, buf->len, 0, NULL);
    const char *since = json_string_value(json_object_get(top, "since"));
    int rc = XN_EINTEGRITY;

    memset(out, 0, sizeof *out);
    text_in(top, "server", out->server, sizeof out->server);
    text_in(top, "name", out->name, sizeof out->name);
    text_in(top, "doing", out->doing, sizeof out->doing);
    (void)id_in(top, "order", &out->serial);
    if (since) (void)xn_utc_parse(since, strlen(since), &out->since_us);
    if (id_in(top, "session", &out->session) && out->server[0] &&
        id_in(top, "corp", &out->corp) && xn_id_eq(session, &out->session))
        rc = 0;
    json_decref(top);
    return rc;
}

static int load(const struct xeno *xeno, const xn_id *session,
                struct xeno_kept *out)
{
    char path[NET_PATH_MAX];
    struct xn_buf buf;
    int rc;

    xn_buf_init(&buf, FILE_MAX);
    path_of(xeno, session, path);
    rc = xn_file_read(path, &buf);
    if (!rc) rc = parse(&buf, session, out);
    xn_buf_clear(&buf);
    return rc;
}

static int by_age(const void *a, const void *b)
{
    const struct xeno_kept *x = a, *y = b;

    if (x->since_us != y->since_us) return x->since_us < y->since_us ? -1 : 1;
    return xn_id_cmp(&x->session, &y->session);
}

int xeno_kept_all(const struct xeno *xeno, struct xeno_kept **kept_out,
                  size_t *n_out)
{
    struct xeno_kept *all = NULL, *more;
    char folder[NET_PATH_MAX];
    const struct dirent *entry;
    size_t n = 0, room = 0;
    xn_id id;
    DIR *dir;

    net_file_path(folder, xeno->state, "sessions");
    dir = opendir(folder);
    while (dir && n < XENO_KEPT_MAX && (entry = readdir(dir))) {
        if (xn_id_unhex(entry->d_name, strlen(entry->d_name), &id)) continue;
        if (n == room) {
            room = room ? 2 * room : 16;
            more = realloc(all, room * sizeof *all);
            if (!more) {
                free(all);
                closedir(dir);
                return xeno_no_memory();
            }
            all = more;
        }
        if (!load(xeno, &id, &all[n])) n++;
    }
    if (dir) closedir(dir);
    if (n) qsort(all, n, sizeof *all, by_age);
    *kept_out = all;
    *n_out = n;
    return XN_EXIT_OK;
}

/* ---- which one is meant ---- */

static size_t match(const struct xeno_kept *all, size_t n, const char *digits,
                    size_t len, struct xeno_kept *out)
{
    char hex[XN_ID_HEX];
    size_t found = 0;

    for (size_t i = 0; i < n; i++) {
        xn_id_hex(&all[i].session, hex);
        if (memcmp(hex, digits, len) != 0) continue;
        *out = all[i];
        found++;
    }
    return found;
}

static int read_task(const char *slash, uint32_t *task_out)
{
    uint64_t number = 0;

    if (!slash) return XN_EXIT_OK;
    if (!task_out || xn_number_parse(slash + 1, UINT32_MAX, &number) || !number)
        return xeno_usage("'%.40s' is no task of a session: a number from 1",
                          slash + 1);
    *task_out = (uint32_t)number;
    return XN_EXIT_OK;
}

int xeno_kept_find(const struct xeno *xeno, const char *text,
                   struct xeno_kept *kept_out, uint32_t *task_out)
{
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text), n, found;
    struct xeno_kept *all;
    int code;

    if (task_out) *task_out = 0;
    if (len < DIGITS_LEAST || len >= XN_ID_HEX ||
        strspn(text, HEX_DIGITS) != len) {
        return xeno_usage("'%.80s' is no session: 4 to 64 of 0-9a-f%s", text,
                          task_out ? ", then perhaps /N" : "");
    }
    code = read_task(slash, task_out);
    if (!code) code = xeno_kept_all(xeno, &all, &n);
    if (code) return code;
    found = match(all, n, text, len, kept_out);
    free(all);
    if (found == 1) return XN_EXIT_OK;
    return xeno_gripef(XN_ENOENT, cannot, "xeno list --all",
                       found ? "%.64s begins more than one session"
                             : "%.64s: this state folder knows of no such "
                               "session",
                       text);
}

int xeno_place(const struct xeno *xeno, const char *text,
               struct xeno_place *place_out)
{
    struct xeno_place *p = place_out;
    int code;

    memset(p, 0, sizeof *p);
    code = xeno_kept_find(xeno, text, &p->kept, &p->task);
    if (!code) code = xeno_member(xeno, &p->kept.corp, &p->member);
    if (code) return code;
    code = xeno_server_as(p->kept.server, &p->member, &p->server);
    if (!code && xeno_seek(xeno, &p->server, p->kept.server))
        (void)xeno_kept_put(xeno, &p->kept);
    if (code) xeno_member_clear(&p->member);
    return code;
}

void xeno_place_clear(struct xeno_place *place)
{
    xeno_member_clear(&place->member);
}
