/* SPDX-License-Identifier: GPL-3.0-or-later */
/* meter_asker STATE NAME...: asks xenodomd for readings of all these at once, and
 * prints the name and the CPU time of each that it has. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "keeper/sys.h"
#include "wire/frame.h"
#include "wire/task.pb-c.h"

#define PATIENCE_MS 60000

int main(int argc, char **argv)
{
    Xn__DomAsk ask = XN__DOM_ASK__INIT;
    ProtobufCMessage *body = NULL;
    const Xn__DomTell *tell;
    int folder, fd, rc;

    if (argc < 2) return 2;
    folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = sys_unix_connect(folder, "socket", PATIENCE_MS);
    ask.op = XN__DOM_OP__DOM_METER;
    ask.names = argv + 2;
    ask.n_names = (size_t)argc - 2;
    if (fd < 0 || frame_send(fd, &ask) ||
        frame_receive(fd, FRAME_TELL_MAX, &xn__dom_tell__descriptor, &body,
                      NULL))
        return 1;
    tell = (const Xn__DomTell *)body;
    if (tell->rc) fprintf(stderr, "%s\n", tell->because);
    for (size_t i = 0; i < tell->n_tasks; i++)
        printf("%s %" PRIu64 "\n", tell->tasks[i]->name,
               tell->tasks[i]->reading->cpu_ns);
    rc = tell->rc ? 3 : 0;
    protobuf_c_message_free_unpacked(body, NULL);
    close(fd);
    close(folder);
    return rc;
}
