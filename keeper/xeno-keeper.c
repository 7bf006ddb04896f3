/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keeper of sandboxes as a program; man xenodomd. */
#include "keeper/keeper.h"

int main(int argc, char **argv)
{
    return keep_main(argc, argv, &runner_sandbox, NULL);
}
