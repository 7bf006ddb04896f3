/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/xenocorp_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corp/xenocorp.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/client.h"
#include "wire/msg.h"
#include "wire/nest.h"

#define PATIENCE_MS 30000

/* Where the daemon said that it is found. */
static int read_url(const char *dir, struct net_corp *corp_out)
{
    char path[512], line[256] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s/url", dir);
    file = fopen(path, "re");
    if (!file) return XN_ENOENT;
    if (!fgets(line, sizeof line, file)) line[0] = 0;
    fclose(file);
    line[strcspn(line, "\n")] = 0;
    return net_corp_parse(line, corp_out);
}

bool staff_is_corp(const char *dir)
{
    char path[512];

    snprintf(path, sizeof path, "%s/key.pem", dir);
    return access(path, F_OK) == 0;
}

int staff_load(const char *program, const char *what, const char *dir,
               struct net_identity *identity_out)
{
    memset(identity_out, 0, sizeof *identity_out);
    if (!staff_is_corp(dir))
        return xn_gripe_rcf(program, XN_EIDENT, "NOKEY", what,
                            "xenocorp init DIR NAME, or xenocorpd's state "
                            "folder",
                            "%s holds no key of a XenoCorp", dir);
    return xn_exit_code(net_identity_corp(program, dir, NULL, identity_out));
}

int staff_open(struct staff *staff, const char *program, const char *what,
               const char *dir)
{
    int code;

    memset(staff, 0, sizeof *staff);
    staff->program = program;
    staff->what = what;
    code = staff_load(program, what, dir, &staff->identity);
    if (code) return code;
    if (read_url(dir, &staff->corp) == 0) return XN_EXIT_OK;
    return xn_gripe_rcf(program, XN_EUNREACH, NULL, what,
                        "start xenocorpd first",
                        "%s/url does not say where the XenoCorp is found", dir);
}

void staff_close(struct staff *staff)
{
    net_identity_clear(&staff->identity);
}

int staff_gripe(const struct staff *staff, int rc, const char *because,
                const char *try)
{
    return xn_gripe_rc(staff->program, rc, NULL, staff->what, because, try);
}

static int tell_refusal(const struct staff *staff,
                        const struct net_reply *reply)
{
    Xn__Refusal *refusal =
        xn_unpack(&xn__refusal__descriptor, reply->body.data, reply->body.len);
    int rc = refusal && refusal->rc < 0 ? refusal->rc : XN_EPROTO;

    if (rc == XN_ECONFLICT && staff->conflict) {
        staff_gripe(staff, rc, staff->conflict, "another reference");
        xn__refusal__free_unpacked(refusal, NULL);
    } else if (refusal) {
        staff_gripe(staff, rc, refusal->because, refusal->try_);
        xn__refusal__free_unpacked(refusal, NULL);
    } else {
        staff_gripe(staff, rc, NULL, NULL);
    }
    return rc;
}

static int take(const struct staff *staff, const struct net_reply *reply,
                const ProtobufCMessageDescriptor *type, void *answer_out)
{
    void *answer = xn_unpack(type, reply->body.data, reply->body.len);

    memcpy(answer_out, &answer, sizeof answer);
    if (answer) return 0;
    staff_gripe(staff, XN_EPROTO, NULL,
                "xenocorp and xenocorpd of one version");
    return XN_EPROTO;
}

int staff_ask(const struct staff *staff, const char *path, const void *body,
              const ProtobufCMessageDescriptor *type, void *answer_out)
{
    struct net_reply reply = {.status = 0};
    char url[512], why[256] = "";
    uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = body ? xn_pack(body, &bytes, &len) : 0;

    if (rc) return rc;
    snprintf(url, sizeof url, "%s%s", staff->corp.url, path);
    rc = net_request(&staff->identity, body ? "POST" : "GET", url, bytes, len,
                     &staff->corp.id, PATIENCE_MS, &reply, why, sizeof why);
    if (body && reply.sent && (rc == XN_ETIMEOUT || rc == XN_EUNREACH))
        rc = XN_EUNKNOWN;
    if (rc) {
        staff_gripe(staff, rc, why[0] ? why : NULL,
                    body ? "the same again, a reference counts once; "
                           "xenocorpd must run"
                         : "xenocorpd must run");
    } else if (reply.status == 200) {
        rc = take(staff, &reply, type, answer_out);
    } else {
        rc = tell_refusal(staff, &reply);
    }
    net_reply_clear(&reply);
    free(bytes);
    return rc;
}

/* ---- members by the digits that the lists show ---- */

static bool is_digits(const char *word)
{
    return word[strspn(word, "0123456789abcdef")] == '\0';
}

int staff_digits(const struct staff *staff, const char *kind, const char *word,
                 size_t least)
{
    size_t len = strlen(word);

    if (len >= least && len <= 2 * XN_ID_SIZE && is_digits(word)) return 0;
    return xn_gripe_rcf(staff->program, XN_EINVAL, "USAGE", staff->what,
                        "xenocorp --help; the lists show them",
                        "'%.70s' is no %s: %zu to 64 digits 0-9a-f", word, kind,
                        least);
}

/* Members are in order of id: those that may be meant follow on the word with
 * zeros behind it. */
static int look_up(const struct staff *staff, const char *role,
                   const char *word, Xn__Members **page_out)
{
    char path[256], after[XN_ID_HEX];
    size_t len = strlen(word);

    memset(after, '0', sizeof after - 1);
    after[sizeof after - 1] = '\0';
    memcpy(after, word, len);
    snprintf(path, sizeof path, "/v1/members?role=%s&%s=%s", role,
             len == 2 * XN_ID_SIZE ? "id" : "after", after);
    return staff_ask(staff, path, NULL, &xn__members__descriptor, page_out);
}

static bool begins(const Xn__MemberInfo *info, const char *word)
{
    char hex[XN_ID_HEX] = "";
    xn_id id;

    if (!xn_id_from_bytes(&info->id, &id)) xn_id_hex(&id, hex);
    return strncmp(hex, word, strlen(word)) == 0;
}

int staff_member(const struct staff *staff, const char *role, const char *word,
                 size_t least, Xn__Members **member_out)
{
    Xn__Members *page;
    char try[64];
    size_t n = 0;
    int rc, code = staff_digits(staff, role, word, least);

    if (code) return code;
    rc = look_up(staff, role, word, &page);
    if (rc) return xn_exit_code(rc);
    while (n < page->n_members && begins(page->members[n], word))
        n++;
    if (n == 1) {
        *member_out = page;
        return XN_EXIT_OK;
    }
    xn__members__free_unpacked(page, NULL);
    if (n)
        return corp_usage("%zu %ss or more begin with '%.64s': more digits", n,
                          role, word);
    snprintf(try, sizeof try, "xenocorp %s list DIR", role);
    return xn_gripe_rcf(staff->program, XN_ENOENT, NULL, staff->what, try,
                        "no %s begins with '%.64s'", role, word);
}
