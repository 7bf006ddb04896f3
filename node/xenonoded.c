/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/xenonoded_run.h"

int main(int argc, char **argv)
{
    return xenonoded_run(argc, argv, NULL);
}
