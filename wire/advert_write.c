/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "lib/err.h"
#include "wire/advert.h"
#include "wire/xml.h"

struct writer {
    struct xn_buf *out;
    int rc; /* 0 or XN_EINVAL */
};

static void add_escaped(struct writer *w, const char *text)
{
    if (!xml_escape(w->out, text)) w->rc = XN_EINVAL;
}

static bool given(const char *text)
{
    return text && *text;
}

static void add_element(struct writer *w, const char *indent, const char *name,
                        const char *text)
{
    if (!given(text)) return;
    xn_buf_printf(w->out, "%s<%s>", indent, name);
    add_escaped(w, text);
    xn_buf_printf(w->out, "</%s>\n", name);
}

static void add_attribute(struct writer *w, const char *name, const char *text)
{
    xn_buf_printf(w->out, " %s=\"", name);
    add_escaped(w, given(text) ? text : "");
    xn_buf_char(w->out, '"');
}

#define IN "    "

static void add_server(struct writer *w, const struct advert_offer *offer)
{
    xn_buf_str(w->out, "  <Server>\n");
    add_element(w, IN, "ServerName", offer->server_name);
    for (size_t i = 0; i < offer->n_corps; i++)
        add_element(w, IN, "XenoCorp", offer->corps[i]);
    add_element(w, IN, "Endpoint", offer->endpoint);
    add_element(w, IN, "Architecture", offer->architecture);
    add_element(w, IN, "Country", offer->country);
    add_element(w, IN, "City", offer->city);
    xn_buf_str(w->out, "  </Server>\n");
    for (size_t i = 0; i < offer->n_environments; i++) {
        const struct advert_environment *env = &offer->environments[i];

        xn_buf_str(w->out, "  <Environment>\n");
        add_element(w, IN, "EnvType", env->type);
        add_element(w, IN, "EnvKernel", env->kernel);
        add_element(w, IN, "Virtualisation", env->virtualisation);
        xn_buf_str(w->out, "  </Environment>\n");
    }
}

static void add_amounts(struct writer *w, const struct advert_offer *offer)
{
    xn_buf_str(w->out, "  <Availability>\n");
    add_element(w, IN, "CPUsmps", offer->cpu_smps);
    add_element(w, IN, "MemoryMB", offer->memory_mb);
    add_element(w, IN, "DiskGB", offer->disk_gb);
    add_element(w, IN, "NetMbps", offer->net_mbps);
    add_element(w, IN, "IPv4Addresses", offer->ipv4_addresses);
    xn_buf_str(w->out, "  </Availability>\n");
    if (!given(offer->cpu_utilisation) && !given(offer->sessions) &&
        !given(offer->clients)) {
        return;
    }
    xn_buf_str(w->out, "  <Status>\n");
    add_element(w, IN, "CPUUtilisation", offer->cpu_utilisation);
    add_element(w, IN, "Sessions", offer->sessions);
    add_element(w, IN, "Clients", offer->clients);
    xn_buf_str(w->out, "  </Status>\n");
}

static void add_prices(struct writer *w, const struct advert_offer *offer)
{
    xn_buf_str(w->out, "  <Prices");
    add_attribute(w, "currency", offer->currency);
    xn_buf_str(w->out, ">\n");
    add_element(w, IN, "SetUp", offer->setup);
    add_element(w, IN, "PricePerHour", offer->price_per_hour);
    add_element(w, IN, "CPUSecond", offer->cpu_second);
    add_element(w, IN, "MemoryMBHour", offer->memory_mb_hour);
    add_element(w, IN, "NetGB", offer->net_gb);
    add_element(w, IN, "DiskGBHour", offer->disk_gb_hour);
    xn_buf_str(w->out, "  </Prices>\n");
}

static void add_coordinate(struct writer *w, const struct advert_offer *offer)
{
    if (!given(offer->coord_x)) return;
    xn_buf_str(w->out, "  <Coordinate");
    add_attribute(w, "x", offer->coord_x);
    add_attribute(w, "y", offer->coord_y);
    add_attribute(w, "h", offer->coord_h);
    add_attribute(w, "error", offer->coord_error);
    xn_buf_str(w->out, "/>\n");
}

static void add_extras(struct writer *w, const struct advert_offer *offer)
{
    for (size_t i = 0; i < offer->n_extras; i++) {
        const struct advert_extra *extra = &offer->extras[i];

        if (!xn_token_valid(extra->token, strlen(extra->token))) {
            w->rc = XN_EINVAL;
            return;
        }
        add_element(w, "  ", extra->token, extra->value);
    }
}

int advert_write(const struct advert_offer *offer, uint64_t version,
                 struct xn_buf *out)
{
    struct writer w = {.out = out};

    xn_buf_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xn_buf_printf(out,
                  "<XenoServerAdvertisement"
                  " xmlns=\"urn:xenoserver:advertisement:1\""
                  " version=\"%" PRIu64 "\">\n",
                  version);
    add_server(&w, offer);
    add_amounts(&w, offer);
    add_prices(&w, offer);
    add_coordinate(&w, offer);
    add_extras(&w, offer);
    xn_buf_str(out, "</XenoServerAdvertisement>\n");
    return w.rc ? w.rc : xn_buf_rc(out);
}
