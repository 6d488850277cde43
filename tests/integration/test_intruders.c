/* SPDX-License-Identifier: Apache-2.0 */
/* Strangers at an open port while peers work: noise, half of ZeroMQ's protocol, frames that look
 * almost like a peer's. Operations go on, and what was refused is counted. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/rng.h"
#include "group/group.h"
#include "support/cluster.h"
#include "support/fixtures.h"
#include "wire/frame.h"

enum { SIZE = 4, COUNT = 20000 };

/* A group at work, as its peers show it. */
typedef struct scene {
    gate going;
    atomic_bool enough; /* the intruders are through */
    atomic_int rounds[SIZE];
    atomic_uint_fast64_t dropped[SIZE];
    uint64_t tag;
    char endpoint[SIZE][WEFT_ENDPOINT_TEXT];
} scene;

static void patient(weft_group_opts *o, const member *me)
{
    (void)me;
    o->dead_ms = cluster_patience(3000);
}

/* Every peer talks to every other; rank 0 says when it is over. */
static void work_body(member *me)
{
    scene *s = me->user;
    const weft_coll_opts o = {.size = sizeof(o), .algo = "scatter"};
    float *in = malloc(COUNT * sizeof(float)), *want = malloc(COUNT * sizeof(float));
    int32_t on = 1;
    snprintf(s->endpoint[me->rank], sizeof(s->endpoint[0]), "%s",
             weft_group_endpoint(me->group, me->rank));
    s->tag = me->group->roster.hash;
    for (int round = 0; on != 0; round++) {
        const uint64_t seed = (uint64_t)round % 7;
        fixture_fill(WEFT_F32, WEFT_SUM, seed, me->rank, 0, in, COUNT);
        fixture_reduce(WEFT_F32, WEFT_SUM, seed, me->size, 0, want, COUNT);
        MUST_OK(me, weft_allreduce(me->group, in, in, COUNT, WEFT_F32, WEFT_SUM, &o));
        MUST(me, memcmp(in, want, COUNT * sizeof(float)) == 0, "wrong bits in round %d", round);
        if (me->rank == 0) {
            on = atomic_load(&s->enough) ? 0 : 1;
        }
        MUST_OK(me, weft_broadcast(me->group, &on, 1, WEFT_I32, 0, NULL));
        weft_group_stats stats = {.size = sizeof(stats)};
        MUST_OK(me, weft_group_get_stats(me->group, &stats));
        atomic_store(&s->dropped[me->rank], stats.frames_dropped);
        atomic_store(&s->rounds[me->rank], round + 1);
        if (round == 1) {
            gate_open(&s->going, 1);
        }
    }
    free(in);
    free(want);
}

static cluster *raise_curtain(cluster_link link, scene **ret)
{
    scene *s = cluster_shared(sizeof(*s));
    s->going = gate_new();
    cluster *c = cluster_start(&(cluster_plan){
        .link = link, .size = SIZE, .body = work_body, .user = s, .options = patient});
    for (int r = 0; r < SIZE; r++) {
        cr_assert(gate_pass(&s->going), "the peers did not get going");
    }
    *ret = s;
    return c;
}

/* Some rounds later everything still works. */
static void expect_rounds(const scene *s, const char *after)
{
    const int64_t until = weft_deadline(weft_now(), cluster_patience(15000));
    int from[SIZE];
    for (int r = 0; r < SIZE; r++) {
        from[r] = atomic_load(&s->rounds[r]);
    }
    for (int r = 0; r < SIZE; r++) {
        while (atomic_load(&s->rounds[r]) < from[r] + 3) {
            cr_assert_lt(weft_now(), until, "rank %d stopped working after: %s", r, after);
            poll(NULL, 0, 1);
        }
    }
}

static void lower_curtain(cluster *c, scene *s)
{
    atomic_store(&s->enough, true);
    cluster_join(c);
}

/* ------------------------------------------------------------------ by plain sockets */

static int port_of(const char *endpoint)
{
    return (int)strtol(strrchr(endpoint, ':') + 1, NULL, 10);
}

static int knock(const char *endpoint)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(endpoint))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0, "%s", endpoint);
    return fd;
}

/* Say it, and hear what comes for a moment. */
static void say(int fd, const void *data, size_t len)
{
    char buffer[4096];
    (void)send(fd, data, len, MSG_NOSIGNAL);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, 20) > 0 && read(fd, buffer, sizeof(buffer)) > 0) {
    }
}

static size_t greeting(uint8_t out[64])
{
    static const uint8_t start[] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    memset(out, 0, 64);
    memcpy(out, start, sizeof(start));
    return 64;
}

Test(intruders, noise_at_the_port_disturbs_nobody)
{
    scene *s;
    cluster *c = raise_curtain(CLUSTER_TCP, &s);
    weft_rng rng = {.state = 5};
    static uint8_t noise[100000];
    int silent[40];
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (uint8_t)weft_rng_u64(&rng);
    }
    for (int r = 0; r < SIZE; r++) {
        for (int i = 0; i < 10; i++) {
            silent[r * 10 + i] = knock(s->endpoint[r]);
        }
    }
    for (int r = 0; r < SIZE; r++) {
        static const char http[] = "GET / HTTP/1.1\r\nHost: weft\r\n\r\n";
        static const uint8_t ready[] = {4,   26,  5,   'R', 'E', 'A', 'D', 'Y', 11,  'S',
                                        'o', 'c', 'k', 'e', 't', '-', 'T', 'y', 'p', 'e',
                                        0,   0,   0,   6,   'D', 'E', 'A', 'L', 'E', 'R'};
        static const uint8_t endless[] = {2, 0x40, 0, 0, 0, 0, 0, 0, 0, 'x'};
        uint8_t hello[64];
        greeting(hello);
        int fd = knock(s->endpoint[r]);
        say(fd, noise, sizeof(noise));
        close(fd);
        fd = knock(s->endpoint[r]);
        say(fd, http, sizeof(http) - 1);
        close(fd);
        fd = knock(s->endpoint[r]);
        say(fd, hello, sizeof(hello));
        say(fd, noise, 3000);
        close(fd);
        fd = knock(s->endpoint[r]);
        say(fd, hello, sizeof(hello));
        say(fd, ready, sizeof(ready));
        say(fd, endless, sizeof(endless));
        close(fd);
        fd = knock(s->endpoint[r]);
        say(fd, hello, 20); /* half a greeting, then gone */
        close(fd);
    }
    expect_rounds(s, "noise");
    for (int i = 0; i < SIZE * 10; i++) {
        close(silent[i]);
    }
    expect_rounds(s, "silent connections");
    lower_curtain(c, s);
}

/* ------------------------------------------------------------------ by ZeroMQ */

/* A DEALER with a routing id like a peer's. */
static void *call_at(void *context, const char *endpoint)
{
    void *dealer = zmq_socket(context, ZMQ_DEALER);
    uint8_t id[16] = {1};
    cr_assert_eq(weft_random_bytes(id + 1, sizeof(id) - 1), WEFT_OK);
    zmq_setsockopt(dealer, ZMQ_ROUTING_ID, id, sizeof(id));
    const int linger = 200, patience = 20000;
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_setsockopt(dealer, ZMQ_RCVTIMEO, &patience, sizeof(patience));
    cr_assert_eq(zmq_connect(dealer, endpoint), 0, "%s", zmq_strerror(zmq_errno()));
    return dealer;
}

static weft_frame hello_from(const scene *s, int source, int destination)
{
    return (weft_frame){.kind = WEFT_FRAME_HELLO,
                        .flags = WEFT_FLAG_LAST,
                        .group = s->tag,
                        .source = (uint16_t)source,
                        .destination = (uint16_t)destination,
                        .sequence = 1};
}

/* The frame is refused: it is counted, and work goes on. */
static void expect_refused(scene *s, void *context, int rank, const void *frame, size_t len,
                           const char *what)
{
    const uint64_t before = atomic_load(&s->dropped[rank]);
    const int64_t until = weft_deadline(weft_now(), cluster_patience(15000));
    void *dealer = call_at(context, s->endpoint[rank]);
    cr_assert_eq(zmq_send(dealer, frame, len, 0), (int)len);
    while (atomic_load(&s->dropped[rank]) == before) {
        cr_assert_lt(weft_now(), until, "not counted at rank %d: %s", rank, what);
        poll(NULL, 0, 1);
    }
    zmq_close(dealer);
}

/* The answer to a frame: a REFUSE with these words in it. */
static void expect_answer(const scene *s, void *context, int rank, const void *frame, size_t len,
                          const char *words, const char *more)
{
    uint8_t answer[512];
    weft_frame f;
    void *dealer = call_at(context, s->endpoint[rank]);
    cr_assert_eq(zmq_send(dealer, frame, len, 0), (int)len);
    const int got = zmq_recv(dealer, answer, sizeof(answer) - 1, 0);
    cr_assert(got > WEFT_FRAME_HEADER && got < (int)sizeof(answer), "rank %d: no answer", rank);
    answer[got] = '\0';
    cr_assert_eq(weft_frame_get(answer, (size_t)got, &f), WEFT_OK, "%s",
                 weft_last_error()->message);
    cr_assert_eq(f.kind, WEFT_FRAME_REFUSE, "%s", weft_frame_kind_name(f.kind));
    const char *text = (const char *)answer + WEFT_FRAME_HEADER;
    cr_assert(strstr(text, words) != NULL && strstr(text, more) != NULL, "%s", text);
    zmq_close(dealer);
}

static void frames_at(scene *s, void *context, int rank)
{
    uint8_t h[WEFT_FRAME_HEADER + 8] = {0};
    const int other = (rank + 1) % SIZE;
    weft_frame f = hello_from(s, other, rank);

    weft_frame_put(&f, h);
    h[0] ^= 1;
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "wrong magic");
    expect_refused(s, context, rank, "abc", 3, "three bytes");
    weft_frame_put(&f, h);
    h[40] ^= 1;
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "wrong header checksum");
    weft_frame_put(&f, h);
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER - 1, "header cut short");
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER + 4, "longer than it says");
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "HELLO of a rank that is here");
    f = hello_from(s, rank, rank);
    weft_frame_put(&f, h);
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "HELLO of the peer itself");
    f = hello_from(s, 60000, rank);
    weft_frame_put(&f, h);
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "HELLO of a rank there is not");
    f = hello_from(s, other, rank);
    f.kind = WEFT_FRAME_DATA;
    f.operation = 1;
    weft_frame_put(&f, h);
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "DATA without HELLO");
    f.kind = WEFT_FRAME_ABORT;
    f.operation = 0;
    weft_frame_put(&f, h);
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "ABORT without HELLO");
    f.kind = WEFT_FRAME_BYE;
    weft_frame_put(&f, h);
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "BYE without HELLO");
    f.kind = 77;
    weft_frame_put(&f, h);
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "unknown kind");
    f = hello_from(s, other, rank);
    f.flags = 0xf0;
    weft_frame_put(&f, h);
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "unknown flags");
    f = hello_from(s, other, rank);
    f.group ^= 1;
    weft_frame_put(&f, h);
    expect_refused(s, context, rank, h, WEFT_FRAME_HEADER, "HELLO of another group");
    expect_answer(s, context, rank, h, WEFT_FRAME_HEADER, "another group", "");
}

static void by_zmq(cluster_link link)
{
    scene *s;
    cluster *c = raise_curtain(link, &s);
    void *context = zmq_ctx_new();
    for (int r = 0; r < SIZE; r++) {
        frames_at(s, context, r);
        expect_rounds(s, "forged frames");
    }
    zmq_ctx_term(context);
    lower_curtain(c, s);
}

Test(intruders, forged_frames_over_tcp_are_refused_and_counted)
{
    by_zmq(CLUSTER_TCP);
}

Test(intruders, forged_frames_over_ipc_are_refused_and_counted)
{
    by_zmq(CLUSTER_IPC);
}

Test(intruders, another_major_version_is_answered_with_both_versions)
{
    scene *s;
    cluster *c = raise_curtain(CLUSTER_TCP, &s);
    void *context = zmq_ctx_new();
    char ours[16];
    snprintf(ours, sizeof(ours), "%d.%d", WEFT_FRAME_MAJOR, WEFT_FRAME_MINOR);
    for (int r = 0; r < SIZE; r++) {
        uint8_t h[WEFT_FRAME_HEADER + 30] = {0};
        weft_frame f = hello_from(s, (r + 1) % SIZE, r);
        weft_frame_put(&f, h);
        h[4] = 9; /* the rest of that version's header may look different */
        h[5] = 4;
        h[33] ^= 0x55;
        expect_answer(s, context, r, h, sizeof(h), "9.4", ours);
        expect_refused(s, context, r, h, WEFT_FRAME_HEADER, "another version");
    }
    expect_rounds(s, "another version");
    zmq_ctx_term(context);
    lower_curtain(c, s);
}

/* What the link itself refuses: the connection goes, nothing is kept. */
Test(intruders, huge_frames_and_frames_in_parts_disturb_nobody)
{
    for (int link = CLUSTER_TCP; link <= CLUSTER_IPC; link++) {
        scene *s;
        cluster *c = raise_curtain((cluster_link)link, &s);
        void *context = zmq_ctx_new();
        const size_t huge = 8 * 1024 * 1024;
        char *big = calloc(1, huge);
        uint8_t h[WEFT_FRAME_HEADER];
        for (int r = 0; r < SIZE; r++) {
            const weft_frame f = hello_from(s, (r + 1) % SIZE, r);
            void *dealer = call_at(context, s->endpoint[r]);
            weft_frame_put(&f, h);
            (void)zmq_send(dealer, big, huge, 0);
            (void)zmq_send(dealer, h, sizeof(h), 0);
            void *parts = call_at(context, s->endpoint[r]);
            for (int i = 0; i < 50; i++) {
                (void)zmq_send(parts, h, sizeof(h), i < 49 ? ZMQ_SNDMORE : 0);
            }
            void *empty = call_at(context, s->endpoint[r]);
            (void)zmq_send(empty, "", 0, 0);
            void *other = zmq_socket(context, ZMQ_DEALER); /* an id that ZeroMQ makes up */
            const int linger = 0;
            zmq_setsockopt(other, ZMQ_LINGER, &linger, sizeof(linger));
            cr_assert_eq(zmq_connect(other, s->endpoint[r]), 0);
            (void)zmq_send(other, h, sizeof(h), 0);
            weft_frame roster = f;
            roster.kind = WEFT_FRAME_ROSTER;
            weft_frame_put(&roster, h);
            void *asks = call_at(context, s->endpoint[r]);
            (void)zmq_send(asks, h, sizeof(h), 0);
            expect_rounds(s, "huge frames and parts");
            zmq_close(dealer);
            zmq_close(parts);
            zmq_close(empty);
            zmq_close(other);
            zmq_close(asks);
        }
        free(big);
        zmq_ctx_term(context);
        lower_curtain(c, s);
    }
}
