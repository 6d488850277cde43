/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one global of the library: ZeroMQ's context, shared by all links of the process, because
 * several contexts race in each other's end (libzmq bcb659e0) and each would have its I/O thread.
 */
#ifndef WEFT_LINK_ZMQ_CONTEXT_H
#define WEFT_LINK_ZMQ_CONTEXT_H

/* The context, made for the first who asks. In a forked child a new one is made: the parent's has
 * no threads there. 0, WEFT_EIO. */
int weft_zmq_acquire(void **ret);

/* Give it back; the last one ends it, which waits for the linger of all sockets closed before. */
void weft_zmq_release(void *context);

/* A ROUTER. ZeroMQ draws from rand() for it; the host's sequence is put aside meanwhile, so that a
 * host with a seed of its own draws the same numbers with weft as without. (Another thread that
 * draws in these microseconds gets numbers that are not of its sequence. When a dialled connection
 * ends ZeroMQ's own thread draws two: that cannot be kept from the host.) NULL: zmq_errno() says
 * why. */
void *weft_zmq_router(void *context);

/* The version of ZeroMQ that is loaded: major, minor, patch. */
void weft_zmq_version(int ret[3]);

#endif
