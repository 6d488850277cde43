/* SPDX-License-Identifier: Apache-2.0 */
#include "support/doorway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

void doorway_open(doorway *ret, void (*serve)(const doorway *d, void *user), void *user)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ret->listening = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(ret->listening, (struct sockaddr *)&at, sizeof(at)) == 0 &&
                  listen(ret->listening, 16) == 0 &&
                  getsockname(ret->listening, (struct sockaddr *)&at, &len) == 0 &&
                  pipe(ret->told) == 0,
              "%s", strerror(errno));
    snprintf(ret->endpoint, sizeof(ret->endpoint), "tcp://127.0.0.1:%d", ntohs(at.sin_port));
    const pid_t test = getpid();
    const pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        if (getppid() == test) {
            serve(ret, user);
        }
        _exit(0);
    }
    ret->pid = pid; /* by the test alone: what ret points to may be shared */
    close(ret->listening);
}

/* The port stays in the pipe for the next who asks. */
bool doorway_wait(const doorway *d, struct sockaddr_in *ret)
{
    uint16_t port = 0;
    if (read(d->told[0], &port, sizeof(port)) != (ssize_t)sizeof(port) ||
        write(d->told[1], &port, sizeof(port)) != (ssize_t)sizeof(port)) {
        return false;
    }
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return true;
}

bool doorway_lead_here(const doorway *d)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in at = {0};
        socklen_t len = sizeof(at), size = sizeof(int);
        int listens = 0;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0 &&
            getsockname(fd, (struct sockaddr *)&at, &len) == 0 && at.sin_family == AF_INET) {
            const uint16_t port = ntohs(at.sin_port);
            return write(d->told[1], &port, sizeof(port)) == (ssize_t)sizeof(port);
        }
    }
    return false;
}

void doorway_close(doorway *d)
{
    kill(d->pid, SIGKILL);
    waitpid(d->pid, NULL, 0);
    close(d->told[0]);
    close(d->told[1]);
}
