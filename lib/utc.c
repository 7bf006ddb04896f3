/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lib/utc.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"

#define SECOND 1000000U
#define DAY_S 86400U

struct date {
    unsigned year, month, day;
};

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30,
                                   31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970 to the first of January. */
static unsigned days_before(unsigned year)
{
    unsigned past = year - 1;

    return 365 * (year - 1970) + past / 4 - past / 100 + past / 400 - 477;
}

static unsigned to_days(struct date date)
{
    unsigned days = days_before(date.year) + date.day - 1;

    for (unsigned month = 1; month < date.month; month++)
        days += days_in(date.year, month);
    return days;
}

static struct date from_days(unsigned days)
{
    struct date date = {1970 + days / 366, 1, 0};

    while (date.year < 9999 && days_before(date.year + 1) <= days)
        date.year++;
    days -= days_before(date.year);
    for (; days >= days_in(date.year, date.month); date.month++)
        days -= days_in(date.year, date.month);
    date.day = days + 1;
    return date;
}

/* `n` digits and the character behind them. */
static bool take(const char **at, const char *end, size_t n, char behind,
                 unsigned *out)
{
    unsigned value = 0;

    if ((size_t)(end - *at) < n + 1) return false;
    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned)((*at)[i] - '0');

        if (digit > 9) return false;
        value = value * 10 + digit;
    }
    if ((*at)[n] != behind) return false;
    *at += n + 1;
    *out = value;
    return true;
}

/* From behind the seconds' digits on: "Z" or ".5Z". */
static bool take_fraction(const char *at, const char *end, unsigned *us_out)
{
    unsigned unit = SECOND;

    *us_out = 0;
    if (end - at == 1) return *at == 'Z';
    if (end - at < 3 || end - at > 8 || *at != '.' || end[-1] != 'Z' ||
        end[-2] == '0') {
        return false;
    }
    for (at++; at < end - 1; at++) {
        unsigned digit = (unsigned)(*at - '0');

        if (digit > 9) return false;
        unit /= 10;
        *us_out += digit * unit;
    }
    return true;
}

int xn_utc_parse(const char *text, size_t len, uint64_t *us_out)
{
    const char *at = text, *end = text + len;
    unsigned hour, minute, second, us;
    struct date date;
    uint64_t s;

    if (!take(&at, end, 4, '-', &date.year) ||
        !take(&at, end, 2, '-', &date.month) ||
        !take(&at, end, 2, 'T', &date.day) || !take(&at, end, 2, ':', &hour) ||
        !take(&at, end, 2, ':', &minute) || end - at < 3 ||
        !take(&at, end, 2, at[2], &second) ||
        !take_fraction(at - 1, end, &us)) {
        return XN_EINVAL;
    }
    if (date.year < 1970 || date.month < 1 || date.month > 12 || date.day < 1 ||
        date.day > days_in(date.year, date.month) || hour > 23 || minute > 59 ||
        second > 59) {
        return XN_EINVAL;
    }
    s = (uint64_t)to_days(date) * DAY_S + hour * 3600 + minute * 60 + second;
    *us_out = s * SECOND + us;
    return 0;
}

size_t xn_utc_format(uint64_t us, char out[XN_UTC_TEXT_MAX])
{
    struct date date;
    unsigned s, fraction;
    size_t len;

    if (us > XN_UTC_US_MAX) us = XN_UTC_US_MAX;
    date = from_days((unsigned)(us / SECOND / DAY_S));
    s = (unsigned)(us / SECOND % DAY_S);
    fraction = (unsigned)(us % SECOND);
    len = (size_t)snprintf(out, XN_UTC_TEXT_MAX,
                           "%04u-%02u-%02uT%02u:%02u:%02u.%06u",
                           date.year % 10000, date.month % 100, date.day % 100,
                           s / 3600, s / 60 % 60, s % 60, fraction);
    if (len >= XN_UTC_TEXT_MAX) len = XN_UTC_TEXT_MAX - 1; /* never */
    while (out[len - 1] == '0' && fraction)
        len--;
    if (!fraction) len -= strlen(".000000");
    out[len++] = 'Z';
    out[len] = '\0';
    return len;
}
