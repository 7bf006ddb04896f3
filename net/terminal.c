/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

void net_terminal_take(struct net_terminal *t)
{
    struct termios raw;

    if (!t->taken && tcgetattr(STDIN_FILENO, &t->before)) return;
    raw = t->before;
    cfmakeraw(&raw);
    t->taken = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

void net_terminal_give_back(struct net_terminal *t)
{
    if (t->taken) (void)tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
    t->taken = false;
}

void net_terminal_window(uint16_t *rows_out, uint16_t *columns_out)
{
    struct winsize size = {0};

    (void)ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
    *rows_out = size.ws_row;
    *columns_out = size.ws_col;
}
