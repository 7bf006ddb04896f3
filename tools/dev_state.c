/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tools/dev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/err.h"
#include "lib/gripe.h"
#include "net/file.h"

void dev_path(const struct dev_platform *platform, char out[DEV_PATH_MAX],
              const char *fmt, ...)
{
    int len = snprintf(out, DEV_PATH_MAX, "%s/", platform->state);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(out + len, DEV_PATH_MAX - (size_t)len, fmt, ap);
    va_end(ap);
}

int dev_mkdir(const char *path)
{
    if (net_file_dir(path) == 0) return 0;
    xn_gripe_rcf(DEV_PROGRAM, XN_EIO, NULL, "cannot make a folder",
                 "another --state", "%s: %s", path, strerror(errno));
    return XN_EIO;
}

int dev_write_file(const char *path, const void *data, size_t len)
{
    char temporary[DEV_PATH_MAX + 8];
    FILE *file;
    bool good;

    snprintf(temporary, sizeof temporary, "%s.new", path);
    file = fopen(temporary, "we");
    good = file && fwrite(data, 1, len, file) == len;
    if (file && fclose(file)) good = false;
    if (good && rename(temporary, path) == 0) return 0;
    xn_gripe_rcf(DEV_PROGRAM, XN_EIO, NULL, "cannot write a file", "df",
                 "%s: %s", path, strerror(errno));
    return XN_EIO;
}

/* What `env` prints is used from other folders than this one. */
static int make_absolute(struct dev_platform *platform)
{
    char *path = realpath(platform->state, NULL);
    int rc = 0;

    if (!path || strlen(path) > DEV_PATH_MAX - 100) {
        xn_gripe_rcf(DEV_PROGRAM, path ? XN_EINVAL : XN_EIO, NULL,
                     "cannot use the state folder", "another --state", "%s: %s",
                     platform->state,
                     path ? "its path is too long" : strerror(errno));
        rc = path ? XN_EINVAL : XN_EIO;
    } else {
        snprintf(platform->state, sizeof platform->state, "%s", path);
    }
    free(path);
    return rc;
}

int dev_open(struct dev_platform *platform, const char *state,
             enum dev_access access_mode)
{
    char path[DEV_PATH_MAX];
    int rc;

    platform->lock_fd = -1;
    if (strlen(state) > DEV_PATH_MAX - 100) {
        xn_gripe_rc(DEV_PROGRAM, XN_EINVAL, NULL, "cannot use the state folder",
                    "its path is too long", "a shorter --state");
        return XN_EINVAL;
    }
    snprintf(platform->state, sizeof platform->state, "%s", state);
    if (access_mode == DEV_CREATE) {
        rc = dev_mkdir(state);
        if (rc) return rc;
    } else if (access(state, F_OK)) {
        return XN_ENOENT;
    }
    rc = make_absolute(platform);
    if (rc) return rc;
    /* It says which programs to run and which processes to end, and the shell
     * evaluates what `env` reads there. */
    if (net_file_private(state)) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EPERM, NULL, "cannot use the state folder",
                     "chmod go-w, or --state with a folder of your own",
                     "%s: others can change what is in it", state);
        return XN_EPERM;
    }
    if (access_mode == DEV_LOOK) return 0;
    dev_path(platform, path, "lock");
    platform->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (platform->lock_fd < 0) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EIO, NULL, "cannot use the state folder",
                     "another --state", "%s: %s", path, strerror(errno));
        return XN_EIO;
    }
    if (flock(platform->lock_fd, LOCK_EX | LOCK_NB)) {
        xn_gripe_rc(DEV_PROGRAM, XN_EBUSY, NULL, "cannot change the platform",
                    "another xenodev is changing it", "again when it is done");
        return XN_EBUSY;
    }
    return 0;
}

void dev_close(struct dev_platform *platform)
{
    if (platform->lock_fd >= 0) close(platform->lock_fd);
    platform->lock_fd = -1;
}

/* Is there anything but our lock? */
static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    bool empty = true;

    if (!dir) return false;
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
            strcmp(entry->d_name, "lock")) {
            empty = false;
        }
    }
    closedir(dir);
    return empty;
}

int dev_claim(const struct dev_platform *platform)
{
    char path[DEV_PATH_MAX];

    dev_path(platform, path, "xenodev");
    if (access(path, F_OK) == 0) return dev_wipe(platform, false);
    if (!is_empty(platform->state)) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EINVAL, NULL,
                     "cannot use the state folder",
                     "an empty or new folder as --state",
                     "%s holds other things", platform->state);
        return XN_EINVAL;
    }
    return dev_write_file(path, "", 0);
}

int dev_wipe(const struct dev_platform *platform, bool all)
{
    char mark[DEV_PATH_MAX], lock[DEV_PATH_MAX];
    const char *argv[] = {
        "find", platform->state, "-mindepth", "1",       "!", "-path", lock,
        "!",    "-path",         mark,        "-delete", NULL};
    int rc;

    dev_path(platform, mark, "xenodev");
    dev_path(platform, lock, "lock");
    if (access(mark, F_OK)) return XN_EPERM; /* not ours */
    rc = dev_run((char *const *)(uintptr_t)argv);
    if (rc || !all) return rc;
    unlink(mark);
    unlink(lock);
    return rmdir(platform->state) ? XN_EIO : 0;
}

/* ---- platform.json ---- */

static json_t *process_json(const struct dev_process *process)
{
    return json_pack("{s:I, s:I, s:i, s:i, s:s}", "pid",
                     (json_int_t)process->pid, "started",
                     (json_int_t)process->started, "api", process->port_api,
                     "links", process->port_links, "id", process->id);
}

static void process_from(const json_t *json, struct dev_process *process)
{
    const char *id = json_string_value(json_object_get(json, "id"));

    process->pid = (pid_t)json_integer_value(json_object_get(json, "pid"));
    process->started =
        (uint64_t)json_integer_value(json_object_get(json, "started"));
    process->port_api = (int)json_integer_value(json_object_get(json, "api"));
    process->port_links =
        (int)json_integer_value(json_object_get(json, "links"));
    snprintf(process->id, sizeof process->id, "%s", id ? id : "");
}

static json_t *platform_json(const struct dev_platform *platform)
{
    json_t *corps = json_array(), *servers = json_array(), *sets = json_array();
    size_t i;

    for (i = 0; i < DEV_CORPS; i++) {
        const struct dev_corp *corp = &platform->corps[i];

        json_array_append_new(corps, json_pack("{s:s, s:o}", "name", corp->name,
                                               "process",
                                               process_json(&corp->process)));
    }
    for (i = 0; i < platform->n_servers; i++) {
        const struct dev_server *server = &platform->servers[i];

        json_array_append_new(
            servers,
            json_pack("{s:i, s:s, s:s, s:o, s:o, s:o}", "number",
                      (int)server->number, "name", server->name, "program",
                      server->program, "node", process_json(&server->node),
                      "domd", process_json(&server->domd), "host",
                      process_json(&server->host)));
    }
    for (i = 0; i < platform->n_sets; i++) {
        json_array_append_new(sets, json_string(platform->sets[i]));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:o, s:o, s:o}",
                     "schema", "xeno.dev/1", "images", platform->images,
                     "currency", platform->currency, "lease", platform->lease,
                     "lease_max", platform->lease_max, "seed",
                     (json_int_t)platform->seed, "tasks", (int)platform->tasks,
                     "corps", corps, "servers", servers, "sets", sets);
}

int dev_save(const struct dev_platform *platform)
{
    json_t *json = platform_json(platform);
    char path[DEV_PATH_MAX], *text;
    int rc = XN_ENOMEM;

    if (!json) return rc;
    text = json_dumps(json, JSON_INDENT(2));
    json_decref(json);
    if (!text) return rc;
    dev_path(platform, path, "platform.json");
    rc = dev_write_file(path, text, strlen(text));
    free(text);
    return rc;
}

static void copy_text(const json_t *json, const char *key, char *out,
                      size_t len)
{
    const char *text = json_string_value(json_object_get(json, key));

    snprintf(out, len, "%s", text ? text : "");
}

static void servers_from(const json_t *list, struct dev_platform *platform)
{
    const json_t *row;
    size_t i;

    json_array_foreach(list, i, row)
    {
        struct dev_server *server = &platform->servers[platform->n_servers];

        if (platform->n_servers == DEV_SERVERS_MAX) return;
        platform->n_servers++;
        server->number =
            (unsigned)json_integer_value(json_object_get(row, "number"));
        copy_text(row, "name", server->name, sizeof server->name);
        copy_text(row, "program", server->program, sizeof server->program);
        process_from(json_object_get(row, "node"), &server->node);
        process_from(json_object_get(row, "domd"), &server->domd);
        process_from(json_object_get(row, "host"), &server->host);
    }
}

int dev_load(struct dev_platform *platform)
{
    char path[DEV_PATH_MAX];
    json_error_t error;
    json_t *json;
    const json_t *row;
    size_t i;

    dev_path(platform, path, "platform.json");
    if (access(path, F_OK)) return XN_ENOENT;
    json = json_load_file(path, 0, &error);
    if (!json) {
        xn_gripe_rcf(DEV_PROGRAM, XN_EINTEGRITY, NULL,
                     "cannot read the platform", "remove the state folder",
                     "%s:%d: %s", path, error.line, error.text);
        return XN_EINTEGRITY;
    }
    copy_text(json, "currency", platform->currency, sizeof platform->currency);
    copy_text(json, "lease", platform->lease, sizeof platform->lease);
    copy_text(json, "lease_max", platform->lease_max,
              sizeof platform->lease_max);
    platform->seed =
        (uint64_t)json_integer_value(json_object_get(json, "seed"));
    copy_text(json, "images", platform->images, sizeof platform->images);
    platform->tasks = json_is_true(json_object_get(json, "tasks"));
    json_array_foreach(json_object_get(json, "corps"), i, row)
    {
        if (i == DEV_CORPS) break;
        copy_text(row, "name", platform->corps[i].name,
                  sizeof platform->corps[i].name);
        process_from(json_object_get(row, "process"),
                     &platform->corps[i].process);
    }
    servers_from(json_object_get(json, "servers"), platform);
    json_array_foreach(json_object_get(json, "sets"), i, row)
    {
        if (i == 64 || !json_is_string(row)) break;
        /* Kept for the life of the program. */
        platform->sets[platform->n_sets++] = strdup(json_string_value(row));
    }
    json_decref(json);
    return 0;
}
