/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "corp/xenocorp_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int staff_open(struct staff *staff, const char *program, const char *what,
               const char *dir)
{
    memset(staff, 0, sizeof *staff);
    staff->program = program;
    staff->what = what;
    if (read_url(dir, &staff->corp)) {
        xn_gripef(program, what, "start xenocorpd first",
                  "%s/url does not say where the XenoCorp is found", dir);
        return XN_EXIT_NETWORK;
    }
    return xn_exit_code(
        net_identity_corp(program, dir, NULL, &staff->identity));
}

void staff_close(struct staff *staff)
{
    net_identity_clear(&staff->identity);
}

static int tell_refusal(const struct staff *staff,
                        const struct net_reply *reply)
{
    Xn__Refusal *refusal =
        xn_unpack(&xn__refusal__descriptor, reply->body.data, reply->body.len);
    int rc = refusal && refusal->rc < 0 ? refusal->rc : XN_EPROTO;

    if (refusal) {
        xn_gripe(staff->program, staff->what, refusal->because,
                 refusal->try_[0] ? refusal->try_ : NULL);
        xn__refusal__free_unpacked(refusal, NULL);
    } else {
        xn_gripe(staff->program, staff->what, xn_strerror(rc), NULL);
    }
    return rc;
}

static int take(const struct staff *staff, const struct net_reply *reply,
                const ProtobufCMessageDescriptor *type, void *answer_out)
{
    void *answer = xn_unpack(type, reply->body.data, reply->body.len);

    memcpy(answer_out, &answer, sizeof answer);
    if (answer) return 0;
    xn_gripe(staff->program, staff->what, xn_strerror(XN_EPROTO),
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
        xn_gripe(staff->program, staff->what, why[0] ? why : xn_strerror(rc),
                 body ? "the same again, a reference counts once; xenocorpd "
                        "must run"
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
