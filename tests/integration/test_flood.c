/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger asks a seed again and again and never reads what it is told: the answers must not
 * pile up in the peer that serves. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "link/zmq_link.h"
#include "support/cluster.h"
#include "support/errand.h"
#include "wire/frame.h"

enum { SIZE = 2, QUESTIONS = 100000, MOST_KIB = 6 * 1024 };

typedef struct scene {
    char meet[64];
    gate met, flooded;
    atomic_int pid[SIZE];
} scene;

static void at_a_seed(weft_group_opts *o, const member *me)
{
    const scene *s = me->user;
    o->meet = s->meet;
}

static void serve_body(member *me)
{
    scene *s = me->user;
    MUST_OK(me, weft_barrier(me->group, NULL));
    atomic_store(&s->pid[me->rank], (int)getpid());
    gate_open(&s->met, 1);
    MUST(me, gate_pass(&s->flooded), "the flood has no end");
    MUST_OK(me, weft_barrier(me->group, NULL));
}

static long resident_kib(int pid)
{
    char name[64], line[256];
    long kib = -1;
    snprintf(name, sizeof(name), "/proc/%d/status", pid);
    FILE *f = fopen(name, "r");
    cr_assert_not_null(f);
    while (kib < 0 && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    fclose(f);
    return kib;
}

/* A ROSTER frame of another job, well-formed. */
static size_t question(uint8_t *buf)
{
    enum { BODY = 24 };
    uint8_t *body = buf + WEFT_FRAME_HEADER;
    memset(body, 0, BODY);
    body[0] = 1;
    body[2] = 2;
    memset(body + 8, 7, 16);
    weft_frame_put(
        &(weft_frame){
            .kind = WEFT_FRAME_ROSTER, .flags = WEFT_FLAG_LAST, .group = 12345, .body_bytes = BODY},
        buf);
    return WEFT_FRAME_HEADER + BODY;
}

static void flood(const char *meet)
{
    uint8_t buf[256], id[WEFT_ROUTING_ID] = {WEFT_ROUTING_FIRST, 2, 3, 4, 5};
    const int one = 1, none = 0, small = 4096, wait_ms = 2000;
    const size_t len = question(buf);
    void *context = zmq_ctx_new(), *dealer = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(dealer, ZMQ_RCVHWM, &one, sizeof(one));
    zmq_setsockopt(dealer, ZMQ_RCVBUF, &small, sizeof(small));
    zmq_setsockopt(dealer, ZMQ_LINGER, &none, sizeof(none));
    zmq_setsockopt(dealer, ZMQ_SNDTIMEO, &wait_ms, sizeof(wait_ms));
    zmq_setsockopt(dealer, ZMQ_ROUTING_ID, id, sizeof(id));
    cr_assert_eq(zmq_connect(dealer, meet), 0);
    for (int i = 0; i < QUESTIONS && zmq_send(dealer, buf, len, 0) >= 0; i++) {
        if (i % 50 == 0) { /* no faster than questions are read: only answers are to pile up */
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        }
    }
    zmq_close(dealer);
    zmq_ctx_term(context);
}

Test(flood, answers_to_a_stranger_that_does_not_read_do_not_pile_up)
{
    scene *s = cluster_shared(sizeof(*s));
    long before[SIZE];
    snprintf(s->meet, sizeof(s->meet), "tcp://127.0.0.1:%d", errand_free_port());
    s->met = gate_new();
    s->flooded = gate_new();
    cluster *c = cluster_start(&(cluster_plan){
        .link = CLUSTER_TCP, .size = SIZE, .body = serve_body, .user = s, .options = at_a_seed});
    for (int r = 0; r < SIZE; r++) {
        cr_assert(gate_pass(&s->met), "the peers did not meet");
    }
    for (int r = 0; r < SIZE; r++) {
        before[r] = resident_kib(atomic_load(&s->pid[r]));
    }
    flood(s->meet);
    for (int r = 0; r < SIZE; r++) {
        const long now = resident_kib(atomic_load(&s->pid[r]));
        cr_expect_lt(now - before[r], cluster_patience(MOST_KIB), "rank %d: %ld KiB, %ld before", r,
                     now, before[r]);
    }
    gate_open(&s->flooded, SIZE);
    cluster_join(c);
}
