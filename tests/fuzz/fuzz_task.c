/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What comes over the sockets of keepers and of xenodomd, either way, and what
 * stands in their files: frames of requests and answers, and records. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keeper/record.h"
#include "keeper/spec.h"
#include "lib/err.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_spec(Xn__TaskSpec *spec)
{
    char because[64];
    size_t i;

    spec_complete(spec);
    if (spec_check(spec, because, sizeof because)) return;
    /* what bwrap's command line rests on */
    if (!spec_is_name(spec->name) || strchr(spec->name, '/')) abort();
    if (spec->n_argv == 0 || spec->argv[0][0] != '/') abort();
    if (spec->image[0] && strstr(spec->image, "/../")) abort();
    for (i = 0; i < spec->n_put; i++) {
        const char *name = spec->put[i]->name;

        if (name[0] == '/' || !name[0] || strstr(name, "//")) abort();
        if (strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0 ||
            strstr(name, "/../") ||
            (strlen(name) > 2 && !strcmp(name + strlen(name) - 3, "/.."))) {
            abort();
        }
    }
    for (i = 0; i < spec->n_env; i++) {
        if (!strchr(spec->env[i] + 1, '=')) abort();
    }
}

static void judge(ProtobufCMessage *body)
{
    char because[64];
    Xn__DomAsk *ask;

    if (body->descriptor == &xn__keeper_ask__descriptor) {
        const Xn__KeeperAsk *to = (const Xn__KeeperAsk *)body;

        if (spec_check_keeper_ask(to, because, sizeof because) == 0 &&
            to->op == XN__KEEPER_OP__FORWARD &&
            (to->port == 0 || to->port > UINT16_MAX)) {
            abort();
        }
        if (spec_check_keeper_ask(to, because, sizeof because) == 0 &&
            to->op == XN__KEEPER_OP__EXEC &&
            (to->n_argv == 0 || to->n_argv > SPEC_EXEC_WORDS_MAX ||
             to->argv[0][0] != '/')) {
            abort();
        }
    } else if (body->descriptor == &xn__dom_ask__descriptor) {
        ask = (Xn__DomAsk *)body;
        if (spec_check_dom_ask(ask, because, sizeof because) == 0 &&
            ask->op == XN__DOM_OP__DOM_START) {
            check_spec(ask->spec);
        }
    }
}

static void read_frames(const uint8_t *data, size_t len,
                        const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *body;
    struct xn_buf in;

    xn_buf_init(&in, 1 << 20);
    xn_buf_add(&in, data, len);
    while (frame_next(&in, FRAME_ASK_MAX, type, &body) == 0) {
        judge(body);
        protobuf_c_message_free_unpacked(body, NULL);
    }
    xn_buf_clear(&in);
}

static void read_record(const uint8_t *data, size_t len,
                        const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *body;

    if (record_parse(data, len, type, &body) == 0) {
        protobuf_c_message_free_unpacked(body, NULL);
    }
    /* without its head, or no input would ever have the sum right */
    body = protobuf_c_message_unpack(type, NULL, len, data);
    if (!body) return;
    if (type == &xn__task_spec__descriptor) check_spec((Xn__TaskSpec *)body);
    protobuf_c_message_free_unpacked(body, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > 65536) len = 65536;
    read_frames(data, len, &xn__keeper_ask__descriptor);
    read_frames(data, len, &xn__dom_ask__descriptor);
    read_frames(data, len, &xn__keeper_tell__descriptor);
    read_frames(data, len, &xn__dom_tell__descriptor);
    read_record(data, len, &xn__task_exit__descriptor);
    read_record(data, len, &xn__task_reading__descriptor);
    read_record(data, len, &xn__task_spec__descriptor);
    return 0;
}
