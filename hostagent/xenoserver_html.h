/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The operator's page, written from what is known.  Whatever a client, a node or
 * a XenoCorp said stands in it as text and as nothing else. */
#ifndef HOSTAGENT_XENOSERVER_HTML_H
#define HOSTAGENT_XENOSERVER_HTML_H

#include "hostagent/xenoserver_doctor.h"
#include "hostagent/xenoserver_view.h"
#include "wire/advert.h"

struct html_facts {
    const char *name;    /* of the server */
    const char *because; /* xenohostd told nothing; or NULL */
    const struct view *view;
    const struct advert *offer; /* what is advertised now, or NULL */
    const struct doctor *doctor;
    uint64_t now_us; /* wall */
    unsigned refresh_s;
};

/* Appends the whole page; it names its style sheet "style.css". */
void html_page(const struct html_facts *facts, struct xn_buf *out);
extern const char html_style[];

#endif
