/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking nodes. */
#include "tools/xeno_overlay.h"

#include <stdio.h>
#include <string.h>

#include "discovery/xenofind.h"
#include "lib/err.h"
#include "lib/text.h"

static const char cannot[] = "cannot ask a node";

static int add_node(struct xeno_nodes *nodes, const char *text, size_t len)
{
    struct net_corp *node = &nodes->nodes[nodes->n];

    while (len > 8 && text[len - 1] == '/')
        len--;
    if (len < 9 || len >= sizeof node->url ||
        strncmp(text, "https://", 8) != 0 || memchr(text, '#', len)) {
        return xeno_usage("'%.*s' is no https:// address of a node",
                          (int)(len < 100 ? len : 100), text);
    }
    if (nodes->n == XENO_NODES_MAX) {
        return xeno_usage("more than %d nodes", XENO_NODES_MAX);
    }
    memcpy(node->url, text, len);
    nodes->n++;
    return XN_EXIT_OK;
}

static int list_nodes(const struct xeno *xeno, const char *named,
                      struct xeno_nodes *nodes)
{
    const char *text = named ? named : net_env("XENO_NODES");
    int code = XN_EXIT_OK;

    if (!text) text = net_settings_text(xeno->settings, "find.nodes");
    while (text && *text && !code) {
        size_t len = strcspn(text, ", \t\n");

        if (len) code = add_node(nodes, text, len);
        text += len + (text[len] != '\0');
    }
    if (code || nodes->n) return code;
    return xeno_gripe(XN_EINVAL, cannot, "it is not said which",
                      "--node URL, or XENO_NODES, or eval \"$(xenodev env)\"");
}

/* Asking needs no account; what makes others work does, as they will say. */
static int make_identity(const struct xeno *xeno, struct xeno_nodes *nodes)
{
    static struct find_options opt;
    int rc;

    _Static_assert(XENO_CORPS_MAX <= FIND_CORPS_MAX, "all corps have room");
    opt.program = XENO_PROGRAM;
    opt.state = xeno->state;
    opt.n_corps = xeno->n_corps;
    memcpy(opt.corps, xeno->corps, sizeof xeno->corps);
    rc = find_identity_make(&opt, &nodes->us.identity);
    if (rc) return xn_exit_code(rc);
    rc = net_talk_new(&nodes->us.talk);
    return rc ? xeno_no_memory() : XN_EXIT_OK;
}

int xeno_nodes_open(const struct xeno *xeno, const char *named,
                    struct xeno_nodes *nodes_out)
{
    int code;

    memset(nodes_out, 0, sizeof *nodes_out);
    code = list_nodes(xeno, named, nodes_out);
    if (!code) code = make_identity(xeno, nodes_out);
    if (code) xeno_nodes_clear(nodes_out);
    return code;
}

void xeno_nodes_clear(struct xeno_nodes *nodes)
{
    xeno_member_clear(&nodes->us);
}

int xeno_nodes_ask(const struct xeno *xeno, struct xeno_nodes *nodes,
                   const struct xeno_question *question, void *answer_out)
{
    struct xeno_question one = *question;
    struct xeno_why why = {.rc = XN_EUNREACH};
    int rc = XN_EUNREACH;

    one.why = &why;
    one.node = true;
    for (size_t i = 0; i < nodes->n; i++) {
        nodes->us.corp = nodes->nodes[i];
        rc = xeno_ask(xeno, &nodes->us, &one, answer_out);
        if (rc != XN_EUNREACH && rc != XN_ETIMEOUT) break;
    }
    if (rc) (void)xeno_tell(&why, question->what);
    return rc;
}

/* ---- printing ---- */

bool xeno_node_is_sound(const Xn__Contact *node)
{
    size_t len, i, n;

    if (!node) return false;
    len = strlen(node->address);
    for (i = 0; i < len; i += n) {
        n = xn_utf8_len(node->address + i, len - i);
        if (n == 0) return false;
    }
    return true;
}

const char *xeno_node_short(const ProtobufCBinaryData *id,
                            char out[XENO_NODE_SHORT])
{
    char hex[XN_ID_HEX];
    xn_id whole;

    snprintf(out, XENO_NODE_SHORT, "-");
    if (xn_id_from_bytes(id, &whole)) return out;
    xn_id_hex(&whole, hex);
    snprintf(out, XENO_NODE_SHORT, "%.*s", XENO_NODE_SHORT - 1, hex);
    return out;
}

json_t *xeno_node_json_id(const ProtobufCBinaryData *id)
{
    xn_id whole;

    return xn_id_from_bytes(id, &whole) ? json_null() : xeno_json_id(&whole);
}

const char *xeno_node_ms(uint64_t us, char out[32])
{
    out[0] = '\0';
    if (us) snprintf(out, 32, "%.2f ms", (double)us / 1000);
    return out;
}

json_t *xeno_node_json_ms(uint64_t us)
{
    return us ? json_real((double)us / 1000) : json_null();
}
