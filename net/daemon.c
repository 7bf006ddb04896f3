/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "lib/log.h"
#include "lib/notify.h"
#include "net/clock.h"
#include "net/file.h"
#include "net/log_json.h"
#include "net/options.h"

/* Renewed when less is left. */
#define RENEW_US (30 * 86400 * 1000000ULL)

/* ---- state folder ------------------------------------------------------ */

static int no_state(const struct net_daemon *d, const char *because)
{
    xn_gripe_rcf(d->program, XN_EIO, NULL, "cannot use the state folder",
                 "--state DIR", "%s: %s", d->state ? d->state : "(none)",
                 because);
    return XN_EIO;
}

/* Where no --state says otherwise; kept in d->state_own. */
static int default_state(struct net_daemon *d)
{
    const char *home = getenv("HOME");

    if (geteuid() == 0) {
        snprintf(d->state_own, sizeof d->state_own, "/var/lib/xeno/%s",
                 d->program);
    } else if (home && *home == '/') {
        snprintf(d->state_own, sizeof d->state_own,
                 "%.200s/.local/state/xeno/%s", home, d->program);
    } else {
        return no_state(d, "HOME is not set");
    }
    d->state = d->state_own;
    if (net_file_parents(d->state)) return no_state(d, strerror(errno));
    return 0;
}

/* The pid in it is for people; whether somebody lives is what the lock says. */
static int lock_state(struct net_daemon *d)
{
    char path[NET_PATH_MAX], text[32];
    int n;

    net_file_path(path, d->state, "lock");
    d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0) return no_state(d, strerror(errno));
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB)) {
        no_state(d, "another daemon runs on it");
        return XN_EBUSY;
    }
    n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(d->lock_fd, 0) || write(d->lock_fd, text, (size_t)n) != n) {
        return no_state(d, strerror(errno));
    }
    return 0;
}

static int open_state(struct net_daemon *d)
{
    int rc = d->state ? 0 : default_state(d);

    if (rc) return rc;
    if (strlen(d->state) > 300 || strchr(d->state, '#')) {
        return no_state(d, "its name is too long or holds a '#'");
    }
    umask(077); /* the store holds what members told of themselves */
    if (net_file_dir(d->state)) return no_state(d, strerror(errno));
    rc = net_file_private(d->state);
    if (rc == XN_EPERM) {
        xn_gripe_rcf(d->program, rc, NULL, "cannot use the state folder",
                     "chmod go-w, or --state with a folder of your own",
                     "%s: others can change what is in it", d->state);
    } else if (rc) {
        no_state(d, strerror(errno));
    }
    return rc ? rc : lock_state(d);
}

/* ---- settings ---------------------------------------------------------- */

static int join_settings(struct net_daemon *d)
{
    size_t n_common;
    const struct net_setting *common = net_common_settings(d->role, &n_common);
    size_t n = d->n_settings_rows + n_common;

    d->rows = calloc(n + 1, sizeof *d->rows);
    if (!d->rows) return XN_ENOMEM;
    if (d->n_settings_rows) {
        memcpy(d->rows, d->settings_rows, d->n_settings_rows * sizeof *d->rows);
    }
    memcpy(d->rows + d->n_settings_rows, common, n_common * sizeof *common);
    return net_settings_new(d->rows, n, &d->settings);
}

/* Where the command line says nothing of it. */
static int join_as_configured(struct net_daemon *d)
{
    const char *corps, *label;
    char bad[300];

    if (d->role == XN__ROLE__CORP) return 0;
    corps = net_settings_text(d->settings, "join.corps");
    label = net_settings_text(d->settings, "join.label");
    if (!d->label) d->label = label;
    if (!d->invitation)
        d->invitation = net_settings_text(d->settings, "join.invitation");
    if (d->n_corps || !corps) return 0;
    if (net_options_corps(corps, d->corps, NET_DAEMON_CORPS_MAX, &d->n_corps,
                          bad, sizeof bad) == 0) {
        return 0;
    }
    xn_gripef(d->program, "cannot use these settings [XS-2-CONF]",
              "join { corps = \"https://host:port#ID\" }",
              "join.corps: '%.200s' is not a XenoCorp, or one too many", bad);
    return XN_EINVAL;
}

static int open_settings(struct net_daemon *d)
{
    char why[600], try[80];
    size_t i;
    int rc = join_settings(d);

    if (rc) return rc;
    if (d->config)
        rc = net_settings_file(d->settings, d->config, why, sizeof why);
    for (i = 0; i < d->n_sets && !rc; i++)
        rc = net_settings_set(d->settings, d->sets[i], why, sizeof why);
    snprintf(try, sizeof try, "%s --help, which names them all", d->program);
    if (rc) {
        xn_gripef(d->program, "cannot use these settings [XS-2-CONF]", try,
                  "%s", why);
        return rc == XN_ENOMEM ? rc : XN_EINVAL;
    }
    if (!d->listen && d->wants_links) {
        d->listen = net_settings_text(d->settings, "listen.links");
    }
    if (!d->listen_api) {
        d->listen_api = net_settings_text(d->settings, "listen.api");
    }
    if (!d->log_level) {
        d->log_level = net_settings_text(d->settings, "log.level");
    }
    return join_as_configured(d);
}

static int open_log(struct net_daemon *d)
{
    const char *form = net_settings_text(d->settings, "log.form");
    int level = xn_log_level_parse(d->log_level);

    if (level < 0) {
        xn_gripe_rcf(d->program, XN_EINVAL, NULL, "cannot start",
                     "error, warn, info or debug",
                     "'%.20s' is not a level of the log", d->log_level);
        return XN_EINVAL;
    }
    if (strcmp(form, "text") != 0 && strcmp(form, "json") != 0) {
        xn_gripe_rcf(d->program, XN_EINVAL, NULL, "cannot start",
                     "text or json", "'%.20s' is not a form of the log", form);
        return XN_EINVAL;
    }
    xn_log_open(d->program, (enum xn_log_level)level,
                form[0] == 'j' ? net_log_json : NULL);
    return 0;
}

/* Hundreds of links and connections are our trade. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int net_daemon_init(struct net_daemon *d, int argc, char **argv)
{
    int rc;

    d->lock_fd = -1;
    rc = net_options_parse(d, argc, argv);
    if (rc || d->exit_now) return rc;
    rc = open_settings(d);
    if (!rc) rc = open_log(d);
    if (!rc) rc = open_state(d);
    if (!rc && !d->seed_given &&
        RAND_bytes((unsigned char *)&d->seed, sizeof d->seed) != 1) {
        rc = XN_EIO;
    }
    raise_limits();
    return rc;
}

/* ---- identity and driver ----------------------------------------------- */

static int enrol(struct net_daemon *d)
{
    struct net_enrolment e = {
        .program = d->program,
        .corp = &d->corps[0],
        .role = d->role,
        .label = d->label ? d->label : "node",
        .owner = d->owner,
        .payout = d->payout,
        .machine = d->machine,
        .index_node = d->index_node,
        .invitation = d->invitation,
    };

    return net_identity_enrol(d->state, &e, &d->identity);
}

/* Shortly before its end a certificate is renewed; that the corp cannot be
 * reached then is no reason to stay away. */
static void renew(struct net_daemon *d)
{
    struct net_identity old = d->identity;

    if (d->identity.cert.not_after_us > net_wall_us() + RENEW_US ||
        d->n_corps == 0) {
        return;
    }
    memset(&d->identity, 0, sizeof d->identity);
    if (enrol(d)) {
        xn_log(XN_LOG_WARN, "the certificate ends soon and was not renewed");
        d->identity = old;
    } else {
        net_identity_clear(&old);
    }
}

static int open_identity(struct net_daemon *d)
{
    size_t i;
    int rc;

    if (d->role == XN__ROLE__CORP) {
        return net_identity_corp(d->program, d->state, d->label, &d->identity);
    }
    rc = net_identity_load(d->state, &d->identity);
    if (!rc) {
        renew(d);
    } else if ((rc == XN_ENOENT || rc == XN_EEXPIRED) && d->n_corps > 0) {
        rc = enrol(d);
    } else {
        rc = net_identity_gripe(d->program, d->state, rc);
    }
    for (i = 0; i < d->n_corps && !rc; i++) {
        rc = net_identity_accept(d->program, d->state, &d->corps[i],
                                 &d->identity);
    }
    return rc;
}

/* So it is at the first start behind `xenoserver join`, too. */
static void warn_of_no_store(const struct net_daemon *d, const char *path)
{
    if (access(path, F_OK) == 0) return;
    xn_log(XN_LOG_WARN,
           "%s is not there, an empty one is begun: if this key was used "
           "before, man %s says what is forgotten",
           path, d->program);
}

int net_daemon_open(struct net_daemon *d)
{
    struct net_config config;
    char store[NET_PATH_MAX], key[NET_PATH_MAX];
    bool had_key;
    int rc;

    net_file_path(store, d->state, "store.kct");
    net_file_path(key, d->state, "key.pem");
    had_key = access(key, F_OK) == 0;
    rc = open_identity(d);
    if (rc) return rc;
    if (had_key && d->store == NET_STORE_LOGGED) warn_of_no_store(d, store);
    net_config_default(&config);
    config.program = d->program;
    config.identity = &d->identity;
    config.listen_links = d->wants_links ? d->listen : NULL;
    config.listen_api = d->wants_api ? d->listen_api : NULL;
    config.store = d->store;
    config.store_path = store;
    config.record_path = d->record;
    config.delay_path = d->delay;
    config.api_body_max = d->api_body_max;
    config.dom_path = d->dom_path;
    config.images = d->images;
    config.admission = d->admission;
    config.admission_us = d->admission_us;
    config.threads =
        (unsigned)net_settings_number(d->settings, "limits.threads");
    if (d->wants_links) {
        config.links_max =
            (unsigned)net_settings_number(d->settings, "limits.links");
        config.handshakes =
            (unsigned)net_settings_number(d->settings, "limits.handshakes");
        config.private_ok = net_settings_bool(d->settings, "links.private");
        config.announced = d->announced;
    }
    config.api_max =
        (unsigned)net_settings_number(d->settings, "limits.connections");
    config.api_connects =
        (unsigned)net_settings_number(d->settings, "limits.connects");
    config.api_connects_all =
        (unsigned)net_settings_number(d->settings, "limits.connects_all");
    config.api_rate =
        (unsigned)net_settings_number(d->settings, "limits.anonymous");
    config.api_rate_certified =
        (unsigned)net_settings_number(d->settings, "limits.certified");
    return net_driver_new(&config, &d->driver);
}

/* ---- running ----------------------------------------------------------- */

static int say_ready(struct net_daemon *d)
{
    char hex[XN_ID_HEX], line[320];
    const char *links = net_driver_links_address(d->driver);
    const char *api = net_driver_api_address(d->driver);
    int n, rc = 0;

    xn_id_hex(&d->identity.cert.id, hex);
    n = snprintf(line, sizeof line, "ready pid=%d id=%s%s%s%s%s\n",
                 (int)getpid(), hex, *links ? " links=" : "", links,
                 *api ? " api=" : "", api);
    xn_log(XN_LOG_INFO, "%.*s", n - 1, line);
    /* Behind the pid, for tools that ask the daemon of a state folder. */
    if (*api && dprintf(d->lock_fd, "api=%s\n", api) < 0) rc = XN_EIO;
    if (rc == 0) xn_notify_ready();
    if (d->ready_fd < 0) return 0;
    if (write(d->ready_fd, line, (size_t)n) != n) {
        xn_gripe_rcf(d->program, XN_EIO, NULL, "cannot say that it is ready",
                     NULL, "--ready-fd %d: %s", d->ready_fd, strerror(errno));
        rc = XN_EIO;
    }
    close(d->ready_fd);
    d->ready_fd = -1;
    return rc;
}

int net_daemon_run(struct net_daemon *d, struct xn_core *core,
                   const void *config, size_t config_len)
{
    int rc = say_ready(d);

    if (rc) {
        xn_core_free(core);
        return rc;
    }
    return net_driver_run(d->driver, core, core->ops->name, d->seed, config,
                          config_len);
}

int net_daemon_end(struct net_daemon *d, int rc)
{
    net_driver_free(d->driver);
    net_identity_clear(&d->identity);
    net_settings_free(d->settings);
    free(d->rows);
    if (d->lock_fd >= 0) close(d->lock_fd);
    return xn_end(d->program, xn_exit_code(rc));
}
