/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ports for platforms that start at once: never the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "tools/dev.h"

enum { FEW = 6, FROM = 4711 };

static struct dev_ports mine, other;

static int let_go(void **state)
{
    (void)state;
    dev_ports_release(&mine);
    dev_ports_release(&other);
    return 0;
}

static int listen_at(int port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static bool is_among(int port, const int *ports, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (ports[i] == port) return true;
    }
    return false;
}

/* Two that begin at the same number, as two that start at once may. */
static void two_never_choose_the_same(void **state)
{
    int a[FEW], b[FEW];
    size_t i;

    (void)state;
    assert_int_equal(dev_ports_find(&mine, FROM, a, FEW), 0);
    assert_int_equal(dev_ports_find(&other, FROM, b, FEW), 0);
    for (i = 0; i < FEW; i++) {
        assert_false(is_among(b[i], a, FEW));
        assert_false(dev_ports_keep(&other, a[i]));
    }
}

/* Another process, which ends without a word: what it kept is free again. */
static void another_process_keeps_and_loses_it(void **state)
{
    int to_child[2], from_child[2], port = 0, again = 0, status;
    char byte = 0;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(from_child), 0);
    pid = fork();
    if (pid == 0) {
        close(to_child[1]); /* it ends when we do, at the latest */
        if (dev_ports_find(&mine, FROM, &port, 1)) _exit(1);
        if (write(from_child[1], &port, sizeof port) < 0) _exit(1);
        _exit(read(to_child[0], &byte, 1) == 1 ? 0 : 1);
    }
    assert_int_equal(read(from_child[0], &port, sizeof port), sizeof port);
    assert_false(dev_ports_keep(&mine, port));
    assert_int_equal(dev_ports_find(&mine, FROM, &again, 1), 0);
    assert_int_not_equal(again, port);
    assert_int_equal(write(to_child[1], &byte, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(dev_ports_keep(&mine, port));
    close(to_child[0]);
    close(to_child[1]);
    close(from_child[0]);
    close(from_child[1]);
}

static void a_program_listens_at_what_was_kept_for_it(void **state)
{
    int port, fd;

    (void)state;
    assert_int_equal(dev_ports_find(&mine, FROM, &port, 1), 0);
    fd = listen_at(port);
    dev_ports_release(&mine);
    /* From here on it is the program that keeps others away. */
    assert_false(dev_ports_keep(&other, port));
    close(fd);
    assert_true(dev_ports_keep(&other, port));
}

static void more_than_there_are(void **state)
{
    static int ports[DEV_PORTS_MAX + 1];

    (void)state;
    assert_int_equal(dev_ports_find(&mine, FROM, ports, DEV_PORTS_MAX), 0);
    assert_int_equal(dev_ports_find(&mine, FROM, ports, 1), XN_EBUSY);
}

#define TEST(f) cmocka_unit_test_teardown(f, let_go)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_never_choose_the_same),
        TEST(another_process_keeps_and_loses_it),
        TEST(a_program_listens_at_what_was_kept_for_it),
        TEST(more_than_there_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
