/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The job whose cost is asked, as text:
 *
 *   job   = item *( blank item )          each name at most once
 *   item  = "time=" DUR                   how long the server is held
 *         | "cpu=" DUR                    CPU time
 *         | "mem=" SIZE [ "*" DUR ]       memory, and how long
 *         | "out=" SIZE                   network traffic
 *         | "disk=" SIZE [ "*" DUR ]      disk space, and how long
 *   DUR   = number ( "s" | "m" | "h" | "d" )
 *   SIZE  = number ( "kB" | "MB" | "GB" | "TB" | "KiB" | "MiB" | "GiB" | "TiB" )
 *
 * Hours of PricePerHour: `time`; without it the longest duration of mem and
 * disk; without those, that of cpu.  mem and disk without a duration take
 * `time`.  Memory is counted in MiB, as the token MemoryMB is (hypervisors
 * hand it out so); traffic and disk in GB of 1e9 bytes. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "wire/query_impl.h"

struct unit {
    const char *name;
    uint64_t size;
};

static const struct unit durations[] = {
    {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0},
};

static const struct unit sizes[] = {
    {"kB", 1000},          {"MB", 1000000},     {"GB", 1000000000},
    {"TB", 1000000000000}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20},
    {"GiB", 1ULL << 30},   {"TiB", 1ULL << 40}, {NULL, 0},
};

#define MIB (1ULL << 20)
#define GB 1000000000ULL

struct amount { /* of an item */
    bool given, timed;
    xn_dec size; /* bytes; seconds for time= and cpu= */
    xn_dec s;    /* how long, where timed */
};

enum item { TIME, CPU, MEM, OUT, DISK, ITEMS };
static const char *const names[ITEMS] = {"time", "cpu", "mem", "out", "disk"};

struct job {
    const char *text;
    size_t at;
    struct amount items[ITEMS];
    struct query_error *error;
};

static int fail(const struct job *job, const char *text)
{
    return query_fail(job->error, job->at, "%s", text);
}

static bool is_end(char c)
{
    return !c || c == ' ' || c == '\t';
}

/* A number and a unit: `out` in the unit of size 1. */
static int read_amount(struct job *job, const struct unit *units,
                       const char *expected, xn_dec *out)
{
    const char *text = job->text + job->at;
    size_t digits = strspn(text, "0123456789."), len;
    const struct unit *unit;

    if (xn_dec_parse(text, digits, out)) return fail(job, expected);
    text += digits;
    job->at += digits;
    for (len = 0; !is_end(text[len]) && text[len] != '*';)
        len++;
    for (unit = units; unit->name; unit++) {
        if (strlen(unit->name) == len && memcmp(unit->name, text, len) == 0) {
            break;
        }
    }
    if (!unit->name) return fail(job, expected);
    if (xn_dec_mul(*out, xn_dec_int((int64_t)unit->size), out)) {
        return fail(job, "this number is too large");
    }
    job->at += len;
    return 0;
}

static int read_duration(struct job *job, xn_dec *out)
{
    return read_amount(job, durations,
                       "expected a duration such as 90m (units s m h d)", out);
}

static int read_size(struct job *job, xn_dec *out)
{
    return read_amount(job, sizes,
                       "expected a size such as 4GiB (units kB MB GB TB KiB "
                       "MiB GiB TiB)",
                       out);
}

static int read_item(struct job *job)
{
    const char *text = job->text + job->at;
    size_t len = strcspn(text, "= \t");
    enum item item;
    int rc;

    for (item = TIME; item < ITEMS; item++) {
        if (strlen(names[item]) == len && memcmp(names[item], text, len) == 0) {
            break;
        }
    }
    if (item == ITEMS || text[len] != '=') {
        return fail(job, "expected time= cpu= mem= out= or disk=");
    }
    if (job->items[item].given) return fail(job, "given twice");
    job->items[item].given = true;
    job->at += len + 1;
    if (item == TIME || item == CPU) {
        rc = read_duration(job, &job->items[item].size);
    } else {
        rc = read_size(job, &job->items[item].size);
    }
    if (rc) return rc;
    if ((item == MEM || item == DISK) && job->text[job->at] == '*') {
        job->at++;
        job->items[item].timed = true;
        rc = read_duration(job, &job->items[item].s);
        if (rc) return rc;
    }
    return is_end(job->text[job->at]) ? 0 : fail(job, "expected a blank here");
}

static int read_items(struct job *job)
{
    size_t n = 0;
    int rc;

    for (;;) {
        job->at += strspn(job->text + job->at, " \t");
        if (!job->text[job->at]) break;
        rc = read_item(job);
        if (rc) return rc;
        n++;
    }
    return n ? 0 : fail(job, "expected time= cpu= mem= out= or disk=");
}

/* mem and disk without a duration take `time`. */
static int complete(struct job *job, enum item item)
{
    struct amount *amount = &job->items[item];

    if (!amount->given || amount->timed) return 0;
    if (!job->items[TIME].given) {
        job->at = (size_t)(strstr(job->text, names[item]) - job->text);
        return fail(job, "for how long? SIZE*DURATION, or time=");
    }
    amount->s = job->items[TIME].size;
    amount->timed = true;
    return 0;
}

static xn_dec seconds_held(const struct job *job)
{
    xn_dec s = xn_dec_int(0);

    if (job->items[TIME].given) return job->items[TIME].size;
    if (job->items[MEM].given) s = job->items[MEM].s;
    if (job->items[DISK].given && xn_dec_cmp(job->items[DISK].s, s) > 0) {
        s = job->items[DISK].s;
    }
    if (s.v == 0 && job->items[CPU].given) s = job->items[CPU].size;
    return s;
}

/* d / n, half to even, as shortest text. */
static void write_share(xn_dec d, uint64_t n, char out[XN_DEC_TEXT_MAX])
{
    xn_i128 by = (xn_i128)n, quotient = d.v / by, twice = d.v % by * 2;

    if (twice > by || (twice == by && (quotient & 1))) quotient++;
    xn_dec_format((xn_dec){quotient}, out);
}

/* size / unit x hours. */
static int write_held(const struct amount *amount, uint64_t unit,
                      char out[XN_DEC_TEXT_MAX])
{
    xn_dec d = xn_dec_int(0);
    int rc = 0;

    if (amount->given) rc = xn_dec_mul(amount->size, amount->s, &d);
    if (rc) return rc;
    write_share(d, unit * 3600, out);
    return 0;
}

static int finish(struct job *job, struct query *query)
{
    char hours[XN_DEC_TEXT_MAX], cpu[XN_DEC_TEXT_MAX], mem[XN_DEC_TEXT_MAX];
    char net[XN_DEC_TEXT_MAX], disk[XN_DEC_TEXT_MAX];
    Xn__Query *old = query->proto, proto = *old;
    Xn__Job made = XN__JOB__INIT;
    int rc;

    write_share(seconds_held(job), 3600, hours);
    xn_dec_format(job->items[CPU].size, cpu);
    write_share(job->items[OUT].size, GB, net);
    if (write_held(&job->items[MEM], MIB, mem) ||
        write_held(&job->items[DISK], GB, disk)) {
        job->at = 0;
        return fail(job, "this job is too large");
    }
    made.hours = hours;
    made.cpu_s = cpu;
    made.memory_mb_h = mem;
    made.net_gb = net;
    made.disk_gb_h = disk;
    proto.job = &made;
    rc = query_change(query, &proto);
    return rc ? query_fail(job->error, 0, "%s", xn_strerror(rc)) : 0;
}

int query_set_job(struct query *query, const char *text,
                  struct query_error *error_out)
{
    struct job job = {.text = text, .error = error_out};
    int rc;

    rc = read_items(&job);
    if (rc) return rc;
    rc = complete(&job, MEM);
    if (rc) return rc;
    rc = complete(&job, DISK);
    if (rc) return rc;
    return finish(&job, query);
}

int query_set_budget(struct query *query, const char *text,
                     struct query_error *error_out)
{
    size_t digits = strspn(text, "0123456789.");
    char amount[XN_DEC_TEXT_MAX], currency[QUERY_CURRENCY_MAX + 1] = "";
    Xn__Query proto = *query->proto;
    xn_dec d;

    if (!query->has_job) {
        return query_fail(error_out, 0, "a budget needs a job to spend it on");
    }
    if (xn_dec_parse(text, digits, &d)) {
        return query_fail(error_out, 0, "expected an amount such as 10GBP");
    }
    if (strlen(text + digits) > QUERY_CURRENCY_MAX) {
        return query_fail(error_out, digits, "this is no currency");
    }
    strcpy(currency, text + digits);
    xn_dec_format(d, amount);
    proto.budget = amount;
    if (currency[0]) proto.currency = currency;
    if (query_change(query, &proto)) {
        return query_fail(error_out, digits, "this is no currency");
    }
    return 0;
}
