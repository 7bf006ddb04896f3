/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Our terminal, standard input, while a command at another machine has it: no key
 * is looked at here, and its modes are put back whenever we leave. */
#ifndef NET_TERMINAL_H
#define NET_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

struct net_terminal {
    bool taken;
    struct termios before;
};

/* As it was before the first. */
void net_terminal_take(struct net_terminal *terminal);
void net_terminal_give_back(struct net_terminal *terminal);
/* 0 where they are not known. */
void net_terminal_window(uint16_t *rows_out, uint16_t *columns_out);

#endif
