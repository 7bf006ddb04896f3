/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words `save` and `restore`, and what becomes of what is saved when the
 * machine goes down; on a hypervisor that is made up. */
#include "tests/unit/domd_kit.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/keeper.h"
#include "keeper/record.h"
#include "keeper/sys.h"
#include "lib/err.h"
#include "tests/unit/xen_fake.h"

/* The program's own word; what it says, to be compared; its exit code. */
static int word(struct bench *b, const char *verb, const char *name,
                char said[1024])
{
    int ends[2], status;
    size_t n = 0;
    ssize_t more;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        execl("tests/unit/xenodomd_fake", "xenodomd_fake", "--state", b->state,
              verb, name, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    while ((more = read(ends[0], said + n, 1023 - n)) > 0)
        n += (size_t)more;
    said[n] = '\0';
    close(ends[0]);
    status = sys_wait(pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void says(struct bench *b, const char *verb, const char *name,
                 const char *text)
{
    char said[1024];

    assert_int_equal(word(b, verb, name, said), 0);
    assert_string_equal(said, text);
}

static void refuses(struct bench *b, const char *verb, const char *name,
                    const char *text)
{
    char said[1024];

    assert_int_not_equal(word(b, verb, name, said), 0);
    if (!strstr(said, text)) fail_msg("%s", said);
    assert_non_null(strstr(said, "\n  try: "));
}

static void start_named(struct bench *b, const char *name)
{
    Xn__TaskSpec spec = XN__TASK_SPEC__INIT;
    Xn__DomTell *tell;

    spec.name = (char *)(uintptr_t)name;
    spec.image = b->image;
    tell = start_spec(b, &spec);
    assert_int_equal(tell->rc, 0);
    xn__dom_tell__free_unpacked(tell, NULL);
}

static Xn__TaskState state_of(struct bench *b)
{
    Xn__DomTell *tell = ask(b, XN__DOM_OP__DOM_STATUS, NULL);
    Xn__TaskState state = tell->rc || tell->n_tasks != 1
                              ? XN__TASK_STATE__STARTING
                              : tell->tasks[0]->state;

    xn__dom_tell__free_unpacked(tell, NULL);
    return state;
}

static void await_state(struct bench *b, Xn__TaskState state)
{
    for (int i = 0; i < PATIENCE_MS / 20 && state_of(b) != state; i++)
        poll(NULL, 0, 20);
    assert_int_equal(state_of(b), state);
}

/* As if noted at another start of the machine. */
static void spoil_boot(struct bench *b, const char *name)
{
    char path[400], other[] = "another", *boot;
    Xn__DomainNote *note;
    ProtobufCMessage *body;
    int dir;

    snprintf(path, sizeof path, "%s/sessions/%s", b->state, name);
    dir = open(path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(
        record_get(dir, KEEPER_DOMAIN, &xn__domain_note__descriptor, &body), 0);
    note = (Xn__DomainNote *)body;
    boot = note->boot;
    note->boot = other;
    assert_int_equal(record_put(dir, KEEPER_DOMAIN, note), 0);
    note->boot = boot;
    protobuf_c_message_free_unpacked(body, NULL);
    close(dir);
}

static void all_are_saved_and_restored(void **state)
{
    struct bench *b = *state;

    says(b, "save", NULL, "");
    start_named(b, "a");
    start_named(b, "b");
    fake_pass(100 * MS);
    says(b, "save", NULL, "a saved\nb saved\n");
    assert_int_equal(fake_there(), 0);
    assert_int_equal(cpu_ms(b), 100);
    says(b, "save", NULL, "");
    says(b, "save", "a", "a saved\n"); /* it is */
    refuses(b, "resume", "a", "it is saved");
    says(b, "restore", NULL, "a restored\nb restored\n");
    assert_int_equal(fake_there(), 2);
    fake_pass(10 * MS);
    assert_int_equal(cpu_ms(b), 110);
    says(b, "restore", NULL, "");
    says(b, "save", "b", "b saved\n");
    assert_int_equal(fake_there(), 1);
    assert_int_equal(state_of(b), XN__TASK_STATE__RUNNING);
    refuses(b, "save", "c", "there is no such session");
}

/* All keepers are told to end before a machine goes down: what waits for the next
 * start goes on waiting. */
static void the_machine_goes_down_and_comes_back(void **state)
{
    struct bench *b = *state;
    pid_t keeper;
    int fd;

    started(b);
    fake_say("one ");
    live_console_says(b, "one ");
    fake_pass(10 * MS);
    says(b, "save", NULL, "a saved\n");
    keeper = keeper_of(b);
    kill(keeper, SIGTERM);
    await_keeper(b, keeper); /* the machine is still up */
    assert_int_equal(state_of(b), XN__TASK_STATE__SAVED);
    keeper = keeper_of(b);
    end_daemon(b, SIGTERM);
    kill(keeper, SIGTERM);
    sys_wait(keeper);
    spoil_boot(b, "a");
    fake->absent = true; /* Xen comes late, */
    run_daemon(b);
    await_call(fake->calls);
    fake->bad_create = 1; /* and its bridge later */
    fake->absent = false;
    await_state(b, XN__TASK_STATE__RUNNING);
    assert_int_equal(fake_there(), 1);
    assert_true(fake_last()->restored);
    fake_pass(10 * MS);
    assert_int_equal(cpu_ms(b), 20);
    fake_say("two");
    fd = watch(b, true);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_STOP), 0);
    ends(fd, XN__TASK_END__STOPPED);
    kept_console_says(b, "one two");
    assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), 0);
}

static void what_cannot_be_saved_is_told(void **state)
{
    struct bench *b = *state;

    start_named(b, "a");
    start_named(b, "b");
    fake->bad_save = 1;
    refuses(
        b, "save", NULL,
        "a is not saved [XS-4-REFUSED]\n"
        "  because: the guest was not suspended: the guest does not answer");
    assert_int_equal(fake_there(), 1); /* the other is */
    assert_int_equal(state_of(b), XN__TASK_STATE__RUNNING);
    says(b, "save", NULL, "a saved\n");
    assert_int_equal(fake_there(), 0);
}

/* What is saved has its memory, and its name. */
static void what_is_saved_has_its_place(void **state)
{
    struct bench *b = *state;
    Xn__DomAsk question = XN__DOM_ASK__INIT;
    Xn__DomTell *tell;
    int fd;

    started(b);
    says(b, "save", NULL, "a saved\n");
    assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), XN_EBUSY);
    fake->room_kib = 300 << 10; /* which its own 256 are of */
    question.op = XN__DOM_OP__DOM_WATCH;
    tell = ask_with(b, &question, NULL);
    assert_int_equal(tell->xen_bytes >> 20, 300);
    xn__dom_tell__free_unpacked(tell, NULL);
    fd = watch(b, true);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_STOP), 0);
    ends(fd, XN__TASK_END__STOPPED);
    refuses(b, "save", "a", "it has ended");
    assert_int_equal(asked(b, XN__DOM_OP__DOM_FORGET), 0);
    assert_int_equal(asked(b, XN__DOM_OP__DOM_STATUS), XN_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(all_are_saved_and_restored),
        T(the_machine_goes_down_and_comes_back),
        T(what_cannot_be_saved_is_told),
        T(what_is_saved_has_its_place),
    };

    signal(SIGPIPE, SIG_IGN);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
