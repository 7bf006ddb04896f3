/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The same charges for PostgreSQL, by libpq: one prepared call each, whose text
 * is bench/charges.sql.
 *
 *   charges_pg FOLDER-OF-SOCKET CLIENTS SECONDS SEED SERVER_PID */
#include <arpa/inet.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "bench/load.h"

static PGconn *conns[BENCH_CLIENTS_MAX];

static void die_of(PGconn *conn)
{
    fprintf(stderr, "bench: PostgreSQL: %s", PQerrorMessage(conn));
    exit(1);
}

static PGconn *connect_to(const char *host)
{
    const char *const names[] = {"host", "dbname", "user", NULL};
    const char *const values[] = {host, "postgres", "bench", NULL};
    PGconn *conn = PQconnectdbParams(names, values, 0);
    PGresult *result;

    if (PQstatus(conn) != CONNECTION_OK) die_of(conn);
    result =
        PQprepare(conn, "charge", "SELECT charge($1, $2, $3, $4)", 4, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) die_of(conn);
    PQclear(result);
    return conn;
}

static int side_fd(unsigned client)
{
    return PQsocket(conns[client]);
}

static void side_send(unsigned client, const struct bench_charge *charge)
{
    uint32_t from = htonl(charge->from), to = htonl(charge->to);
    uint64_t micro = htobe64((uint64_t)charge->micro);
    const char *const values[] = {(const char *)charge->id, (const char *)&from,
                                  (const char *)&to, (const char *)&micro};
    static const int lengths[] = {16, 4, 4, 8}, formats[] = {1, 1, 1, 1};

    if (!PQsendQueryPrepared(conns[client], "charge", 4, values, lengths,
                             formats, 1) ||
        PQflush(conns[client])) {
        die_of(conns[client]);
    }
}

static bool side_done(unsigned client)
{
    PGconn *conn = conns[client];
    PGresult *result;
    bool done = false;

    if (!PQconsumeInput(conn)) die_of(conn);
    while (!PQisBusy(conn)) {
        result = PQgetResult(conn);
        if (!result) return done;
        if (PQresultStatus(result) != PGRES_TUPLES_OK) die_of(conn);
        PQclear(result);
        done = true;
    }
    return false;
}

int main(int argc, char **argv)
{
    static const struct bench_side side = {"postgresql", side_fd, side_send,
                                           side_done};
    struct bench_load load;
    unsigned i;

    if (argc != 6 || bench_load_parse(argv + 2, &load)) return 2;
    for (i = 0; i < load.clients; i++)
        conns[i] = connect_to(argv[1]);
    bench_load_run(&load, &side);
    for (i = 0; i < load.clients; i++)
        PQfinish(conns[i]);
    return 0;
}
