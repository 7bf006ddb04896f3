/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The XenoCorp as a daemon: options and settings around the corp core. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corp/corp.h"
#include "corp/xenocorp_books.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/daemon.h"
#include "net/file.h"

#define PROGRAM "xenocorpd"
#define BODY_MAX (128U << 10) /* no question is larger: validate.c */
#define SECOND 1000000ULL
#define MINUTE (60 * SECOND)
#define DAY (24 * 3600 * SECOND)
#define INVITATION_MAX 128

static const struct net_setting settings[] = {
    {"register.name", NET_TEXT, NULL, 1, 63,
     "what it is called, where no --name is given"},
    {"register.invitation", NET_TEXT, NULL, 1, 300,
     "the file, where no --invitation is given"},
    {"register.certificate", NET_SPAN, "90d", 60 * SECOND, 3650 * DAY,
     "life of a certificate"},
    {"register.burst", NET_NUMBER, "1000", 1, 1000000,
     "registrations from one address at once"},
    {"register.per_minute", NET_NUMBER, "60", 0, 1000000,
     "more of them a minute; 0: no bound"},
    {"nodes.burst", NET_NUMBER, "100", 1, 1000000,
     "places on the ring for nodes of one address at once"},
    {"nodes.per_day", NET_NUMBER, "10", 0, 1000000,
     "more of them a day; 0: no bound"},
    {"nodes.alive", NET_SPAN, "180s", SECOND, DAY,
     "how long after its last word a node counts as live"},
    {"nodes.sample", NET_NUMBER, "16", 1, 64, "live nodes handed out at once"},
    {"nodes.most", NET_NUMBER, "1000000", 1, 10000000, "nodes remembered"},
    {"orders.burst", NET_NUMBER, "1000", 1, 1000000,
     "orders issued to one client at once"},
    {"orders.per_minute", NET_NUMBER, "60", 0, 1000000,
     "more of them a minute; 0: no bound"},
    {"claims.burst", NET_NUMBER, "6000", 1, 1000000,
     "claims of one server at once, beyond the bound of each session"},
    {"claims.per_minute", NET_NUMBER, "6000", 0, 1000000,
     "more of them a minute; 0: no bound"},
    {"money.prepay", NET_TEXT, "none", 1, 32,
     "paid to a server on acceptance: none, or setup"},
    {"money.payout", NET_TEXT, "all", 1, 32,
     "what servers get: all, or all but a share"},
    {"money.share", NET_NUMBER, "0", 0, 1000000,
     "the XenoCorp's share, in millionths"},
    {"money.most", NET_NUMBER, "1000000", 0, 1000000000,
     "whole units paid in, or given as credit, at once; 0: no bound"},
    {"money.slack", NET_SPAN, "2s", 0, 300 * SECOND,
     "forgiven between clocks in a claim"},
    {"money.grace", NET_SPAN, "10m", 0, 30 * DAY,
     "for claims behind an order's end or stop"},
};

/* The invitation is the file's first line. */
static int read_invitation(const char *path, struct corp_config *config)
{
    char line[INVITATION_MAX + 2] = "";
    FILE *file = fopen(path, "re");
    size_t len;

    if (!file || !fgets(line, sizeof line, file)) {
        xn_gripef(PROGRAM, "cannot read the invitation",
                  "a file with one line, readable by this user", "%s: %s", path,
                  file && !ferror(file) ? "is empty" : strerror(errno));
        if (file) fclose(file);
        return XN_EIO;
    }
    fclose(file);
    len = strcspn(line, "\r\n");
    line[len] = 0;
    if (len == 0 || len > INVITATION_MAX) {
        xn_gripef(PROGRAM, "cannot use the invitation",
                  "openssl rand -hex 16 > FILE",
                  "%s: an invitation is a line of 1 to %d bytes", path,
                  INVITATION_MAX);
        return XN_EINVAL;
    }
    corp_config_invite(config, line);
    return 0;
}

static struct xn_rate rate_of(const struct net_settings *set, const char *burst,
                              const char *per_period, uint64_t period_us)
{
    uint64_t n = net_settings_number(set, per_period);

    return (struct xn_rate){
        .burst = (uint32_t)net_settings_number(set, burst),
        .step_us = n ? period_us / n : 0,
    };
}

static int configure_money(const struct net_settings *set,
                           struct corp_config *config)
{
    const char *prepay = net_settings_text(set, "money.prepay");
    const char *payout = net_settings_text(set, "money.payout");

    config->prepay = corp_prepay_find(prepay);
    config->payout = corp_payout_find(payout);
    config->share_ppm = (uint32_t)net_settings_number(set, "money.share");
    config->most = (int64_t)net_settings_number(set, "money.most") * 1000000;
    config->slack_us = net_settings_span_us(set, "money.slack");
    config->grace_us = net_settings_span_us(set, "money.grace");
    if (config->prepay && config->payout) return 0;
    xn_gripef(PROGRAM, "cannot use the configuration [XS-2-POLICY]",
              "money.prepay none or setup, money.payout all or share",
              "there is no policy %s", config->prepay ? payout : prepay);
    return XN_EINVAL;
}

static int configure(const struct net_daemon *daemon, const char *invitation,
                     struct corp_config *config, uint8_t **der)
{
    const struct net_settings *set = daemon->settings;
    int rc;

    corp_config_default(config);
    rc = xn_cert_to_der(daemon->identity.x509, der, &config->certificate_len);
    if (rc) return rc;
    config->certificate = *der;
    config->name = daemon->identity.cert.label;
    config->certificate_us = net_settings_span_us(set, "register.certificate");
    config->alive_us = net_settings_span_us(set, "nodes.alive");
    config->sample_max = (uint32_t)net_settings_number(set, "nodes.sample");
    config->nodes_max = (uint32_t)net_settings_number(set, "nodes.most");
    config->registers =
        rate_of(set, "register.burst", "register.per_minute", MINUTE);
    config->places = rate_of(set, "nodes.burst", "nodes.per_day", DAY);
    config->orders = rate_of(set, "orders.burst", "orders.per_minute", MINUTE);
    config->claims = rate_of(set, "claims.burst", "claims.per_minute", MINUTE);
    config->id = daemon->identity.cert.id;
    rc = configure_money(set, config);
    if (rc) return rc;
    if (!invitation) invitation = net_settings_text(set, "register.invitation");
    return invitation ? read_invitation(invitation, config) : 0;
}

/* Where and as whom we are found, what `--corp` of the others takes: on
 * standard output, and in STATE/url for `xenocorp show`. */
static int tell_url(const struct net_daemon *daemon)
{
    char hex[XN_ID_HEX], url[256], path[512], temporary[520];
    FILE *file;

    xn_id_hex(&daemon->identity.cert.id, hex);
    snprintf(url, sizeof url, "https://%s#%s",
             net_driver_api_address(daemon->driver), hex);
    snprintf(path, sizeof path, "%s/url", daemon->state);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    file = fopen(temporary, "we");
    if (file) fprintf(file, "%s\n", url);
    if (!file || fclose(file) || rename(temporary, path)) {
        xn_gripef(PROGRAM, "cannot write where it is found", NULL, "%s: %s",
                  path, strerror(errno));
        return XN_EIO;
    }
    puts(url);
    fflush(stdout);
    return 0;
}

/* A name is for the first start; a later one must not be another. */
static int check_same(const struct net_daemon *daemon)
{
    const char *name = daemon->identity.cert.label;

    if (!daemon->label || strcmp(daemon->label, name) == 0) return 0;
    xn_gripef(PROGRAM, "cannot change a XenoCorp's name [XS-2-NAME]",
              "no --name, or another --state", "%s holds %s, not %s",
              daemon->state, name, daemon->label);
    return XN_EINVAL;
}

static int serve(struct net_daemon *daemon, const char *invitation)
{
    struct corp_config config;
    struct xn_core *core = NULL;
    uint8_t *der = NULL, *packed = NULL;
    size_t len = 0;
    int rc;

    rc = check_same(daemon);
    if (rc) goto out;
    rc = configure(daemon, invitation, &config, &der);
    if (rc) goto out;
    rc = corp_config_pack(&config, &packed, &len);
    if (rc) goto out;
    rc = corp_new(&config, daemon->seed, &core);
    if (rc) goto out;
    rc = tell_url(daemon);
    if (rc) goto out;
    rc = net_daemon_run(daemon, core, packed, len);
    core = NULL; /* it has been taken over */
out:
    xn_core_free(core);
    free(der);
    free(packed);
    return rc;
}

/* The first start needs a name; later ones have it in the certificate. */
static int check_name(const struct net_daemon *daemon)
{
    char path[NET_PATH_MAX], key[NET_PATH_MAX];

    net_file_path(path, daemon->state, "cert.pem");
    net_file_path(key, daemon->state, "key.pem");
    if (!daemon->label && access(path, F_OK) == 0) return 0;
    if (daemon->label && xn_label_valid(daemon->label, strlen(daemon->label))) {
        return 0;
    }
    if (!daemon->label && access(key, F_OK) == 0) {
        xn_gripef(PROGRAM, "cannot find its certificate",
                  "cert.pem of a backup, or --name as it was: the key makes "
                  "another",
                  "%s is not there, though key.pem is", path);
        return XN_EINVAL;
    }
    xn_gripe(PROGRAM, "cannot make a XenoCorp",
             daemon->label ? "a name is 1 to 63 of a-z, 0-9, '.' and '-'"
                           : "its first start needs a name",
             "--name alpha.example");
    return XN_EINVAL;
}

/* A XenoCorp that never had a ledger gets one; one that lost it is refused. */
static int open_books(const struct net_daemon *daemon)
{
    struct net_identity identity;
    char path[NET_PATH_MAX];
    int rc;

    net_file_path(path, daemon->state, "store.kct");
    if (access(path, F_OK) == 0) {
        return books_note(PROGRAM, daemon->state) ? XN_EIO : 0;
    }
    if (books_were_kept(daemon->state)) {
        xn_gripef(PROGRAM, "cannot find the ledger [XS-9-LEDGER]",
                  "xenocorp restore DIR BACKUP | xenocorp init --ledger DIR",
                  "%s is not there, and this XenoCorp has had one", path);
        return XN_EINTEGRITY;
    }
    rc = net_identity_corp(PROGRAM, daemon->state, daemon->label, &identity);
    if (rc) return rc;
    if (books_init(PROGRAM, daemon->state, &identity.cert.id)) rc = XN_EIO;
    net_identity_clear(&identity);
    return rc;
}

int main(int argc, char **argv)
{
    const char *invitation = NULL;
    const struct xn_option options[] = {
        XN_OPTION("invitation", 0, "FILE",
                  "register those alone who know its first line", &invitation),
    };
    struct net_daemon daemon = {
        .program = PROGRAM,
        .purpose = "a XenoCorp: registers nodes, servers and clients",
        .role = XN__ROLE__CORP,
        .wants_api = true,
        .store = NET_STORE_LEDGER,
        .api_body_max = BODY_MAX,
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .settings_rows = settings,
        .n_settings_rows = sizeof settings / sizeof settings[0],
    };
    int rc = net_daemon_init(&daemon, argc, argv);

    if (!rc && !daemon.exit_now && !daemon.label) {
        daemon.label = net_settings_text(daemon.settings, "register.name");
    }
    if (!rc && !daemon.exit_now) rc = check_name(&daemon);
    if (!rc && !daemon.exit_now) rc = open_books(&daemon);
    if (!rc && !daemon.exit_now) rc = net_daemon_open(&daemon);
    if (!rc && !daemon.exit_now) rc = serve(&daemon, invitation);
    return net_daemon_end(&daemon, rc);
}
