/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client with money at both XenoCorps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "net/client.h"
#include "tools/dev.h"
#include "wire/msg.h"

enum { PURSE_MICRO = 100 * 1000000, TIMEOUT_MS = 30000 };

/* The same each time, so that a platform that is started again pays in once. */
int dev_pay_in(const struct dev_platform *platform, size_t i,
               const struct net_corp *corp, const xn_id *client)
{
    static const char reference[] = "xenodev up";
    struct net_identity staff = {.key = NULL};
    struct net_reply reply = {.status = 0};
    Xn__PayIn pay = XN__PAY_IN__INIT;
    char path[DEV_PATH_MAX], url[sizeof corp->url + 16], why[256] = "";
    uint8_t *body = NULL;
    size_t len = 0;
    xn_id request;
    const char *try = "STATE/log/corp-*.log";
    int rc;

    xn_id_hash(reference, sizeof reference, &request);
    pay.client = xn_id_bytes(client);
    pay.currency = (char *)(uintptr_t)platform->currency;
    pay.micro = PURSE_MICRO;
    pay.request = xn_id_bytes(&request);
    pay.note = (char *)(uintptr_t)reference;
    dev_path(platform, path, "corp-%s", platform->corps[i].name);
    rc = net_identity_corp(DEV_PROGRAM, path, NULL, &staff);
    if (rc) return rc;
    rc = xn_pack(&pay, &body, &len);
    snprintf(url, sizeof url, "%s/v1/accounts", corp->url);
    if (!rc)
        rc = net_request(&staff, "POST", url, body, len, &corp->id, TIMEOUT_MS,
                         &reply, why, sizeof why);
    if (!rc && reply.status != 200) {
        rc = XN_EREFUSED;
        snprintf(why, sizeof why, "it answered with status %d", reply.status);
        /* A XenoCorp that another build made may not have what is asked for. */
        if (reply.status == 404 || reply.status == 403)
            try = "xenodev down, then up, if another version made it";
    }
    if (rc)
        xn_gripe_rcf(DEV_PROGRAM, rc, NULL, "cannot pay in for the client", try,
                     "%s: %s", platform->corps[i].name,
                     why[0] ? why : xn_strerror(rc));
    net_reply_clear(&reply);
    net_identity_clear(&staff);
    free(body);
    return rc;
}

/* One key at both: the second certificate beside the first. */
static int enrol_too(const char *folder, const struct net_corp *corp)
{
    struct net_identity identity = {.key = NULL};
    char cert[XN_ID_HEX + 16], hex[XN_ID_HEX];
    const struct net_enrolment enrolment = {
        .program = DEV_PROGRAM,
        .corp = corp,
        .role = XN__ROLE__CLIENT,
        .label = "developer",
        .cert = cert,
    };
    int rc;

    xn_id_hex(&corp->id, hex);
    snprintf(cert, sizeof cert, "cert-%s.pem", hex);
    rc = net_identity_enrol(folder, &enrolment, &identity);
    net_identity_clear(&identity);
    return rc;
}

int dev_give_money(struct dev_platform *platform)
{
    struct net_identity client = {.key = NULL};
    char folder[DEV_PATH_MAX], url[256];
    struct net_corp corp;
    int rc = dev_client(platform, &client);

    dev_path(platform, folder, "client");
    for (size_t i = 0; !rc && i < DEV_CORPS; i++) {
        dev_corp_url(platform, i, url, sizeof url);
        rc = net_corp_parse(url, &corp);
        if (!rc && i) rc = enrol_too(folder, &corp);
        if (!rc) rc = dev_pay_in(platform, i, &corp, &client.cert.id);
    }
    net_identity_clear(&client);
    return rc;
}
