/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hostagent/xenoserver_units.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/file.h"

#define NODE_USER "xenonoded"
#define LINKS_PORT "7401"

/* ---- as whom ---- */

static bool become(const struct passwd *user)
{
    return initgroups(user->pw_name, user->pw_gid) == 0 &&
           setegid(user->pw_gid) == 0 && seteuid(user->pw_uid) == 0;
}

static bool become_root(void)
{
    return seteuid(0) == 0 && setegid(0) == 0 && setgroups(0, NULL) == 0;
}

int server_as_owner(struct server *server)
{
    const struct passwd *user;
    struct stat st;

    if (geteuid() != 0 || stat(server->state, &st) || st.st_uid == 0) return -1;
    user = getpwuid(st.st_uid);
    if (user && become(user)) return -1;
    return server_gripef(XN_EPERM, "cannot work on the state folder",
                         "run this as its owner", "%s: cannot become user %u",
                         server->state, (unsigned)st.st_uid);
}

/* ---- what there is ---- */

bool server_has_unit(const struct server *server, const char *unit)
{
    static const char *const folders[] = {
        "/etc/systemd/system", "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system", "/lib/systemd/system"};
    char path[200], config[NET_PATH_MAX];

    net_file_path(config, UNITS_STATE, "xenohostd.conf");
    if (getuid() != 0 || access("/run/systemd/system", F_OK) ||
        strcmp(server->state, UNITS_STATE) != 0 ||
        strcmp(server->config, config) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s.service", folders[i], unit);
        if (access(path, F_OK) == 0) return true;
    }
    return false;
}

/* ---- the node ---- */

static const char node_form[] =
    "# For xenonoded(8): written by `xenoserver join`, which leaves it as it "
    "is "
    "from\n# then on.  xenonoded --help has all settings.\n\n"
    "join {\n    #corps = \"\"\n    #label = \"\"\n    #invitation = "
    "\"\"\n}\n\n"
    "listen {\n    # other nodes\n    #links = \"\"\n"
    "    # servers and clients\n    #api = \"\"\n}\n";

/* The caller's; NULL: a value cannot stand in it, or no memory. */
static char *node_text(const struct server_node *node)
{
    char hex[XN_ID_HEX], corps[300], links[SERVER_HOST_MAX + 8],
        api[SERVER_HOST_MAX + 8], *text = strdup(node_form);
    const char *const rows[][2] = {
        {"join.corps", corps},
        {"join.label", node->label},
        {"listen.links", links},
        {"listen.api", api},
        {"join.invitation", node->invitation},
    };
    struct xn_buf out;
    int rc;

    xn_id_hex(&node->corp->id, hex);
    snprintf(corps, sizeof corps, "%s#%s", node->corp->url, hex);
    snprintf(links, sizeof links, "%s:" LINKS_PORT, node->host);
    snprintf(api, sizeof api, "%s:" SERVER_NODE_PORT, node->host);
    for (size_t i = 0; text && i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i][1]) continue;
        xn_buf_init(&out, NET_CONFIG_BYTES_MAX);
        rc = server_conf_set(text, rows[i][0], rows[i][1], &out);
        free(text);
        text = rc ? NULL : xn_buf_steal_str(&out);
        xn_buf_clear(&out);
    }
    return text;
}

/* For root to change and the node alone to read: an invitation may be in it.
 * NULL, or what is wrong. */
static const char *write_node(const char *text)
{
    const struct group *group = getgrnam(NODE_USER);
    bool good;
    int fd;

    if (!group) return "there is no group " NODE_USER;
    fd = open(UNITS_NODE_CONFIG, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0) return errno == EEXIST ? NULL : strerror(errno);
    good = dprintf(fd, "%s", text) > 0 && !fchown(fd, 0, group->gr_gid) &&
           !fchmod(fd, 0640) && !fsync(fd);
    if (close(fd)) good = false;
    if (!good) unlink(UNITS_NODE_CONFIG);
    return good ? NULL : "it was not written";
}

static const char *make_node_config(const char *text)
{
    if (mkdir(UNITS_NODE_FOLDER, 0755) && errno != EEXIST)
        return strerror(errno);
    return write_node(text);
}

static bool names_corp(const struct net_corp *corp)
{
    char hex[XN_ID_HEX], *text = NULL;
    struct xn_buf file;
    bool named;

    xn_id_hex(&corp->id, hex);
    xn_buf_init(&file, NET_CONFIG_BYTES_MAX);
    if (!xn_file_read(UNITS_NODE_CONFIG, &file)) text = xn_buf_steal_str(&file);
    named = text && strstr(text, hex);
    free(text);
    xn_buf_clear(&file);
    return named;
}

static int cannot_configure(int rc, const char *because)
{
    return server_gripef(rc, "cannot configure the node",
                         "--node URL of another one", "%s: %s",
                         UNITS_NODE_CONFIG, because);
}

static int cannot_go_on(void)
{
    return server_gripe(XN_EPERM, "cannot go on", "setuid failed", NULL);
}

int server_node_plan(const struct server_node *node, char **text_out,
                     bool *knows_out)
{
    const struct passwd *user = getpwuid(geteuid());
    bool there = access(UNITS_NODE_CONFIG, F_OK) == 0;

    *text_out = there ? NULL : node_text(node);
    *knows_out = !there;
    if (!there) {
        return *text_out
                   ? XN_EXIT_OK
                   : cannot_configure(XN_EINVAL, "a value cannot stand in it");
    }
    if (!user || !become_root()) return cannot_go_on();
    *knows_out = names_corp(node->corp);
    return become(user) ? XN_EXIT_OK : cannot_go_on();
}

int server_node_write(const char *text)
{
    const struct passwd *user = getpwuid(geteuid());
    const char *because;

    if (!user || !become_root()) return cannot_go_on();
    because = make_node_config(text);
    if (!become(user)) return cannot_go_on();
    return because ? cannot_configure(XN_EIO, because) : XN_EXIT_OK;
}

/* ---- starting ---- */

/* As root; `words` end with NULL. */
static bool systemctl(const char *const *words)
{
    const char *argv[12] = {"systemctl", "--quiet"};
    int n = 2, status = -1;
    pid_t pid;

    while (*words && n < 11)
        argv[n++] = *words++;
    pid = fork();
    if (pid == 0) {
        if (!become_root() || setuid(0)) _exit(126);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* A unit whose condition does not hold counts as started, and runs nothing. */
static int all_run(const char *const *units)
{
    char status[80];

    for (; *units; units++) {
        const char *const words[] = {"is-active", *units, NULL};

        if (systemctl(words)) continue;
        snprintf(status, sizeof status, "systemctl status %s", *units);
        return server_gripef(XN_EIO, "cannot start the units", status,
                             "%s was started and does not run", *units);
    }
    return XN_EXIT_OK;
}

void server_units_list(const struct server *server, bool node,
                       const char *units_out[UNITS_MAX + 1])
{
    size_t n = 0;

    if (server_has_unit(server, "xenodomd"))
        units_out[n++] = "xenodomd.service";
    if (node) units_out[n++] = "xenonoded.service";
    units_out[n++] = "xenohostd.service";
    units_out[n] = NULL;
}

int server_units_start(const char *const *units, bool restart)
{
    const char *const again[] = {"try-restart", "xenohostd.service", NULL};
    const char *words[2 + UNITS_MAX + 1] = {"enable", "--now"};

    for (size_t i = 0; i < UNITS_MAX && units[i]; i++)
        words[2 + i] = units[i];
    if ((!restart || systemctl(again)) && systemctl(words))
        return all_run(units);
    return server_gripe(XN_EIO, "cannot start the units",
                        "one of them is not ready",
                        "systemctl status xenodomd xenonoded xenohostd");
}
