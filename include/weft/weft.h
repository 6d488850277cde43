/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file weft.h
 * The whole API. A tour:
 *
 *     weft_group *group = NULL;                  // P peers, found through the environment
 *     if (weft_group_open(&group, NULL) != WEFT_OK)
 *         return puts(weft_last_error()->message), 1;
 *
 *     weft_allreduce(group, in, out, count, WEFT_F32, WEFT_MEAN, NULL);        // dense, exact
 *
 *     weft_coll_opts opts = {.size = sizeof(opts), .codec = "qsgd:levels=7"};  // compressed
 *     weft_allreduce(group, in, out, count, WEFT_F32, WEFT_MEAN, &opts);
 *
 *     weft_request *request = NULL;              // asynchronous
 *     weft_allreduce_start(group, in, out, count, WEFT_F32, WEFT_SUM, NULL, &request);
 *     ...
 *     weft_wait(request, WEFT_FOREVER);
 *     weft_request_free(&request);
 *
 *     weft_optim_opts how = {.size = sizeof(how), .lr = "0.1", .codec = "qsgd:levels=7"};
 *     weft_optim *optim = NULL;                  // an optimizer on top
 *     weft_optim_open(&optim, group, "diana", count, &how);
 *     weft_optim_step(optim, x, gradient);
 *     weft_optim_close(&optim);
 *     weft_group_close(&group);
 *
 * status.h tells how errors work, group.h how peers meet and how groups are split, collective.h
 * what operations promise, p2p.h how two peers exchange messages, topology.h how graphs of peers
 * are made and measured.
 */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#include <weft/codec.h>
#include <weft/collective.h>
#include <weft/explain.h>
#include <weft/group.h>
#include <weft/info.h>
#include <weft/optim.h>
#include <weft/p2p.h>
#include <weft/plan.h>
#include <weft/request.h>
#include <weft/status.h>
#include <weft/topology.h>
#include <weft/types.h>

#endif
