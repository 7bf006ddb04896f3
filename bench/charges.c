/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Charges for bench/ledgerd.
 *
 *   charges SOCKET open
 *   charges SOCKET CLIENTS SECONDS SEED SERVER_PID */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/load.h"
#include "bench/wire.h"

static int fds[BENCH_CLIENTS_MAX];

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address)) {
        bench_die(path);
    }
    return fd;
}

static void send_request(int fd, const struct bench_request *request)
{
    if (write(fd, request, sizeof *request) != (ssize_t)sizeof *request) {
        bench_die("the ledger does not listen");
    }
}

static void take_reply(int fd)
{
    struct bench_reply reply;

    if (read(fd, &reply, sizeof reply) != (ssize_t)sizeof reply) {
        bench_die("the ledger is gone");
    }
    if (reply.rc) {
        errno = 0;
        fprintf(stderr, "bench: a charge was refused: %d\n", reply.rc);
        bench_die("the ledger");
    }
}

/* Everybody who pays has funds; who is paid has none. */
static void open_accounts(int fd)
{
    struct bench_request request;
    uint32_t i, most = 1 + BENCH_FENCES + BENCH_SERVERS;

    for (i = 0; i < most; i++) {
        memset(&request, 0, sizeof request);
        request.id[0] = 'o';
        memcpy(request.id + 1, &i, sizeof i);
        request.what = BENCH_OPEN;
        request.to = i;
        request.micro = i && i <= BENCH_FENCES ? BENCH_FUNDS : 0;
        send_request(fd, &request);
        if (i % 64 == 0 || i + 1 == most) {
            uint32_t n = i == 0 ? 1 : i % 64 ? i % 64 : 64;

            while (n--)
                take_reply(fd);
        }
    }
}

static int side_fd(unsigned client)
{
    return fds[client];
}

static void side_send(unsigned client, const struct bench_charge *charge)
{
    struct bench_request request = {.what = BENCH_CHARGE,
                                    .from = charge->from,
                                    .to = charge->to,
                                    .micro = charge->micro};

    memcpy(request.id, charge->id, sizeof request.id);
    send_request(fds[client], &request);
}

static bool side_done(unsigned client)
{
    take_reply(fds[client]);
    return true;
}

int main(int argc, char **argv)
{
    static const struct bench_side side = {"ours", side_fd, side_send,
                                           side_done};
    struct bench_load load;
    unsigned i;

    if (argc == 3 && !strcmp(argv[2], "open")) {
        open_accounts(connect_to(argv[1]));
        return 0;
    }
    if (argc != 6 || bench_load_parse(argv + 2, &load)) return 2;
    for (i = 0; i < load.clients; i++)
        fds[i] = connect_to(argv[1]);
    bench_load_run(&load, &side);
    return 0;
}
