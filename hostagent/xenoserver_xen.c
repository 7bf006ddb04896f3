/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenoserver doctor, where tasks are domains: what xenodomd says of Xen, which
 * it alone can ask. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "hostagent/xenoserver_doctor.h"
#include "lib/err.h"
#include "wire/frame.h"

#define ANSWER_S 30 /* Xen is asked meanwhile */

static int connect_to(const char *path)
{
    const struct timeval patience = {.tv_sec = ANSWER_S};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = -1;

    if (strlen(path) < sizeof at.sun_path) {
        memcpy(at.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0) return fd;
    close(fd);
    return -1;
}

/* What it tells who begins to watch. */
static int ask(const char *path, Xn__DomTell **tell_out)
{
    Xn__DomAsk question = XN__DOM_ASK__INIT;
    ProtobufCMessage *body = NULL;
    int fd = connect_to(path), rc = fd < 0 ? XN_EUNREACH : 0;

    question.op = XN__DOM_OP__DOM_WATCH;
    if (!rc) rc = frame_send(fd, &question);
    if (!rc)
        rc = frame_receive(fd, FRAME_TELL_MAX, &xn__dom_tell__descriptor, &body,
                           NULL);
    if (fd >= 0) close(fd);
    *tell_out = (Xn__DomTell *)body;
    return rc;
}

/* What is sold must be there. */
static void compare(struct doctor *d, uint64_t there_mb)
{
    const char *text = net_settings_text(d->settings, "offer.memory_mb");
    uint64_t offered_mb = text ? strtoull(text, NULL, 10) : 0;
    char try[120];

    if (offered_mb <= there_mb) return;
    snprintf(try, sizeof try,
             "xenoserver offer MemoryMB=%" PRIu64
             "; dom0_mem= of Xen, --memory of xenodomd",
             there_mb);
    doctor_find(d, "memory", DOCTOR_FAIL, try,
                "%" PRIu64 " MB are offered, and domains can have %" PRIu64,
                offered_mb, there_mb);
}

static void compare_network(struct doctor *d, bool bridge)
{
    const char *text = net_settings_text(d->settings, "offer.net_mbps");

    if (bridge || !text || strtod(text, NULL) <= 0) return;
    doctor_find(d, "network", DOCTOR_FAIL,
                "--bridge of xenodomd; or xenoserver offer NetMbps=0",
                "%s Mb/s are offered, and domains have no bridge", text);
}

static void compare_pvh(struct doctor *d, bool pvh)
{
    const char *sold = net_settings_text(d->settings, "offer.environments");

    if (pvh || !sold || !strstr(sold, " pvh")) return;
    doctor_find(d, "pvh", DOCTOR_FAIL,
                "xenoserver offer offer.environments='TYPE KERNEL pv'; or "
                "AMD-V with NPT, VT-x with EPT, switched on by the firmware",
                "PVH domains are offered, and the hardware does not "
                "virtualise: they are not advertised");
}

void doctor_check_domains(struct doctor *d)
{
    const char *manager, *path;
    Xn__DomTell *tell = NULL;
    int rc;

    if (!d->settings) return; /* no configuration */
    manager = net_settings_text(d->settings, "sell.manager");
    path = net_settings_text(d->settings, "sell.xenodomd");
    if (!manager || strcmp(manager, "xen") != 0 || !path) return;
    rc = ask(path, &tell);
    if (!rc && tell->rc) rc = tell->rc;
    if (rc) {
        doctor_find(d, "xenodomd", DOCTOR_FAIL,
                    "start it; its --allow must name this user", "%s: %s", path,
                    xn_strerror(rc));
    } else if (!tell->xen) {
        doctor_find(d, "xenodomd", DOCTOR_FAIL, "xenodomd check --runner xen",
                    "%s", tell->no_xen);
    } else {
        doctor_find(
            d, "xenodomd", DOCTOR_OK, NULL,
            "domains can be made, %s, of %" PRIu64 " MB of memory together",
            tell->pvh ? "PV and PVH" : "PV alone", tell->xen_bytes >> 20);
        compare(d, tell->xen_bytes >> 20);
        compare_network(d, tell->bridge);
        compare_pvh(d, tell->pvh);
    }
    if (tell) xn__dom_tell__free_unpacked(tell, NULL);
}
