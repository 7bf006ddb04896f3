/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hostagent/xenoserver_units.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"

#define NODE_FOLDER "/etc/xenoserver"
#define NODE_CONFIG NODE_FOLDER "/xenonoded.conf"
#define LINKS_PORT "7401"
#define API_PORT "7402"

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

static bool write_node(int fd, const struct net_corp *corp, const char *label,
                       const char *host)
{
    char hex[XN_ID_HEX];
    int n;

    xn_id_hex(&corp->id, hex);
    n = dprintf(
        fd,
        "# For xenonoded(8): written by `xenoserver join`, which leaves "
        "it as it is from\n# then on.  xenonoded --help has all "
        "settings.\n\n"
        "join {\n    corps = \"%s#%s\"\n    label = \"%s\"\n}\n\n"
        "listen {\n    # other nodes\n    links = \"%s:" LINKS_PORT
        "\"\n    # servers and clients\n    api = \"%s:" API_PORT "\"\n}\n",
        corp->url, hex, label, host, host);
    return n > 0 && fsync(fd) == 0;
}

static bool make_node_config(const struct net_corp *corp, const char *label,
                             const char *host)
{
    int fd = -1;
    bool good = mkdir(NODE_FOLDER, 0755) == 0 || errno == EEXIST;

    if (good)
        fd = open(NODE_CONFIG, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) return good && errno == EEXIST;
    good = write_node(fd, corp, label, host);
    if (close(fd)) good = false;
    if (!good) unlink(NODE_CONFIG);
    return good;
}

int server_node_configure(const struct net_corp *corp, const char *label,
                          const char *host)
{
    uid_t owner = geteuid();
    const struct passwd *user = getpwuid(owner);
    int code = XN_EXIT_OK;

    if (!user || !become_root() || !make_node_config(corp, label, host)) {
        code = server_gripef(XN_EIO, "cannot configure the node",
                             "--node URL of another one", "%s: %s", NODE_CONFIG,
                             strerror(errno));
    }
    if (user && become(user)) return code;
    return server_gripe(XN_EPERM, "cannot go on", "setuid failed", NULL);
}

/* ---- starting ---- */

int server_units_start(const struct server *server, bool node)
{
    const char *argv[8] = {"systemctl", "--quiet", "enable", "--now"};
    int n = 4, status = -1;
    pid_t pid;

    if (server_has_unit(server, "xenodomd")) argv[n++] = "xenodomd.service";
    if (node) argv[n++] = "xenonoded.service";
    argv[n++] = "xenohostd.service";
    argv[n] = NULL;
    pid = fork();
    if (pid == 0) {
        if (!become_root() || setuid(0)) _exit(126);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
        return XN_EXIT_OK;
    return server_gripe(XN_EIO, "cannot start the units",
                        "one of them is not ready",
                        "systemctl status xenodomd xenonoded xenohostd");
}
