/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Certificates taken back, at the running XenoCorp. */
#include <stdio.h>
#include <string.h>

#include "corp/xenocorp_ask.h"
#include "corp/xenocorp_lists.h"
#include "corp/xenocorp_table.h"
#include "lib/err.h"

static int ask(const struct staff *staff, const Xn__MemberInfo *member,
               const char *why, bool json)
{
    Xn__Revoke body = XN__REVOKE__INIT;
    Xn__RevokedKey *key;
    json_t *object;
    char name[XN_NAME_MAX] = "";
    xn_id id;
    int rc;

    body.role = member->role;
    body.id = member->id;
    body.why = (char *)(uintptr_t)why;
    rc = staff_ask(staff, "/v1/revoke", &body, &xn__revoked_key__descriptor,
                   &key);
    if (rc) return xn_exit_code(rc);
    if (!xn_id_from_bytes(&key->id, &id)) xn_id_name(&id, member->label, name);
    object = json_object();
    json_object_set_new(object, "name", json_string(name));
    json_object_set_new(object, "id", table_id(&key->id));
    json_object_set_new(object, "revoked", table_time(key->at_us));
    json_object_set_new(object, "list", json_integer((json_int_t)key->number));
    xn__revoked_key__free_unpacked(key, NULL);
    return table_show(object, "xenocorp.revoked/1", json);
}

int revoke_member(const char *program, const char *dir, const char *role,
                  const char *word, const char *why, bool json)
{
    Xn__Members *page = NULL;
    struct staff staff;
    int code = staff_open(&staff, program, "cannot revoke", dir);

    if (!code) code = staff_member(&staff, role, word, STAFF_SHOWN, &page);
    if (!code) code = ask(&staff, page->members[0], why, json);
    if (page) xn__members__free_unpacked(page, NULL);
    staff_close(&staff);
    return code;
}
