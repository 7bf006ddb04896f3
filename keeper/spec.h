/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What may be asked of a keeper and of xenodomd: bounds of every field. */
#ifndef KEEPER_SPEC_H
#define KEEPER_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/task.pb-c.h"

#define SPEC_NAME_MAX 64
#define SPEC_NAMES_MAX 100       /* asked of at once */
#define SPEC_WORDS_MAX 256       /* of argv and of env */
#define SPEC_TEXT_MAX (64 << 10) /* bytes of all of argv or env */
#define SPEC_EXEC_WORDS_MAX 64   /* of a command beside a task */
#define SPEC_EXEC_TEXT_MAX 8192  /* bytes of these */
#define SPEC_REASON_MAX 256
#define SPEC_INPUT_MAX 4096 /* bytes typed at once */
#define SPEC_GRACE_MS_MAX 60000
#define SPEC_PUT_MAX 64                /* files */
#define SPEC_PUT_NAME_MAX 128          /* bytes of a file's name */
#define SPEC_PUT_BYTES_MAX (512 << 10) /* of all of them */

/* A session's name: a-z, 0-9, dashes within, at most SPEC_NAME_MAX - 1. */
bool spec_is_name(const char *name);

/* A path below a folder: words between single slashes, none of them . or .., no
 * control character, at most SPEC_PUT_NAME_MAX bytes. */
bool spec_is_put_name(const char *name);

/* Puts a default in the place of each 0. */
void spec_complete(Xn__TaskSpec *spec);

/* XN_EINVAL: because_out says in a line which field is wrong. */
int spec_check(const Xn__TaskSpec *spec, char *because_out, size_t len);
int spec_check_keeper_ask(const Xn__KeeperAsk *ask, char *because_out,
                          size_t len);
int spec_check_dom_ask(const Xn__DomAsk *ask, char *because_out, size_t len);

/* Words of this program for what it is: "cgroup", "memory". */
const char *spec_meter_name(Xn__MeterKind kind);
const char *spec_state_name(Xn__TaskState state);
const char *spec_end_name(Xn__TaskEnd end);
/* By its name; -1: there is none of that name that can be asked for. */
int spec_meter_parse(const char *name);
int spec_runner_parse(const char *name);

#endif
