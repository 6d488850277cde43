/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that were started each by itself must have been asked for the same. */
#ifndef WEFT_TOOLS_TRAIN_AGREE_H
#define WEFT_TOOLS_TRAIN_AGREE_H

#include "peers.h"
#include "train_settings.h"

/* Compare all that runs depend on, data included. Every peer calls it, first of all. 0, or the exit
 * status after every peer was told which rank was given what. */
int weft_train_agree(weft_peer *peer, const weft_train_settings *settings);

#endif
