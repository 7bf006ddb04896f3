/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client's end of a command: signals are heard whatever it waits for. */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/net_kit.h"

#include "net/command.h"
#include "net/tls.h"
#include "wire/api.pb-c.h"
#include "wire/stream.h"

#define HANGS_S 60 /* then this has failed */
#define MORE 8192  /* bytes, than it writes before */

static struct net_identity corp, server, client;
static int listener, port;

static int begin(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;

    alarm(HANGS_S);
    kit_make_corp(&corp, "corp");
    kit_make_member(&corp, XN__ROLE__SERVER, "server", &server);
    kit_make_member(&corp, XN__ROLE__CLIENT, "client", &client);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    port = ntohs(at.sin_port);
    return 0;
}

static int end(void **state)
{
    close(listener);
    net_identity_clear(&client);
    net_identity_clear(&server);
    net_identity_clear(&corp);
    alarm(0);
    return 0;
}

/* Ends with 0 where a signal has ended it. */
static pid_t run(int out, bool terminal)
{
    Xn__ExecTask body = XN__EXEC_TASK__INIT;
    struct net_command_end told;
    char url[64];
    const struct net_command command = {.identity = &client,
                                        .url = url,
                                        .path = "/v1/tasks/exec",
                                        .server = &server.cert.id,
                                        .body = &body,
                                        .timeout_ms = HANGS_S * 1000,
                                        .terminal = terminal};
    pid_t pid = fork();

    if (pid) return pid;
    alarm(HANGS_S);
    snprintf(url, sizeof url, "https://127.0.0.1:%d", port);
    dup2(out, STDOUT_FILENO);
    net_command_run(&command, &told);
    _exit(told.rc == XN_ECANCELLED ? 0 : 1);
}

/* Says more than anybody takes. */
static pid_t say_on(void)
{
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    char data[4096] = "";
    SSL_CTX *ctx = NULL;
    SSL *ssl;
    int n = 0, got = 1;
    pid_t pid = fork();

    if (pid) return pid;
    alarm(HANGS_S);
    if (net_tls_api(&server, &ctx)) _exit(1);
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, accept(listener, NULL, NULL));
    if (SSL_accept(ssl) != 1) _exit(2);
    while (got > 0 && !strstr(data, "\r\n\r\n")) {
        got = SSL_read(ssl, data + n, (int)sizeof data - 1 - n);
        if (got > 0) n += got;
        data[n] = '\0';
    }
    SSL_write(ssl, answer, (int)strlen(answer));
    memset(data, 'x', sizeof data);
    stream_head_put(STREAM_DATA, sizeof data - STREAM_HEAD, (uint8_t *)data);
    while (SSL_write(ssl, data, sizeof data) > 0) {}
    _exit(0);
}

static unsigned long written(pid_t pid)
{
    unsigned long n = 0;
    char path[64];
    FILE *io;

    snprintf(path, sizeof path, "/proc/%d/io", pid);
    io = fopen(path, "r");
    assert_non_null(io);
    assert_int_equal(fscanf(io, "rchar: %*u wchar: %lu", &n), 1);
    fclose(io);
    return n;
}

/* That there is room cannot be asked for: a terminal finds some for others. */
static void stands(pid_t pid)
{
    unsigned long n = 0, before;
    int still = 0;

    while (still < 30) {
        before = n;
        usleep(10000);
        n = written(pid);
        still = n > MORE && n == before ? still + 1 : 0;
    }
}

/* It ends by a signal while nobody takes what it writes to `out`. */
static void ends_when_full(int out)
{
    pid_t says = say_on(), runs = run(out, false);
    int status;

    stands(runs);
    assert_int_equal(kill(runs, SIGTERM), 0);
    assert_int_equal(waitpid(runs, &status, 0), runs);
    assert_int_equal(status, 0);
    kill(says, SIGKILL);
    assert_int_equal(waitpid(says, &status, 0), says);
}

static void a_signal_ends_who_is_not_read(void **state)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    ends_when_full(ends[1]);
    close(ends[0]);
    close(ends[1]);
}

static void also_before_a_terminal(void **state)
{
    int screen = posix_openpt(O_RDWR | O_NOCTTY), slave;

    assert_true(screen >= 0 && grantpt(screen) == 0 && unlockpt(screen) == 0);
    slave = open(ptsname(screen), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    ends_when_full(slave);
    close(slave);
    close(screen);
}

/* The server has taken the connection, so signals are heard already. */
static void it_can_be_stopped_while_it_asks(void **state)
{
    pid_t runs = run(STDOUT_FILENO, true);
    int fd = accept(listener, NULL, NULL), status;

    assert_true(fd >= 0);
    assert_int_equal(kill(runs, SIGTSTP), 0);
    assert_int_equal(waitpid(runs, &status, WUNTRACED), runs);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(kill(runs, SIGCONT), 0);
    assert_int_equal(kill(runs, SIGTERM), 0);
    assert_int_equal(waitpid(runs, &status, 0), runs);
    assert_int_equal(status, 0);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_signal_ends_who_is_not_read),
        TEST(also_before_a_terminal),
        TEST(it_can_be_stopped_while_it_asks),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
