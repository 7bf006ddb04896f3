/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host agent as a daemon: options, settings and identity around the core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostagent/host.h"
#include "hostagent/offer.h"
#include "hostagent/xenohostd_cluster.h"
#include "hostagent/xenohostd_offer.h"
#include "lib/arena.h"
#include "lib/err.h"
#include "lib/gripe.h"
#include "net/admission.h"
#include "net/daemon.h"

#define PROGRAM "xenohostd"
#define ARENA_MAX (4 << 20)
#define MB 1000000ULL

static int bad_offer(int rc, const char *why)
{
    xn_gripe_rc(PROGRAM, rc, NULL, "cannot make an offer", why,
                "man xenohostd.conf");
    return rc;
}

static int check_offer(const struct advert_offer *offer)
{
    struct xn_buf xml;
    char why[256];
    int rc;

    xn_buf_init(&xml, ADVERT_BYTES_MAX);
    rc = offer_write(offer, 1, &xml, NULL, why, sizeof why);
    xn_buf_clear(&xml);
    return rc ? bad_offer(rc, why) : 0;
}

/* The same before name, corp and address are known: with some in their place.
 */
static int check_settings(const struct advert_offer *offer)
{
    static const char *const some_corp[] = {"corp"};
    struct advert_offer whole = *offer;

    whole.corps = some_corp;
    whole.n_corps = 1;
    if (!whole.server_name) whole.server_name = "name";
    if (!whole.endpoint) whole.endpoint = "https://endpoint";
    return check_offer(&whole);
}

/* publish.nodes, unless --node has named some, which beat it. */
static int set_nodes(const struct net_daemon *daemon, struct xn_arena *arena,
                     struct host_config *config)
{
    const char *text = net_settings_text(daemon->settings, "publish.nodes");
    char **list = NULL;
    size_t i;
    int rc = 0;

    if (config->n_nodes == 0 && text) {
        rc = xenohostd_split(text, ' ', HOST_NODES_MAX, arena, &list,
                             &config->n_nodes);
        for (i = 0; !rc && i < config->n_nodes; i++)
            config->nodes[i] = list[i];
    }
    if (rc == 0 && config->n_nodes == 0) rc = XN_EINVAL;
    for (i = 0; !rc && i < config->n_nodes; i++) {
        if (strncmp(config->nodes[i], "https://", 8) != 0) rc = XN_EINVAL;
    }
    if (rc) {
        xn_gripe_rcf(
            PROGRAM, rc, NULL, "cannot publish", "--node https://HOST:PORT",
            "1 to %d nodes are needed, each an https:// URL", HOST_NODES_MAX);
    }
    return rc;
}

/* Name, corps and address are known only now. */
static int complete_offer(const struct net_daemon *daemon,
                          struct xn_arena *arena, struct advert_offer *offer)
{
    const struct net_identity *self = &daemon->identity;
    const struct xn_cert *corp =
        xn_anchors_find(self->anchors, &self->cert.corp);
    const char *more = net_settings_text(daemon->settings, "publish.corps");
    char **corps = NULL, url[256];
    size_t n = 0;
    int rc;

    rc = xenohostd_split(more ? more : "", ' ', NET_DAEMON_CORPS_MAX, arena,
                         &corps, &n);
    if (rc) return bad_offer(rc, "publish.corps: too many");
    if (corp) corps[n++] = xn_arena_strdup(arena, corp->label);
    offer->corps = (const char *const *)corps;
    offer->n_corps = n;
    if (!offer->server_name) {
        offer->server_name = xn_arena_strdup(arena, self->cert.label);
    }
    snprintf(url, sizeof url, "https://%s",
             net_driver_api_address(daemon->driver));
    if (!offer->endpoint) offer->endpoint = xn_arena_strdup(arena, url);
    return offer->endpoint && offer->server_name ? 0 : XN_ENOMEM;
}

static int set_certificate(const struct net_daemon *daemon,
                           struct host_config *config)
{
    uint8_t *der = NULL;
    size_t len = 0;
    int rc = xn_cert_to_der(daemon->identity.x509, &der, &len);

    if (!rc) xn_id_hash(der, len, &config->certificate);
    free(der);
    return rc;
}

/* It sells for the corp that certified it; without --corp nobody knows where to
 * ask, and it only advertises. */
static void set_sale(const struct net_daemon *daemon,
                     struct host_config *config)
{
    const struct net_settings *set = daemon->settings;
    const xn_id *corp = &daemon->identity.cert.corp;
    size_t i;

    config->quote_us = net_settings_span_us(set, "sell.quote");
    config->charge_us = net_settings_span_us(set, "sell.charge");
    config->activity_us = net_settings_span_us(set, "activity.kept");
    config->notes_max = (uint32_t)net_settings_number(set, "activity.notes");
    config->notes_bytes = (uint64_t)net_settings_number(set, "activity.bytes");
    config->patience_us = net_settings_span_us(set, "sell.patience");
    config->pause_us = net_settings_span_us(set, "sell.pause");
    config->sessions_max = (uint32_t)net_settings_number(set, "sell.sessions");
    for (i = 0; i < daemon->n_corps; i++) {
        const struct net_corp *at = &daemon->corps[i];

        if (at->pinned && !xn_id_eq(&at->id, corp)) continue;
        config->corp = *corp;
        config->corp_url = at->url;
        return;
    }
}

static int configure(const struct net_daemon *daemon,
                     struct host_config *config)
{
    const struct net_settings *set = daemon->settings;

    config->id = daemon->identity.cert.id;
    config->lease_us = net_settings_span_us(set, "publish.lease");
    config->renew_us = net_settings_span_us(set, "publish.renew");
    config->watch_us = net_settings_span_us(set, "publish.watch");
    if (config->lease_us / 2 <= config->renew_us) {
        xn_gripe_rc(PROGRAM, XN_EINVAL, NULL,
                    "cannot keep the advertisement alive",
                    "publish.renew is not less than half of publish.lease",
                    "publish { lease = 15m renew = 5m }");
        return XN_EINVAL;
    }
    set_sale(daemon, config);
    return set_certificate(daemon, config);
}

static int serve(struct net_daemon *daemon, struct xn_arena *arena,
                 struct advert_offer *offer, struct host_config *config)
{
    struct xn_core *core = NULL;
    uint8_t *packed = NULL;
    size_t len = 0;
    int rc;

    rc = configure(daemon, config);
    if (!rc) rc = complete_offer(daemon, arena, offer);
    if (!rc) rc = check_offer(offer);
    config->offer = offer;
    if (!rc) rc = host_config_pack(config, &packed, &len);
    if (!rc) rc = host_new(config, daemon->seed, &core);
    if (!rc) rc = net_daemon_run(daemon, core, packed, len);
    free(packed);
    return rc;
}

/* What sessions run in: tasks, where there is a xenodomd to run them. */
static const char *take_manager(struct net_daemon *daemon,
                                struct host_config *config)
{
    const char *path = net_settings_text(daemon->settings, "sell.xenodomd");
    const char *name = net_settings_text(daemon->settings, "sell.manager");

    config->image = net_settings_text(daemon->settings, "sell.image");
    if (!name) name = path || config->n_members ? "sandbox" : "reserve";
    config->xen = strcmp(name, "xen") == 0;
    config->sandbox = config->xen || strcmp(name, "sandbox") == 0;
    daemon->dom_path = config->sandbox ? path : NULL;
    if (!config->sandbox && strcmp(name, "reserve") != 0)
        return "sell.manager is none of \"sandbox\", \"xen\", \"reserve\"";
    if (!config->sandbox && config->n_members)
        return "sell.manager is \"reserve\", and members run tasks";
    if (config->sandbox && !path && !config->n_members)
        return config->xen
                   ? "sell.manager is \"xen\", and sell.xenodomd is not set"
                   : "sell.manager is \"sandbox\", and sell.xenodomd is not "
                     "set";
    return NULL;
}

static int set_manager(struct net_daemon *daemon, struct host_config *config)
{
    const char *because = take_manager(daemon, config);
    const char *try = "sell { xenodomd = \"/run/xenodomd/socket\" }";

    if (!because && config->xen && !config->bare &&
        (!config->image || !config->image[0])) {
        because = "sell.manager is \"xen\", and sell.image is not set";
        try = "sell { image = \"/var/lib/xenoserver/images/linux\" }";
    }
    if (!because) return 0;
    xn_gripe_rc(PROGRAM, XN_EINVAL, NULL, "cannot run tasks", because, try);
    return XN_EINVAL;
}

/* Where images are kept is the operator's to say, since xenodomd must be told,
 * too, and tasks of other users read them. */
static int set_images(struct net_daemon *daemon,
                      struct net_images_config *images,
                      struct host_config *config)
{
    const struct net_settings *set = daemon->settings;

    images->dir = net_settings_text(set, "images.folder");
    if (!images->dir || !config->sandbox || config->bare) return 0;
    images->store = net_settings_text(set, "images.store");
    images->hosts = net_settings_text(set, "images.hosts");
    images->ca = net_settings_text(set, "images.ca");
    images->unpack = net_settings_text(set, "images.unpacker");
    images->size_max = net_settings_number(set, "images.size") * MB;
    images->room = net_settings_number(set, "images.room") * MB;
    images->private_ok = net_settings_bool(set, "images.private");
    if (images->room < images->size_max ||
        (images->store && images->store[0] != '/')) {
        xn_gripe_rc(PROGRAM, XN_EINVAL, NULL, "cannot keep images",
                    images->room < images->size_max
                        ? "images.room is less than images.size"
                        : "images.store is no absolute path",
                    "man xenohostd.conf");
        return XN_EINVAL;
    }
    daemon->images = images;
    config->images = true;
    return 0;
}

/* The operator's own word on each order. */
static int set_admission(struct net_daemon *daemon, struct host_config *config)
{
    const struct net_settings *set = daemon->settings;
    char why[1200];
    int rc;

    daemon->admission = net_settings_text(set, "admission.program");
    if (!daemon->admission) return 0;
    daemon->admission_us = net_settings_span_us(set, "admission.time");
    config->policy_us = daemon->admission_us;
    config->policy_open = net_settings_bool(set, "admission.open");
    rc = net_admission_check(daemon->admission, why, sizeof why);
    if (rc) {
        xn_gripe_rc(PROGRAM, rc, NULL, "cannot ask admission.program", why,
                    rc == XN_EPERM ? "chown root, chmod go-w, also of the "
                                     "folders above it"
                                   : "man xenohostd.conf");
    }
    return rc;
}

static int bad_cluster(int rc, const char *why)
{
    xn_gripe_rc(PROGRAM, rc, NULL, "cannot be part of a cluster", why,
                "man xenohostd.conf");
    return rc;
}

/* It stands before the xenodomd of its machine, and that is all. */
static int run_member(struct net_daemon *daemon, struct xn_arena *arena)
{
    struct xn_core *core = NULL;
    struct net_images_config images = {.dir = NULL};
    struct host_config as = {.sandbox = true};
    struct member_config config;
    uint8_t *packed = NULL;
    char why[256];
    size_t len = 0;
    int rc;

    rc = xenohostd_member(daemon->settings, arena, &config, why, sizeof why);
    if (rc) return bad_cluster(rc, why);
    rc = set_images(daemon, &images, &as);
    if (rc) return rc;
    config.images = as.images;
    daemon->store = NET_STORE_NONE;
    daemon->dom_path = net_settings_text(daemon->settings, "sell.xenodomd");
    rc = net_daemon_open(daemon);
    if (!rc) config.id = daemon->identity.cert.id;
    if (!rc) rc = member_config_pack(&config, &packed, &len);
    if (!rc) rc = member_new(&config, daemon->seed, &core);
    if (!rc) rc = net_daemon_run(daemon, core, packed, len);
    free(packed);
    return rc;
}

/* What can be wrong with the offer is told before anything is registered. */
static int prepare(struct net_daemon *daemon, struct xn_arena *arena,
                   struct advert_offer *offer, struct host_config *config,
                   struct net_images_config *images)
{
    char why[256];
    int rc;

    rc = xenohostd_members(daemon->settings, arena, config, why, sizeof why);
    if (rc) return bad_cluster(rc, why);
    rc = set_nodes(daemon, arena, config);
    if (!rc) rc = set_manager(daemon, config);
    if (!rc) rc = set_images(daemon, images, config);
    if (!rc) rc = set_admission(daemon, config);
    if (rc) return rc;
    if (!daemon->index_node) daemon->index_node = config->nodes[0];
    rc = xenohostd_offer(daemon->settings, arena, offer, why, sizeof why);
    return rc ? bad_offer(rc, why) : check_settings(offer);
}

static int run_host(struct net_daemon *daemon, struct xn_arena *arena,
                    struct host_config *config)
{
    struct net_images_config images = {.dir = NULL};
    struct advert_offer offer;
    int rc = prepare(daemon, arena, &offer, config, &images);

    if (!rc) rc = net_daemon_open(daemon);
    return rc ? rc : serve(daemon, arena, &offer, config);
}

int main(int argc, char **argv)
{
    struct host_config config;
    const struct xn_option options[] = {
        XN_OPTION_LIST("node", "URL",
                       "a node to publish through; repeatable, tried in turn",
                       config.nodes, &config.n_nodes),
    };
    struct net_daemon daemon = {
        .program = PROGRAM,
        .purpose = "a server's agent: advertises what it offers",
        .role = XN__ROLE__SERVER,
        .wants_api = true,
        .store = NET_STORE_LOGGED,
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .settings_rows = xenohostd_offer_rows,
        .n_settings_rows = XENOHOSTD_OFFER_ROWS,
    };
    struct xn_arena arena;
    int rc;

    host_config_default(&config);
    rc = net_daemon_init(&daemon, argc, argv);
    xn_arena_init(&arena, ARENA_MAX);
    if (!rc && !daemon.exit_now) {
        rc = xenohostd_is_member(daemon.settings)
                 ? run_member(&daemon, &arena)
                 : run_host(&daemon, &arena, &config);
    }
    rc = net_daemon_end(&daemon, rc);
    xn_arena_clear(&arena);
    return rc;
}
