/* SPDX-License-Identifier: Apache-2.0 */
#include "link/zmq_context.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zmq.h>

#include "base/status.h"

/* ZeroMQ's own limit of sockets, and its default. */
enum { SOCKETS_LEAST = 1023, SOCKETS_MOST = 65535 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *shared;
static int users;
static pid_t owner;

/* A socket takes at least one descriptor: no more sockets than those. */
static int most_sockets(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < SOCKETS_LEAST)
        return SOCKETS_LEAST;
    return files.rlim_cur > SOCKETS_MOST ? SOCKETS_MOST : (int)files.rlim_cur;
}

static int create(void **ret)
{
    void *context = zmq_ctx_new();
    if (context == NULL)
        return weft_fail(WEFT_EIO, "ZeroMQ context: %s", zmq_strerror(zmq_errno()));
    /* BLOCKY 0: a socket that sets no linger does not hold up the end of the process. */
    if (zmq_ctx_set(context, ZMQ_BLOCKY, 0) != 0 ||
        zmq_ctx_set(context, ZMQ_MAX_SOCKETS, most_sockets()) != 0) {
        const int rc = weft_fail(WEFT_EIO, "ZeroMQ context: %s", zmq_strerror(zmq_errno()));
        zmq_ctx_term(context);
        return rc;
    }
    *ret = context;
    return WEFT_OK;
}

int weft_zmq_acquire(void **ret)
{
    int rc = WEFT_OK;
    pthread_mutex_lock(&lock);
    if (owner != getpid()) { /* first use, or a forked child */
        shared = NULL;
        users = 0;
        owner = getpid();
    }
    if (shared == NULL)
        rc = create(&shared);
    if (rc == WEFT_OK) {
        users++;
        *ret = shared;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

void weft_zmq_release(void *context)
{
    void *end = NULL;
    pthread_mutex_lock(&lock);
    if (owner == getpid() && context == shared && --users == 0) {
        end = shared;
        shared = NULL;
    }
    pthread_mutex_unlock(&lock);
    if (end != NULL) {
        while (zmq_ctx_term(end) != 0 && zmq_errno() == EINTR)
            continue;
    }
}

void *weft_zmq_router(void *context)
{
    char aside[64];
    pthread_mutex_lock(&lock); /* two at once would take each other's for the host's */
    char *host = initstate(1, aside, sizeof(aside));
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    const int error = errno;
    setstate(host);
    errno = error;
    pthread_mutex_unlock(&lock);
    return socket;
}

void weft_zmq_version(int ret[3])
{
    zmq_version(&ret[0], &ret[1], &ret[2]);
}
