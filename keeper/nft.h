/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rules of this machine's network, by nft(8). */
#ifndef KEEPER_NFT_H
#define KEEPER_NFT_H

#include <stddef.h>

/* All of the text in one step, or nothing.  because_out NULL: it may fail, and
 * says nothing.  XN_EREFUSED.  Waits for a process, some 10 ms. */
int nft_run(const char *text, char *because_out, size_t len);

#endif
