/* SPDX-License-Identifier: Apache-2.0 */
#include "support/proxy.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/rng.h"
#include "support/cluster.h"
#include "support/doorway.h"
#include "wire/frame.h"

/* ZMTP 3: a greeting of 64 bytes, then frames of flags, length and body. */
enum { GREETING = 64, ZMTP_LONG = 2, ZMTP_COMMAND = 4, ZMTP_MOST = 1 << 20 };

/* What the test and the proxy share. */
typedef struct proxy_state {
    atomic_int passed; /* DATA frames */
    atomic_bool done;  /* the fault */
} proxy_state;

struct proxy {
    proxy_fault fault;
    int nth;
    uint64_t seed;
    doorway door;
    proxy_state *state;
};

/* One direction of a connection. */
typedef struct pump {
    proxy *p;
    int from, to;
} pump;

const char *proxy_fault_name(proxy_fault fault)
{
    static const char *const names[] = {"nothing",
                                        "bit flipped in a body",
                                        "bit flipped in a header",
                                        "bit flipped in a length",
                                        "sequence",
                                        "frame twice",
                                        "frame lost",
                                        "lane not granted",
                                        "stranger",
                                        "connection cut"};
    return names[fault];
}

static bool read_all(int fd, void *out, size_t len)
{
    for (size_t have = 0; have < len;) {
        const ssize_t n = read(fd, (char *)out + have, len - have);
        if (n <= 0) {
            return false;
        }
        have += (size_t)n;
    }
    return true;
}

static bool write_all(int fd, const void *data, size_t len)
{
    for (size_t put = 0; put < len;) {
        const ssize_t n = write(fd, (const char *)data + put, len - put);
        if (n <= 0) {
            return false;
        }
        put += (size_t)n;
    }
    return true;
}

/* A ZMTP frame as it came: flags and length, then the body. */
typedef struct zmtp_frame {
    uint8_t head[9], *body;
    size_t head_len, len;
} zmtp_frame;

static bool take(int fd, zmtp_frame *z)
{
    if (!read_all(fd, z->head, 1)) {
        return false;
    }
    z->head_len = (z->head[0] & ZMTP_LONG) != 0 ? 9 : 2;
    if (!read_all(fd, z->head + 1, z->head_len - 1)) {
        return false;
    }
    z->len = 0;
    for (size_t i = 1; i < z->head_len; i++) {
        z->len = z->len << 8 | z->head[i];
    }
    return z->len <= ZMTP_MOST && read_all(fd, z->body, z->len);
}

static bool pass(int fd, const zmtp_frame *z)
{
    return write_all(fd, z->head, z->head_len) && write_all(fd, z->body, z->len);
}

static void forge(zmtp_frame *z, weft_frame *f, proxy_fault fault)
{
    f->sequence += fault == PROXY_SKIP;
    f->lane += fault == PROXY_BEYOND ? 1000 : 0;
    f->source ^= fault == PROXY_STRANGER ? 1 : 0;
    weft_frame_put(f, z->body);
}

/* true: pass it on still. */
static bool damage(const pump *way, zmtp_frame *z, weft_frame *f)
{
    const proxy *p = way->p;
    weft_rng rng = {.state = p->seed};
    const size_t body = z->len - WEFT_FRAME_HEADER;
    size_t bit;
    switch (p->fault) {
    case PROXY_FLIP_BODY:
        bit = weft_rng_below(&rng, body * 8);
        z->body[WEFT_FRAME_HEADER + bit / 8] ^= (uint8_t)(1u << bit % 8);
        return true;
    case PROXY_FLIP_HEADER:
        bit = weft_rng_below(&rng, (uint64_t)WEFT_FRAME_HEADER * 8);
        z->body[bit / 8] ^= (uint8_t)(1u << bit % 8);
        return true;
    case PROXY_FLIP_LENGTH:
        z->head[z->head_len - 1] ^= (uint8_t)(1u << weft_rng_below(&rng, 8));
        return true;
    case PROXY_SKIP:
    case PROXY_BEYOND:
    case PROXY_STRANGER:
        forge(z, f, p->fault);
        return true;
    case PROXY_REPLAY:
        return pass(way->to, z);
    case PROXY_LOSE:
        return false;
    case PROXY_CUT:
        (void)write_all(way->to, z->head, z->head_len);
        (void)write_all(way->to, z->body, z->len / 2);
        shutdown(way->to, SHUT_RDWR);
        shutdown(way->from, SHUT_RDWR);
        return false;
    default:
        return true;
    }
}

static bool struck(proxy *p, const zmtp_frame *z, weft_frame *f)
{
    return (z->head[0] & ZMTP_COMMAND) == 0 && weft_frame_get(z->body, z->len, f) == WEFT_OK &&
           f->kind == WEFT_FRAME_DATA && f->body_bytes > 0 && p->fault != PROXY_NOTHING &&
           atomic_fetch_add(&p->state->passed, 1) == p->nth;
}

/* Each side waits for a part of the other's greeting before it sends the rest. */
static bool pass_greeting(const pump *way)
{
    for (size_t have = 0; have < GREETING;) {
        uint8_t part[GREETING];
        const ssize_t n = read(way->from, part, GREETING - have);
        if (n <= 0 || !write_all(way->to, part, (size_t)n)) {
            return false;
        }
        have += (size_t)n;
    }
    return true;
}

static void *run_pump(void *arg)
{
    pump *way = arg;
    zmtp_frame z = {.body = malloc(ZMTP_MOST)};
    bool up = z.body != NULL && pass_greeting(way);
    while (up && take(way->from, &z)) {
        weft_frame f;
        bool on = true;
        if (struck(way->p, &z, &f)) {
            on = damage(way, &z, &f);
            atomic_store(&way->p->state->done, true);
        }
        up = !on || pass(way->to, &z);
    }
    shutdown(way->to, SHUT_RDWR);
    shutdown(way->from, SHUT_RDWR);
    free(z.body);
    free(way);
    return NULL;
}

static void start_pump(proxy *p, int from, int to)
{
    pthread_t thread;
    pump *way = malloc(sizeof(*way));
    const int one = 1;
    setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (way != NULL) {
        *way = (pump){.p = p, .from = from, .to = to};
        if (pthread_create(&thread, NULL, run_pump, way) == 0) {
            pthread_detach(thread);
        }
    }
}

static void serve(const doorway *d, void *user)
{
    struct sockaddr_in behind;
    for (int fd; (fd = accept(d->listening, NULL, NULL)) >= 0;) {
        if (!doorway_wait(d, &behind)) {
            break;
        }
        const int to = socket(AF_INET, SOCK_STREAM, 0);
        if (to < 0 || connect(to, (struct sockaddr *)&behind, sizeof(behind)) != 0) {
            close(to);
            close(fd);
            continue;
        }
        start_pump(user, fd, to);
        start_pump(user, to, fd);
    }
}

proxy *proxy_start(proxy_fault fault, int nth, uint64_t seed)
{
    proxy *p = calloc(1, sizeof(*p));
    cr_assert_not_null(p);
    *p = (proxy){.fault = fault, .nth = nth, .seed = seed};
    p->state = cluster_shared(sizeof(*p->state));
    doorway_open(&p->door, serve, p);
    return p;
}

const char *proxy_endpoint(const proxy *p)
{
    return p->door.endpoint;
}

bool proxy_lead_here(const proxy *p)
{
    return doorway_lead_here(&p->door);
}

bool proxy_stop(proxy *p)
{
    doorway_close(&p->door);
    const bool done = atomic_load(&p->state->done);
    free(p);
    return done;
}
