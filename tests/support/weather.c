/* SPDX-License-Identifier: Apache-2.0 */
#include "support/weather.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"

/* What may be under way in a direction; more is not read, as a full window of TCP would have it. */
enum { WINDOW = 2 << 20, PIECES = 8192 };

/* Bytes of one packet that go on at one time. */
typedef struct piece {
    int64_t due;
    size_t len;
} piece;

/* One direction of a passage, which is a connection and the one behind it. */
typedef struct way {
    int from, to;
    uint64_t taken, passed; /* bytes */
    int64_t due, free_at;   /* of the last piece; when the line has sent it */
    bool ended, closed;     /* its sender has said its last; so has it to the receiver */
    size_t first_byte, bytes, first_piece, pieces;
    uint8_t ring[WINDOW];
    piece queue[PIECES];
} way;

typedef struct passage {
    uint64_t number;
    way *ways[2];
} passage;

typedef struct relay {
    const weather *w;
    weather_counts *counts;
    passage *open[WEATHER_CONNECTIONS];
    uint64_t accepted;
    bool muted;
} relay;

/* Two draws for each packet: the first for its jitter, the second for its loss. */
static void draw(const weather *w, uint64_t connection, int direction, uint64_t packet,
                 double ret[2])
{
    const uint64_t place[4] = {w->seed, connection, (uint64_t)direction, packet};
    weft_rng rng = {.state = weft_hash64(place, sizeof(place))};
    ret[0] = weft_rng_unit(&rng);
    ret[1] = weft_rng_unit(&rng);
}

int weather_loses(const weather *w, uint64_t connection, int direction, uint64_t packet)
{
    double chance[2];
    draw(w, connection, direction, packet, chance);
    return chance[1] < w->loss;
}

int64_t weather_wait_ns(const weather *w, uint64_t connection, int direction, uint64_t packet)
{
    double chance[2];
    draw(w, connection, direction, packet, chance);
    return w->delay_ns + (int64_t)(chance[0] * (double)w->jitter_ns) +
           (chance[1] < w->loss ? w->resend_ns : 0);
}

/* When a piece that came now is to go on: behind the one before it. */
static int64_t due_of(const relay *r, const passage *c, way *y, int direction, size_t len)
{
    const int64_t now = weft_now();
    y->free_at = now > y->free_at ? now : y->free_at;
    if (r->w->rate > 0.0) {
        y->free_at += (int64_t)((double)len / r->w->rate * 1e9);
    }
    const int64_t due =
        y->free_at + weather_wait_ns(r->w, c->number, direction, y->taken / WEATHER_PACKET);
    y->due = due > y->due ? due : y->due;
    return y->due;
}

static bool has_room(const way *y)
{
    return !y->ended && y->bytes < WINDOW && y->pieces < PIECES;
}

/* Read what there is, one packet at most. false: the connection is broken. */
static bool take(relay *r, const passage *c, int direction)
{
    way *y = c->ways[direction];
    const size_t at = (y->first_byte + y->bytes) % WINDOW;
    size_t most = WEATHER_PACKET - y->taken % WEATHER_PACKET;
    most = most < WINDOW - y->bytes ? most : WINDOW - y->bytes;
    most = most < WINDOW - at ? most : WINDOW - at;
    const ssize_t got = recv(y->from, y->ring + at, most, MSG_DONTWAIT);
    if (got <= 0) {
        y->ended = got == 0;
        return got == 0 || errno == EAGAIN || errno == EINTR;
    }
    const size_t len = (size_t)got;
    piece *p = &y->queue[(y->first_piece + y->pieces) % PIECES];
    const uint64_t packet = y->taken / WEATHER_PACKET;
    if (y->taken % WEATHER_PACKET == 0) {
        atomic_fetch_add(&r->counts->packets, 1);
        atomic_fetch_add(&r->counts->lost,
                         (unsigned)weather_loses(r->w, c->number, direction, packet));
    }
    *p = (piece){.due = due_of(r, c, y, direction, len), .len = len};
    y->taken += len;
    y->bytes += len;
    y->pieces++;
    return true;
}

/* How many of the next bytes may still pass before the connection is cut or all is silent. */
static size_t allowed(const relay *r, const way *y, size_t len)
{
    const uint64_t ends[2] = {r->w->cut_after, r->w->mute_after};
    for (int i = 0; i < 2; i++) {
        if (ends[i] > 0 && ends[i] - y->passed < len) {
            len = (size_t)(ends[i] - y->passed);
        }
    }
    return len;
}

/* Pass on what is due. false: the connection is broken, or is to be. */
static bool pass(relay *r, way *y)
{
    const int64_t now = weft_now();
    while (y->pieces > 0 && y->queue[y->first_piece].due <= now) {
        piece *p = &y->queue[y->first_piece];
        const size_t flat = p->len < WINDOW - y->first_byte ? p->len : WINDOW - y->first_byte;
        const ssize_t put =
            send(y->to, y->ring + y->first_byte, allowed(r, y, flat), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        y->passed += (uint64_t)put;
        y->bytes -= (size_t)put;
        y->first_byte = (y->first_byte + (size_t)put) % WINDOW;
        p->len -= (size_t)put;
        if (p->len == 0) {
            y->first_piece = (y->first_piece + 1) % PIECES;
            y->pieces--;
        }
        if (y->passed == r->w->cut_after) {
            atomic_fetch_add(&r->counts->cuts, 1);
            return false;
        }
        if (y->passed == r->w->mute_after) {
            atomic_store(&r->counts->muted, 1);
            r->muted = true;
            return true;
        }
    }
    if (y->ended && y->pieces == 0 && !y->closed) {
        shutdown(y->to, SHUT_WR);
        y->closed = true;
    }
    return true;
}

static void drop(relay *r, int slot)
{
    passage *c = r->open[slot];
    close(c->ways[0]->from);
    close(c->ways[0]->to);
    free(c->ways[0]);
    free(c->ways[1]);
    free(c);
    r->open[slot] = NULL;
}

static int connect_to(const struct sockaddr_in *to)
{
    const struct timeval patience = {.tv_sec = 5};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0 ||
                    connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static way *new_way(int from, int to)
{
    const int one = 1;
    way *y = calloc(1, sizeof(*y)); /* pages that are never used are never there */
    if (y != NULL) {
        y->from = from;
        y->to = to;
        setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    return y;
}

/* Take a connection and make the one behind it. */
static void welcome(relay *r, int listening, const struct sockaddr_in *to)
{
    const int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    int slot = 0;
    if (fd < 0) {
        return;
    }
    while (slot < WEATHER_CONNECTIONS && r->open[slot] != NULL) {
        slot++;
    }
    const int behind = slot < WEATHER_CONNECTIONS ? connect_to(to) : -1;
    passage *c = behind >= 0 ? calloc(1, sizeof(*c)) : NULL;
    if (c != NULL) {
        *c = (passage){.number = r->accepted++, .ways = {new_way(fd, behind), new_way(behind, fd)}};
    }
    if (c != NULL && c->ways[0] != NULL && c->ways[1] != NULL) {
        atomic_fetch_add(&r->counts->connections, 1);
        r->open[slot] = c;
        return;
    }
    atomic_fetch_add(&r->counts->refused, 1);
    close(fd);
    if (behind >= 0) {
        close(behind);
    }
    if (c != NULL) {
        free(c->ways[0]);
        free(c->ways[1]);
        free(c);
    }
}

/* What to wait for; the earliest date at which something is due in *ret_due. */
static nfds_t look(const relay *r, int listening, struct pollfd *polls, int64_t *ret_due)
{
    nfds_t n = 0;
    *ret_due = WEFT_NEVER;
    if (r->muted) {
        return 0;
    }
    polls[n++] = (struct pollfd){.fd = listening, .events = POLLIN};
    const int64_t now = weft_now();
    for (int i = 0; i < WEATHER_CONNECTIONS; i++) {
        for (int d = 0; d < 2 && r->open[i] != NULL; d++) {
            const way *y = r->open[i]->ways[d];
            const int64_t due = y->pieces > 0 ? y->queue[y->first_piece].due : WEFT_NEVER;
            if (has_room(y)) {
                polls[n++] = (struct pollfd){.fd = y->from, .events = POLLIN};
            }
            if (due <= now) {
                polls[n++] = (struct pollfd){.fd = y->to, .events = POLLOUT};
            } else if (due < *ret_due) {
                *ret_due = due;
            }
        }
    }
    return n;
}

/* One turn for every connection. */
static void work(relay *r)
{
    for (int i = 0; i < WEATHER_CONNECTIONS && !r->muted; i++) {
        bool up = r->open[i] != NULL;
        for (int d = 0; d < 2 && up && !r->muted; d++) {
            up = !has_room(r->open[i]->ways[d]) || take(r, r->open[i], d);
            up = up && pass(r, r->open[i]->ways[d]);
        }
        const bool over = up && r->open[i]->ways[0]->closed && r->open[i]->ways[1]->closed;
        if (r->open[i] != NULL && (!up || over) && !r->muted) {
            drop(r, i);
        }
    }
}

int weather_serve(const weather *w, int listening, const struct sockaddr_in *to,
                  weather_counts *counts, const atomic_int *stop)
{
    relay r = {.w = w, .counts = counts};
    struct pollfd polls[1 + 4 * WEATHER_CONNECTIONS];
    /* One that is gone before it is accepted must not stop the others. */
    int error = fcntl(listening, F_SETFL, O_NONBLOCK) != 0 ? errno : 0;
    while (atomic_load(stop) == 0 && error == 0) {
        int64_t due;
        const nfds_t n = look(&r, listening, polls, &due);
        /* A signal that sets *stop just before is noticed a moment later. */
        const int64_t most = weft_now() + 50 * WEFT_MS;
        const int64_t left = (due < most ? due : most) - weft_now();
        const struct timespec wait = {.tv_nsec = left > 0 ? (long)left : 0};
        if (ppoll(polls, n, &wait, NULL) < 0 && errno != EINTR) {
            error = errno;
        } else if (n > 0) {
            if ((polls[0].revents & POLLIN) != 0) {
                polls[0].revents = 0;
                welcome(&r, listening, to);
            }
            work(&r);
        }
    }
    for (int i = 0; i < WEATHER_CONNECTIONS; i++) {
        if (r.open[i] != NULL) {
            drop(&r, i);
        }
    }
    return error;
}
