/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "hostagent/xenohostd_offer.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "hostagent/offer.h"
#include "lib/err.h"
#include "wire/token.h"

#define EXTRAS_MAX 200
#define BLANK " \t\r\n"
#define MEMORY_STEP_MB 256 /* so that a restart does not change the offer */

#define TEXT(key, max, help)                                                   \
    {                                                                          \
        key, NET_TEXT, NULL, 1, max, help                                      \
    }

const struct net_setting xenohostd_offer_rows[XENOHOSTD_OFFER_ROWS] = {
    TEXT("offer.name", 64, "ServerName; the label where it is left out"),
    TEXT("offer.endpoint", 256,
         "URL of this server's API, where others reach "
         "it elsewhere than where it listens"),
    TEXT("offer.architecture", 64, "Architecture; found out"),
    TEXT("offer.country", 64, "Country, two letters"),
    TEXT("offer.city", 256, "City"),
    TEXT("offer.environments", 4096,
         "\"TYPE [KERNEL [VIRTUALISATION]]; ...\"; this kernel"),
    TEXT("offer.cpu_smps", 48, "CPUsmps: ms of CPU time a second; found out"),
    TEXT("offer.memory_mb", 48, "MemoryMB; what is free now"),
    TEXT("offer.disk_gb", 48, "DiskGB"),
    TEXT("offer.net_mbps", 48, "NetMbps"),
    TEXT("offer.ipv4_addresses", 48, "IPv4Addresses"),
    TEXT("offer.tokens", 16384, "further tokens, \"NAME=VALUE; ...\""),
    TEXT("price.currency", 8, "of all prices: \"GBP\""),
    TEXT("price.per_hour", 48, "PricePerHour"),
    TEXT("price.cpu_second", 48, "CPUSecond: a second of CPU time"),
    TEXT("price.memory_mb_hour", 48, "MemoryMBHour: a MB for an hour"),
    TEXT("price.net_gb", 48, "NetGB: a GB sent or received"),
    TEXT("price.disk_gb_hour", 48, "DiskGBHour: a GB of disk for an hour"),
    TEXT("price.setup", 48, "SetUp: once per session"),
    TEXT("place.x", 48, "network coordinate, ms"),
    TEXT("place.y", 48, "network coordinate, ms"),
    TEXT("place.h", 48, "height of the access link, ms"),
    TEXT("place.error", 48, "relative error of the coordinate"),
    {"publish.lease", NET_SPAN, "15m", 2000000, 86400000000ULL,
     "how long the advertisement outlives its server"},
    {"publish.renew", NET_SPAN, "5m", 100000, 400000000,
     "how often the lease is renewed; less than half of it"},
    {"publish.watch", NET_SPAN, "5s", 100000, 60000000,
     "how often the node is asked whether it lives"},
    TEXT("publish.nodes", 4096, "URLs of nodes, in order, between blanks"),
    {"sell.quote", NET_SPAN, "5m", 1000000, 3600000000ULL,
     "how long a quote holds"},
    {"sell.charge", NET_SPAN, "10s", 100000, 3600000000ULL,
     "between two claims of a session"},
    {"sell.patience", NET_SPAN, "30s", 100000, 600000000,
     "how long capacity waits for XenoCorp's word on an order"},
    {"sell.pause", NET_SPAN, "10s", 0, 3600000000ULL,
     "from an order's being spent to the session's end"},
    {"sell.sessions", NET_NUMBER, "256", 1, 4096,
     "sessions remembered, ended ones included"},
    TEXT("sell.manager", 16,
         "what sessions run in, \"sandbox\", \"xen\" or \"reserve\" "
         "(nothing); sandbox where sell.xenodomd is set"),
    TEXT("sell.image", 1024,
         "manager xen: xenodomd's folder with the kernel of all tasks"),
    TEXT("sell.xenodomd", 1024, "xenodomd's socket, which runs the tasks"),
    {"activity.kept", NET_SPAN, "90d", 1000000, 3650 * 86400000000ULL,
     "how long it is kept whom tasks talked to"},
    {"activity.notes", NET_NUMBER, "1000000", 1, 1000000000,
     "no more of these, a claim's each: the oldest are dropped before time"},
    {"activity.bytes", NET_NUMBER, "1000000000", 1000000, 1000000000000,
     "nor more bytes of them, together"},
    TEXT("admission.program", 1000,
         "an absolute path: what it refuses is not sold"),
    {"admission.time", NET_SPAN, "5s", 100000, 15000000,
     "that it has for an answer"},
    {"admission.open", NET_BOOL, "no", 0, 0,
     "what it gives no answer to is sold all the same"},
    TEXT("cluster.members", 8192,
         "https://HOST:PORT#ID of each agent whose machine this one speaks "
         "for, between blanks"),
    {"cluster.grace", NET_SPAN, "30s", 1000000, 3600000000ULL,
     "from the first question that a member does not answer to the end of "
     "the sessions on it"},
    TEXT("cluster.manager", 64,
         "this is a member of a cluster: the id of the one that speaks for it"),
    TEXT("images.folder", 400,
         "where images of tasks are kept, one that xenodomd allows; without "
         "it no images are taken"),
    TEXT("images.store", 400, "folder of local images, by name"),
    TEXT("images.hosts", 1024,
         "hosts of the web that images may come from, between blanks; "
         "\".example.org\": all below, \"*\": any"),
    TEXT("images.ca", 400,
         "file of certificate authorities in place of the system's"),
    {"images.size", NET_NUMBER, "2000", 1, 1000000,
     "MB of an image, packed and unpacked alike"},
    {"images.room", NET_NUMBER, "20000", 1, 100000000,
     "MB of all images that are kept"},
    TEXT("images.unpacker", 400, "the program that unpacks them"),
    {"images.private", NET_BOOL, "no", 0, 0,
     "images may come from addresses of this network"},
    TEXT("publish.corps", 1024,
         "names of further corps that this server "
         "accepts, between blanks"),
};

/* ---- lists ---- */

/* Ends at a separator without a backslash before it; blanks around are cut. */
static int take_part(const char **text, char separator, struct xn_arena *arena,
                     char **part_out)
{
    const char *s = *text + strspn(*text, BLANK);
    char *part = xn_arena_alloc(arena, strlen(s) + 1);
    size_t n = 0;

    if (!part) return XN_ENOMEM;
    while (*s && *s != separator) {
        if (*s == '\\' && s[1]) s++;
        part[n++] = *s++;
    }
    while (n && strchr(BLANK, part[n - 1]))
        n--;
    part[n] = 0;
    *text = *s ? s + 1 : s;
    *part_out = part;
    return 0;
}

int xenohostd_split(const char *text, char separator, size_t max,
                    struct xn_arena *arena, char ***list_out, size_t *n_out)
{
    char **list = xn_arena_alloc(arena, (max + 1) * sizeof *list);
    char *part;
    size_t n = 0;
    int rc;

    if (!list) return XN_ENOMEM;
    while (*text) {
        rc = take_part(&text, separator, arena, &part);
        if (rc) return rc;
        if (!*part) continue;
        if (n == max) return XN_ETOOBIG;
        list[n++] = part;
    }
    *list_out = list;
    *n_out = n;
    return 0;
}

/* What a domain is, if it is one; else the word is the operator's. */
static bool is_domain(const struct net_settings *s)
{
    const char *manager = net_settings_text(s, "sell.manager");

    return manager && strcmp(manager, "xen") == 0;
}

static bool is_kind(const char *virtualisation)
{
    return strcmp(virtualisation, "pv") == 0 ||
           strcmp(virtualisation, "pvh") == 0;
}

static int set_environments(const char *text, bool xen, struct xn_arena *arena,
                            struct advert_offer *offer, char *why, size_t len)
{
    struct advert_environment *list;
    char **parts, **words;
    size_t n, n_words, i;
    int rc;

    snprintf(why, len, "offer.environments: more than %d",
             OFFER_ENVIRONMENTS_MAX);
    rc = xenohostd_split(text, ';', OFFER_ENVIRONMENTS_MAX, arena, &parts, &n);
    if (rc) return rc;
    list = xn_arena_alloc(arena, (n + 1) * sizeof *list);
    if (!list) return XN_ENOMEM;
    for (i = 0; i < n; i++) {
        snprintf(
            why, len,
            "offer.environments: '%s' is not TYPE [KERNEL [VIRTUALISATION]]",
            parts[i]);
        rc = xenohostd_split(parts[i], ' ', 3, arena, &words, &n_words);
        if (rc || n_words == 0) return XN_EINVAL;
        list[i].type = words[0];
        list[i].kernel = n_words > 1 ? words[1] : NULL;
        list[i].virtualisation = n_words > 2 ? words[2] : xen ? "pv" : NULL;
        if (!xen || is_kind(list[i].virtualisation)) continue;
        snprintf(why, len, "offer.environments: '%s': a domain is pv or pvh",
                 parts[i]);
        return XN_EINVAL;
    }
    offer->environments = list;
    offer->n_environments = n;
    return 0;
}

static int set_extras(const char *text, struct xn_arena *arena,
                      struct advert_offer *offer, char *why, size_t len)
{
    struct advert_extra *list;
    char **parts;
    size_t n, i;
    int rc;

    snprintf(why, len, "offer.tokens: more than %d", EXTRAS_MAX);
    rc = xenohostd_split(text, ';', EXTRAS_MAX, arena, &parts, &n);
    if (rc) return rc;
    list = xn_arena_alloc(arena, (n + 1) * sizeof *list);
    if (!list) return XN_ENOMEM;
    for (i = 0; i < n; i++) {
        char *equals = strchr(parts[i], '=');

        snprintf(why, len, "offer.tokens: '%s' is not NAME=VALUE", parts[i]);
        if (!equals || !equals[1]) return XN_EINVAL;
        if (!xn_token_valid(parts[i], (size_t)(equals - parts[i]))) {
            return XN_EINVAL;
        }
        *equals = 0;
        list[i] = (struct advert_extra){parts[i], equals + 1};
    }
    offer->extras = list;
    offer->n_extras = n;
    return 0;
}

/* ---- what can be found out ---- */

static const char *text_of(struct xn_arena *arena, unsigned long number)
{
    char text[32];

    snprintf(text, sizeof text, "%lu", number);
    return xn_arena_strdup(arena, text);
}

static const char *find_memory(struct xn_arena *arena)
{
    long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    unsigned long mb;

    if (pages <= 0 || size <= 0) return NULL;
    mb = (unsigned long)pages / 1024 * (unsigned long)size / 1024;
    mb -= mb % MEMORY_STEP_MB;
    return text_of(arena, mb ? mb : MEMORY_STEP_MB);
}

static const char *find_cpus(struct xn_arena *arena)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return text_of(arena, n > 0 ? 1000UL * (unsigned long)n : 1000);
}

/* This kernel, as tasks in a sandbox would see it: "Linux", "6.1". */
static int find_environment(bool xen, struct xn_arena *arena,
                            struct advert_offer *offer)
{
    struct advert_environment *env = xn_arena_alloc(arena, sizeof *env);
    struct utsname name;
    size_t major, len;

    if (!env || uname(&name)) return XN_ENOMEM;
    major = strspn(name.release, "0123456789");
    len = major + (name.release[major] == '.');
    len += strspn(name.release + len, "0123456789");
    env->type = xn_arena_strdup(arena, name.sysname);
    env->kernel = xn_arena_strndup(arena, name.release, len);
    env->virtualisation = xen ? "pv" : "sandbox";
    if (!env->type || !env->kernel) return XN_ENOMEM;
    offer->environments = env;
    offer->n_environments = 1;
    return 0;
}

static int find_out(bool xen, struct xn_arena *arena,
                    struct advert_offer *offer)
{
    struct utsname name;

    if (!offer->cpu_smps) offer->cpu_smps = find_cpus(arena);
    if (!offer->memory_mb) offer->memory_mb = find_memory(arena);
    if (!offer->architecture && !uname(&name)) {
        offer->architecture = xn_arena_strdup(arena, name.machine);
    }
    return offer->n_environments ? 0 : find_environment(xen, arena, offer);
}

/* ---- the whole ---- */

static void set_texts(const struct net_settings *s, struct advert_offer *o)
{
    o->server_name = net_settings_text(s, "offer.name");
    o->endpoint = net_settings_text(s, "offer.endpoint");
    o->architecture = net_settings_text(s, "offer.architecture");
    o->country = net_settings_text(s, "offer.country");
    o->city = net_settings_text(s, "offer.city");
    o->cpu_smps = net_settings_text(s, "offer.cpu_smps");
    o->memory_mb = net_settings_text(s, "offer.memory_mb");
    o->disk_gb = net_settings_text(s, "offer.disk_gb");
    o->net_mbps = net_settings_text(s, "offer.net_mbps");
    o->ipv4_addresses = net_settings_text(s, "offer.ipv4_addresses");
    o->currency = net_settings_text(s, "price.currency");
    o->price_per_hour = net_settings_text(s, "price.per_hour");
    o->cpu_second = net_settings_text(s, "price.cpu_second");
    o->memory_mb_hour = net_settings_text(s, "price.memory_mb_hour");
    o->net_gb = net_settings_text(s, "price.net_gb");
    o->disk_gb_hour = net_settings_text(s, "price.disk_gb_hour");
    o->setup = net_settings_text(s, "price.setup");
    o->coord_x = net_settings_text(s, "place.x");
    o->coord_y = net_settings_text(s, "place.y");
    o->coord_h = net_settings_text(s, "place.h");
    o->coord_error = net_settings_text(s, "place.error");
}

/* What the schema would refuse in the words of XML, in those of the settings. */
static bool is_amount(const char *text)
{
    static const char digits[] = "0123456789";
    size_t whole = strspn(text, digits), rest = 1;

    if (text[whole] == '.') rest = strspn(text + whole + 1, digits);
    text += whole + (text[whole] == '.' ? 1 + rest : 0);
    return !*text && whole >= 1 && whole <= 25 && rest >= 1 && rest <= 12;
}

static bool is_capitals(const char *text, size_t n)
{
    return strlen(text) == n && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == n;
}

static int check_texts(const struct net_settings *s, char *why, size_t len)
{
    static const char *const amounts[] = {
        "offer.cpu_smps",       "offer.memory_mb", "offer.disk_gb",
        "offer.net_mbps",       "price.per_hour",  "price.cpu_second",
        "price.memory_mb_hour", "price.net_gb",    "price.disk_gb_hour",
        "price.setup"};
    const char *currency = net_settings_text(s, "price.currency");
    const char *country = net_settings_text(s, "offer.country"), *text;
    size_t i;

    for (i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
        text = net_settings_text(s, amounts[i]);
        if (!text || is_amount(text)) continue;
        snprintf(why, len, "%s is an amount such as 0.0121, not '%s'",
                 amounts[i], text);
        return XN_EINVAL;
    }
    if (currency && !is_capitals(currency, 3)) {
        snprintf(why, len,
                 "price.currency is three capitals such as GBP, not "
                 "'%s'",
                 currency);
        return XN_EINVAL;
    }
    if (country && !is_capitals(country, 2)) {
        snprintf(why, len, "offer.country is two capitals such as GB, not '%s'",
                 country);
        return XN_EINVAL;
    }
    return 0;
}

int xenohostd_offer_given(const struct net_settings *settings,
                          struct xn_arena *arena,
                          struct advert_offer *offer_out, char *why_out,
                          size_t why_len)
{
    const char *environments =
        net_settings_text(settings, "offer.environments");
    const char *tokens = net_settings_text(settings, "offer.tokens");
    struct advert_offer offer;
    int rc = 0;

    memset(&offer, 0, sizeof offer);
    rc = check_texts(settings, why_out, why_len);
    if (rc) return rc;
    set_texts(settings, &offer);
    snprintf(why_out, why_len, "no price.currency, such as GBP");
    if (!offer.currency) return XN_EINVAL;
    snprintf(why_out, why_len,
             "no price is given: price.per_hour, cpu_second or memory_mb_hour");
    if (!offer.price_per_hour && !offer.cpu_second && !offer.memory_mb_hour) {
        return XN_EINVAL;
    }
    if (environments) {
        rc = set_environments(environments, is_domain(settings), arena, &offer,
                              why_out, why_len);
    }
    if (!rc && tokens) {
        rc = set_extras(tokens, arena, &offer, why_out, why_len);
    }
    if (rc) return rc;
    *offer_out = offer;
    return 0;
}

int xenohostd_offer(const struct net_settings *settings, struct xn_arena *arena,
                    struct advert_offer *offer_out, char *why_out,
                    size_t why_len)
{
    int rc =
        xenohostd_offer_given(settings, arena, offer_out, why_out, why_len);

    if (rc) return rc;
    snprintf(why_out, why_len, "out of memory");
    return find_out(is_domain(settings), arena, offer_out);
}

int xenohostd_amounts(const struct net_settings *settings,
                      struct xn_arena *arena, struct advert_offer *offer_out,
                      char *why_out, size_t why_len)
{
    int rc = check_texts(settings, why_out, why_len);

    if (rc) return rc;
    memset(offer_out, 0, sizeof *offer_out);
    set_texts(settings, offer_out);
    snprintf(why_out, why_len, "out of memory");
    return find_out(is_domain(settings), arena, offer_out);
}
