/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hostagent/xenoserver_html.h"

#include <stdio.h>
#include <string.h>

#include "lib/dec.h"
#include "lib/text.h"
#include "lib/utc.h"

#define CURRENCIES 8
#define ROWS_MAX 500 /* sessions shown; those that hold something first */

const char html_style[] =
    ":root{color-scheme:light dark;--ink:#1d2430;--dim:#667085;--line:#e3e7ee;"
    "--paper:#fff;--back:#f5f7fa;--good:#1a7f4b;--warn:#b25e09;--bad:#c0362c;"
    "--accent:#2f5fd0}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#98a2b3;"
    "--line:#2c3442;--paper:#1a202b;--back:#12161e;--good:#4cc38a;"
    "--warn:#f0a04b;--bad:#ff7b72;--accent:#8ab0ff}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--back);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:72rem;margin:0 auto;padding:1.5rem}\n"
    "header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.75rem}\n"
    "h1{font-size:1.6rem;margin:0}\n"
    "h2{font-size:1rem;margin:2rem 0 .5rem}\n"
    ".dim,th{color:var(--dim)}\n"
    ".state{padding:.1rem .6rem;border-radius:1rem;border:1px solid "
    "currentColor;font-size:.85rem}\n"
    ".good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(10rem,"
    "1fr));gap:.75rem;margin-top:1rem}\n"
    ".card,table,ul{background:var(--paper);border:1px solid var(--line);"
    "border-radius:.5rem}\n"
    ".card{padding:.75rem 1rem}.card b{display:block;font-size:1.3rem;"
    "font-weight:600;overflow-wrap:anywhere}\n"
    ".wide{overflow-x:auto}\n"
    "table{width:100%;border-collapse:separate;border-spacing:0}\n"
    "th,td{padding:.45rem .75rem;text-align:left;border-bottom:1px solid "
    "var(--line);vertical-align:top}\n"
    "tr:last-child td{border-bottom:0}th{font-weight:500;font-size:.85rem}\n"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    "code{font:.85em ui-monospace,monospace;overflow-wrap:anywhere}\n"
    "ul{list-style:none;margin:0;padding:.25rem 1rem}li{padding:.3rem 0}\n"
    "footer{margin-top:2rem;font-size:.85rem}\n";

/* ---- words ---- */

/* Text and no markup; what is no text is shown as '?'. */
static void put(struct xn_buf *out, const char *text)
{
    char plain[1200];

    snprintf(plain, sizeof plain, "%s", text);
    if (strlen(text) >= sizeof plain)
        memcpy(plain + sizeof plain - 4, "...", 4);
    xn_plain(plain);
    for (const char *p = plain; *p; p++) {
        switch (*p) {
        case '&': xn_buf_str(out, "&amp;"); break;
        case '<': xn_buf_str(out, "&lt;"); break;
        case '>': xn_buf_str(out, "&gt;"); break;
        case '"': xn_buf_str(out, "&quot;"); break;
        case '\'': xn_buf_str(out, "&#39;"); break;
        default: xn_buf_char(out, *p);
        }
    }
}

static void put_money(struct xn_buf *out, int64_t micro)
{
    char text[XN_DEC_TEXT_MAX];

    xn_dec_format(xn_dec_from_micro(micro), text);
    xn_buf_str(out, text);
}

static void put_time(struct xn_buf *out, uint64_t us)
{
    char text[XN_UTC_TEXT_MAX];

    if (!us) return;
    xn_utc_format(us - us % 1000000, text);
    xn_buf_str(out, text);
}

/* As much of an id as tells it from others; commands take the whole. */
static void put_id(struct xn_buf *out, const ProtobufCBinaryData *bytes)
{
    char hex[XN_ID_HEX] = "?";
    xn_id id;

    if (!xn_id_from_bytes(bytes, &id)) xn_id_hex(&id, hex);
    xn_buf_printf(out, "<code title=\"%s\">%.12s</code>", hex, hex);
}

static void card(struct xn_buf *out, const char *about, const char *value)
{
    xn_buf_str(out, "<div class=\"card\"><span class=\"dim\">");
    put(out, about);
    xn_buf_str(out, "</span><b>");
    put(out, value);
    xn_buf_str(out, "</b></div>\n");
}

/* ---- the parts ---- */

static const char *colour(const char *state)
{
    if (strcmp(state, "offered") == 0 || strcmp(state, "member") == 0)
        return "good";
    return strcmp(state, "silent") == 0 || strcmp(state, "lapsed") == 0
               ? "bad"
               : "warn";
}

static void head(const struct html_facts *f, struct xn_buf *out)
{
    xn_buf_str(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta "
                    "charset=\"utf-8\">\n<meta http-equiv=\"refresh\" ");
    xn_buf_printf(out, "content=\"%u\">\n", f->refresh_s);
    xn_buf_str(out, "<meta name=\"viewport\" content=\"width=device-width\">\n"
                    "<link rel=\"stylesheet\" href=\"style.css\">\n<title>");
    put(out, f->name);
    xn_buf_str(out, "</title></head>\n<body><main>\n<header><h1>");
    put(out, f->name);
    xn_buf_printf(out, "</h1><span class=\"state %s\">%s</span></header>\n",
                  colour(f->view->state), f->view->state);
}

/* By all its orders. */
static int64_t charged_by(const Xn__HostSession *s)
{
    int64_t all;

    if (s->charged < 0 || s->before < 0) return 0;
    return __builtin_add_overflow(s->charged, s->before, &all) ? INT64_MAX
                                                               : all;
}

/* Of what the sessions that are shown were charged. */
static void earned(const struct view *view, struct xn_buf *out)
{
    struct {
        char currency[8];
        int64_t micro;
    } sums[CURRENCIES];
    size_t n = 0, k;

    for (size_t i = 0; i < view->n_pages; i++) {
        for (size_t j = 0; j < view->pages[i]->n_sessions; j++) {
            const Xn__HostSession *s = view->pages[i]->sessions[j];

            for (k = 0; k < n && strcmp(sums[k].currency, s->currency); k++)
                ;
            if (strlen(s->currency) != 3 || k == CURRENCIES) continue;
            if (k == n) {
                strcpy(sums[n].currency, s->currency);
                sums[n++].micro = 0;
            }
            if (sums[k].micro < INT64_MAX - charged_by(s))
                sums[k].micro += charged_by(s);
        }
    }
    for (k = 0; k < n; k++) {
        char text[XN_DEC_TEXT_MAX + 8];
        size_t len = xn_dec_format(xn_dec_from_micro(sums[k].micro), text);

        snprintf(text + len, sizeof text - len, " %s", sums[k].currency);
        card(out, "charged by these sessions", text);
    }
}

static void cards(const struct html_facts *f, struct xn_buf *out)
{
    static const char *const tokens[][2] = {
        {"CPUsmps", "CPU on offer, ms a second"},
        {"MemoryMB", "memory on offer, MB"},
        {"DiskGB", "disk on offer, GB"},
        {"NetMbps", "network on offer, Mb/s"},
        {"IPv4Addresses", "addresses on offer"},
    };
    unsigned busy = f->view->sessions[XN__SESSION_STATE__SESSION_RUNNING] +
                    f->view->sessions[XN__SESSION_STATE__SESSION_PAUSED];
    char text[40];

    xn_buf_str(out, "<div class=\"cards\">\n");
    snprintf(text, sizeof text, "%u", busy);
    if (f->view->has_sessions) card(out, "sessions now", text);
    earned(f->view, out);
    for (size_t i = 0;
         f->offer && f->offer->n_rows && i < sizeof tokens / sizeof *tokens;
         i++) {
        const struct advert_value *value =
            advert_row_get(&f->offer->rows[0], tokens[i][0]);

        if (value) card(out, tokens[i][1], value->text);
    }
    if (f->view->status) {
        snprintf(text, sizeof text, "%u",
                 (unsigned)f->view->status->copies_least);
        card(out, "copies of the advertisement", text);
    }
    xn_buf_str(out, "</div>\n");
}

static void prices(const struct html_facts *f, struct xn_buf *out)
{
    static const char *const tokens[][2] = {
        {"PricePerHour", "an hour"},
        {"CPUSecond", "a second of CPU time"},
        {"MemoryMBHour", "a MB an hour"},
        {"NetGB", "a GB sent or received"},
        {"DiskGBHour", "a GB of disk an hour"},
        {"SetUp", "once"},
    };

    if (!f->offer || !f->offer->n_rows) return;
    xn_buf_str(out, "<h2>Prices</h2>\n<div class=\"cards\">\n");
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        const struct advert_value *value =
            advert_row_get(&f->offer->rows[0], tokens[i][0]);
        char text[100];

        if (!value) continue;
        snprintf(text, sizeof text, "%.60s %.8s", value->text,
                 f->offer->currency);
        card(out, tokens[i][1], text);
    }
    xn_buf_str(out, "</div>\n");
}

static void warning(struct xn_buf *out, const char *level, const char *about,
                    const char *because, const char *try)
{
    xn_buf_printf(out, "<li><span class=\"%s\">", level);
    put(out, about);
    xn_buf_str(out, "</span> ");
    put(out, because);
    if (try[0]) {
        xn_buf_str(out, " <span class=\"dim\">&rarr; ");
        put(out, try);
        xn_buf_str(out, "</span>");
    }
    xn_buf_str(out, "</li>\n");
}

static void warnings(const struct html_facts *f, struct xn_buf *out)
{
    const struct doctor *d = f->doctor;
    unsigned n = 0;

    xn_buf_str(out, "<h2>Warnings</h2>\n<ul>\n");
    if (f->because) {
        n++;
        warning(out, "bad", "xenohostd", f->because, "xenoserver doctor");
    }
    if (f->view->troubled) {
        n++;
        warning(out, "bad", "claims", f->view->trouble, "");
    }
    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_finding *at = &d->findings[i];

        if (at->level == DOCTOR_OK) continue;
        n++;
        warning(out, at->level == DOCTOR_FAIL ? "bad" : "warn", at->about,
                at->because, at->try);
    }
    if (!n) xn_buf_str(out, "<li><span class=\"good\">none</span></li>\n");
    xn_buf_str(out, "</ul>\n");
}

/* ---- sessions ---- */

static void put_command(struct xn_buf *out, const Xn__HostTask *task)
{
    char line[300];
    size_t len = 0;

    if (!task || !task->n_argv) return;
    for (size_t i = 0; i < task->n_argv && len < sizeof line - 2; i++) {
        int n = snprintf(line + len, sizeof line - len, "%s%s", i ? " " : "",
                         task->argv[i]);

        len +=
            (size_t)n < sizeof line - len ? (size_t)n : sizeof line - 1 - len;
    }
    xn_buf_str(out, "<br><code>");
    put(out, line);
    xn_buf_str(out, "</code>");
}

static const char *session_colour(unsigned state)
{
    switch (state) {
    case XN__SESSION_STATE__SESSION_RUNNING: return "good";
    case XN__SESSION_STATE__SESSION_PAUSED:
    case XN__SESSION_STATE__SESSION_UNSETTLED: return "warn";
    default: return "dim";
    }
}

static void session_row(struct xn_buf *out, const Xn__HostSession *s)
{
    const Xn__Amounts *r = s->reserved;

    xn_buf_str(out, "<tr><td>");
    put_id(out, &s->session);
    put_command(out, s->task);
    xn_buf_printf(out, "</td><td class=\"%s\">%s",
                  session_colour((unsigned)s->state),
                  view_session_state((unsigned)s->state));
    if (s->reason[0]) {
        xn_buf_str(out, "<br><span class=\"dim\">");
        put(out, s->reason);
        xn_buf_str(out, "</span>");
    }
    if (s->trouble[0]) {
        xn_buf_str(out, "<br><span class=\"bad\">");
        put(out, s->trouble);
        xn_buf_str(out, "</span>");
    }
    xn_buf_str(out, "</td><td>");
    put_id(out, &s->holder);
    xn_buf_str(out, "</td><td class=\"n\">");
    put(out, r ? r->cpu_smps : "");
    xn_buf_str(out, "</td><td class=\"n\">");
    put(out, r ? r->memory_mb : "");
    xn_buf_str(out, "</td><td class=\"n\">");
    put_money(out, s->charged);
    xn_buf_str(out, " of ");
    put_money(out, s->amount);
    xn_buf_char(out, ' ');
    put(out, s->currency);
    if (s->extended) {
        xn_buf_str(out, "<br><span class=\"dim\">before: ");
        put_money(out, s->before);
        xn_buf_str(out, "</span>");
    }
    if (s->warned)
        xn_buf_printf(out, "<br><span class=\"warn\">under %u %% left</span>",
                      (unsigned)s->warned);
    xn_buf_str(out, "</td><td>");
    put_time(out, s->created_us);
    xn_buf_str(out, "</td><td>");
    put_time(out, s->until_us);
    xn_buf_str(out, "</td></tr>\n");
}

static bool is_over(const Xn__HostSession *s)
{
    return s->state == XN__SESSION_STATE__SESSION_ENDED ||
           s->state == XN__SESSION_STATE__SESSION_REFUSED;
}

static void sessions(const struct view *view, struct xn_buf *out)
{
    unsigned n = 0, left = 0;

    xn_buf_str(out, "<h2>Sessions</h2>\n<div class=\"wide\"><table>\n<tr>"
                    "<th>session</th><th>state</th><th>client</th>"
                    "<th class=\"n\">CPU ms/s</th><th class=\"n\">MB</th>"
                    "<th class=\"n\">charged</th><th>since</th><th>until</th>"
                    "</tr>\n");
    for (int over = 0; over < 2; over++) {
        for (size_t i = 0; i < view->n_pages; i++) {
            for (size_t j = 0; j < view->pages[i]->n_sessions; j++) {
                const Xn__HostSession *s = view->pages[i]->sessions[j];

                if (is_over(s) != (over == 1)) continue;
                if (n++ < ROWS_MAX)
                    session_row(out, s);
                else
                    left++;
            }
        }
    }
    if (!n)
        xn_buf_str(out, "<tr><td colspan=\"8\" class=\"dim\">none</td></tr>\n");
    xn_buf_str(out, "</table></div>\n");
    if (left)
        xn_buf_printf(out,
                      "<p class=\"dim\">and %u more: xeno session list"
                      "</p>\n",
                      left);
}

/* ---- the whole ---- */

void html_page(const struct html_facts *f, struct xn_buf *out)
{
    head(f, out);
    cards(f, out);
    warnings(f, out);
    sessions(f->view, out);
    prices(f, out);
    xn_buf_str(out, "<footer class=\"dim\">");
    put_time(out, f->now_us);
    xn_buf_printf(out, ", again every %u s; read only</footer>\n",
                  f->refresh_s);
    xn_buf_str(out, "</main></body></html>\n");
}
