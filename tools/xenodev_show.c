/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenodev env, status: what a platform is, for shells and for people. */
#include <stdio.h>
#include <string.h>

#include <libsmartcols/libsmartcols.h>

#include "tools/xenodev.h"

/* NAME='STATE/file' for a shell, whatever is in the path. */
static void print_path(const char *name, const struct dev_platform *platform,
                       const char *file)
{
    const char *p;

    printf("export %s='", name);
    for (p = platform->state; *p; p++) {
        if (*p == '\'') {
            fputs("'\\''", stdout);
        } else {
            putchar(*p);
        }
    }
    printf("%s'\n", file);
}

void xenodev_env(const struct dev_platform *platform)
{
    char url[256];
    size_t i;

    printf("export XENO_NODES='");
    for (i = 0; i < platform->n_servers; i++) {
        printf("%shttps://127.0.0.1:%d", i ? " " : "",
               platform->servers[i].node.port_api);
    }
    printf("'\nexport XENO_CORP='");
    for (i = 0; i < DEV_CORPS; i++) {
        dev_corp_url(platform, i, url, sizeof url);
        printf("%s%s", i ? " " : "", url);
    }
    puts("'");
    print_path("XENO_KEY", platform, "/client");
    print_path("XENO_CONFIG", platform, "/xeno.conf");
    print_path("XENODEV_STATE", platform, "");
}

static void status_row(struct libscols_table *table, const char *what,
                       const struct dev_process *process,
                       const Xn__NodeStatus *status)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    char text[64];

    if (!line) return;
    scols_line_set_data(line, 0, what);
    snprintf(text, sizeof text, "%d", (int)process->pid);
    scols_line_set_data(line, 1, dev_alive(process) ? text : "-");
    snprintf(text, sizeof text, "%d", process->port_api);
    scols_line_set_data(line, 2, process->port_api ? text : "");
    if (!status) return;
    snprintf(text, sizeof text, "%u", status->links);
    scols_line_set_data(line, 3, text);
    snprintf(text, sizeof text, "%u", status->ads);
    scols_line_set_data(line, 4, text);
    scols_line_set_data(line, 5, status->settled ? "yes" : "no");
}

int xenodev_status(struct dev_platform *platform)
{
    static const char *const columns[] = {"PROGRAM", "PID", "API",
                                          "LINKS",   "ADS", "SETTLED"};
    struct net_identity client = {.key = NULL};
    struct libscols_table *table;
    char what[96], path[DEV_PATH_MAX];
    size_t i;

    scols_init_debug(0);
    table = scols_new_table();
    for (i = 0; i < 6; i++) {
        scols_table_new_column(table, columns[i], 0,
                               i && i < 5 ? SCOLS_FL_RIGHT : 0);
    }
    dev_path(platform, path, "client");
    if (net_identity_load(path, &client)) net_identity_anonymous(&client);
    for (i = 0; i < DEV_CORPS; i++) {
        snprintf(what, sizeof what, "corp %s", platform->corps[i].name);
        status_row(table, what, &platform->corps[i].process, NULL);
    }
    for (i = 0; i < platform->n_servers; i++) {
        const struct dev_server *server = &platform->servers[i];
        Xn__NodeStatus *status = NULL;

        if (dev_alive(&server->node)) {
            dev_node_status(&client, server->node.port_api, &status);
        }
        snprintf(what, sizeof what, "node %s", server->name);
        status_row(table, what, &server->node, status);
        if (status) xn__node_status__free_unpacked(status, NULL);
        if (platform->tasks) {
            snprintf(what, sizeof what, "domd %s", server->name);
            status_row(table, what, &server->domd, NULL);
        }
        snprintf(what, sizeof what, "host %s", server->name);
        status_row(table, what, &server->host, NULL);
    }
    scols_print_table(table);
    scols_unref_table(table);
    net_identity_clear(&client);
    return 0;
}
