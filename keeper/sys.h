/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small calls to the system, with their errors in our words. */
#ifndef KEEPER_SYS_H
#define KEEPER_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

uint64_t sys_mono_us(void);
uint64_t sys_wall_us(void);

/* Of this start of the machine's kernel; "": not known. */
#define SYS_BOOT_ID 64
void sys_boot_id(char out[SYS_BOOT_ID]);

/* All of it, or XN_EIO with errno. */
int sys_write_all(int fd, const void *data, size_t len);
int sys_pwrite_all(int fd, const void *data, size_t len, uint64_t at);

/* The beginning of a small file as text, without its last line end; -1 or its
 * length.  `dir` as for openat. */
ssize_t sys_read_text(int dir, const char *path, char *text_out, size_t len);
/* Into a file that is there (of /proc or a cgroup); XN_EIO with errno. */
int sys_write_text(int dir, const char *path, const char *text);

/* The first number behind `key` (at the line's start; "" = the file's first
 * word).  XN_ENOENT. */
int sys_read_number(const char *path, const char *key, uint64_t *out);
/* The same of the first page of an open file, from its start. */
int sys_reread_number(int fd, const char *key, uint64_t *out);

/* A readable descriptor with these bytes in memory; -1 with errno. */
int sys_memory_file(const char *name, const void *data, size_t len);

bool sys_set_inherited(int fd, bool inherited);

/* A unix stream socket at `name` in the folder `dir`, however long the folder's
 * path is.  The descriptor, or -1 with errno; both do not block, but connecting
 * and whatever is read within `timeout_ms` do. */
int sys_unix_listen(int dir, const char *name);
int sys_unix_connect(int dir, const char *name, unsigned timeout_ms);

void sys_unix_set_timeout(int fd, unsigned timeout_ms); /* 0: none */

/* As send without a signal; `passes`: a descriptor that goes along, and stays
 * the caller's; -1: none. */
ssize_t sys_send(int fd, const void *data, size_t len, int passes);
/* A byte, and the descriptor with it (-1: alone); takes one from there, or -1. */
int sys_pass_fd(int fd, int passes);
int sys_take_fd(int fd);

/* Takes `name` in the folder for this process and those that inherit the
 * descriptor.  -1 with errno, EWOULDBLOCK: somebody has it. */
int sys_lock(int dir, const char *name);
/* Somebody else has it. */
bool sys_is_locked(int dir, const char *name);

/* Waits for a child with this id; its status, or -1. */
int sys_wait(pid_t pid);

/* Who goes first where memory runs out: tasks, then their keepers, then xenodomd.
 * Less than others, as root alone may ask for; more, as anybody may: more than
 * now in any case, as a keeper that is not root's stands where it was put. */
enum { SYS_OOM_TASK = 500, SYS_OOM_KEEPER = -500, SYS_OOM_DAEMON = -900 };
void sys_set_oom(int adjust);

/* Real time's, where whoever started us gave us that: a task has none. */
void sys_lose_precedence(void);

#endif
