/* SPDX-License-Identifier: Apache-2.0 */
/* Links shared by streams, and the order of what happens. */
#include <criterion/criterion.h>
#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "plan/clock_share.h"

enum { PORTS = 6, STREAMS = 8 };

typedef struct scene {
    weft_clock_heap heap;
    weft_clock_share share;
} scene;

static scene open_scene(int ports, int streams)
{
    scene s;

    cr_assert_eq(weft_clock_heap_open(&s.heap, streams + ports), 0);
    return s;
}

/* The parts hold pointers to one another: they are made where they stay. */
static void open_share(scene *s, int ports, int streams)
{
    *s = open_scene(ports, streams);
    cr_assert_eq(weft_clock_share_open(&s->share, &s->heap, ports, streams, 0, streams), 0);
}

static void close_share(scene *s)
{
    weft_clock_share_close(&s->share);
    weft_clock_heap_close(&s->heap);
}

static void way(scene *s, int stream, int a, int b)
{
    weft_stream *t = &s->share.streams[stream];

    t->port[t->ports++] = a;
    if (b >= 0)
        t->port[t->ports++] = b;
}

/* Run until everything has come to its end; the time of each stream's end into *ends. */
static void run(scene *s, double *ends)
{
    int thing;
    double at;

    weft_clock_share_settle(&s->share, 0);
    while (weft_clock_heap_pop(&s->heap, &thing, &at)) {
        if (thing < s->share.stream_count) {
            ends[thing] = at;
            weft_clock_share_stop(&s->share, at, thing);
        } else {
            weft_clock_share_dry(&s->share, at, thing - s->share.stream_count);
        }
        weft_clock_share_settle(&s->share, at);
    }
}

static void near(double got, double wanted, const char *what)
{
    cr_expect_float_eq(got, wanted, 1e-9 * wanted, "%s: %.17g, expected %.17g", what, got, wanted);
}

Test(clock_heap, things_come_by_time_then_by_number)
{
    weft_clock_heap h;
    const double times[] = {3, 1, 2, 1, 3};
    const int order[] = {1, 3, 2, 0, 4};
    int thing;
    double at;

    cr_assert_eq(weft_clock_heap_open(&h, 5), 0);
    for (int i = 4; i >= 0; i--)
        weft_clock_heap_set(&h, i, times[i]);
    for (int i = 0; i < 5; i++) {
        cr_assert(weft_clock_heap_pop(&h, &thing, &at));
        cr_expect_eq(thing, order[i]);
        cr_expect_eq(at, times[thing]);
    }
    cr_expect_not(weft_clock_heap_pop(&h, &thing, &at));
    weft_clock_heap_close(&h);
}

Test(clock_heap, moved_and_dropped_things_keep_the_order)
{
    enum { THINGS = 50 };
    weft_clock_heap h;
    weft_rng rng = {.state = 7};
    double at[THINGS], now;

    cr_assert_eq(weft_clock_heap_open(&h, THINGS), 0);
    for (int round = 0; round < 2000; round++) {
        const int thing = (int)weft_rng_below(&rng, THINGS);
        int least = -1, got;
        for (int i = 0; i < THINGS && round == 0; i++)
            at[i] = -1;
        if (weft_rng_below(&rng, 4) == 0) {
            weft_clock_heap_drop(&h, thing);
            at[thing] = -1;
        } else {
            at[thing] = (double)weft_rng_below(&rng, 20);
            weft_clock_heap_set(&h, thing, at[thing]);
        }
        if (weft_rng_below(&rng, 3) > 0)
            continue;
        for (int i = 0; i < THINGS; i++)
            if (at[i] >= 0 && (least < 0 || at[i] < at[least]))
                least = i;
        cr_assert_eq(weft_clock_heap_pop(&h, &got, &now), least >= 0);
        if (least >= 0) {
            cr_assert_eq(got, least);
            cr_assert_eq(now, at[least]);
            at[least] = -1;
        }
    }
    weft_clock_heap_close(&h);
}

Test(clock_share, k_streams_into_one_port_take_k_times_as_long)
{
    for (int k = 1; k <= STREAMS; k++) {
        double ends[STREAMS];
        scene s;
        open_share(&s, STREAMS + 1, k);
        s.share.ports[STREAMS].rate = 1000;
        for (int i = 0; i < k; i++) {
            s.share.ports[i].rate = 1000;
            way(&s, i, i, STREAMS);
            weft_clock_share_start(&s.share, 0, i, 500);
        }
        run(&s, ends);
        for (int i = 0; i < k; i++)
            near(ends[i], 0.5 * k, "end");
        cr_expect_eq(s.share.ports[STREAMS].moved, 500.0 * k);
        close_share(&s);
    }
}

Test(clock_share, what_one_stream_cannot_use_the_others_get)
{
    /* Streams 0 and 1 share port 0 (10); 1 passes port 1 too, which has 2 for it. */
    double ends[2];
    scene s;

    open_share(&s, 2, 2);
    s.share.ports[0].rate = 10;
    s.share.ports[1].rate = 2;
    way(&s, 0, 0, -1);
    way(&s, 1, 0, 1);
    weft_clock_share_start(&s.share, 0, 0, 80);
    weft_clock_share_start(&s.share, 0, 1, 40);
    run(&s, ends);
    near(ends[0], 10, "the one with 8 of 10");
    near(ends[1], 20, "the one with 2");
    close_share(&s);
}

Test(clock_share, who_remains_is_faster_when_another_ends)
{
    double ends[2];
    scene s;

    open_share(&s, 1, 2);
    s.share.ports[0].rate = 10;
    way(&s, 0, 0, -1);
    way(&s, 1, 0, -1);
    weft_clock_share_start(&s.share, 0, 0, 10);
    weft_clock_share_start(&s.share, 0, 1, 30);
    run(&s, ends);
    near(ends[0], 2, "10 at 5");
    near(ends[1], 4, "10 at 5, 20 at 10");
    close_share(&s);
}

Test(clock_share, a_bucket_passes_its_bytes_at_the_peak)
{
    double ends[1];
    scene s;

    open_share(&s, 1, 1);
    s.share.ports[0] =
        (weft_port){.rate = 10, .burst = 90, .peak = 100, .bucket = 90, .back = -1, .first = -1};
    way(&s, 0, 0, -1);
    weft_clock_share_start(&s.share, 0, 0, 200);
    run(&s, ends);
    /* 90 and what is filled meanwhile: 1 s at 100, the rest at 10 */
    near(ends[0], 1 + 100.0 / 10, "end");
    close_share(&s);
}

Test(clock_share, a_bucket_fills_again_in_a_pause)
{
    double ends[1];
    scene s;

    open_share(&s, 1, 1);
    s.share.ports[0] =
        (weft_port){.rate = 10, .burst = 90, .peak = 100, .bucket = 0, .back = -1, .first = -1};
    way(&s, 0, 0, -1);
    weft_clock_share_start(&s.share, 0, 0, 10);
    run(&s, ends);
    near(ends[0], 1, "empty: at the rate");
    cr_expect_not(weft_clock_share_bursts(&s.share, 1, 0));
    cr_expect(weft_clock_share_bursts(&s.share, 2, 0));
    weft_clock_share_start(&s.share, 5.5, 0, 100); /* 45 are in it */
    weft_clock_share_settle(&s.share, 5.5);
    run(&s, ends);
    near(ends[0], 5.5 + 0.5 + 50.0 / 10, "half a second at 100, 50 at 10");
    close_share(&s);
}

Test(clock_share, acknowledgements_and_many_senders_cost_their_share)
{
    double ends[3];
    scene s;

    open_share(&s, 2, 3);
    s.share.ports[0] = (weft_port){.rate = 100, .ack = 0.1, .back = 1, .first = -1};
    s.share.ports[1] = (weft_port){.rate = 100, .incast = 0.5, .back = 0, .first = -1};
    way(&s, 0, 0, -1); /* up, while others come down */
    way(&s, 1, 1, -1);
    way(&s, 2, 1, -1);
    weft_clock_share_start(&s.share, 0, 0, 90);
    weft_clock_share_start(&s.share, 0, 1, 100);
    weft_clock_share_start(&s.share, 0, 2, 100);
    run(&s, ends);
    near(ends[0], 1, "90 of 100");
    near(ends[1], 3, "two share 100 / 1.5");
    near(ends[2], 3, "two share 100 / 1.5");
    close_share(&s);
}

Test(clock_share, without_a_limit_nothing_takes_time)
{
    double ends[2];
    scene s;

    open_share(&s, 2, 2);
    way(&s, 0, 0, 1); /* ports without a rate */
    weft_clock_share_start(&s.share, 3, 0, 1e12);
    weft_clock_share_start(&s.share, 3, 1, 1e12); /* no port at all */
    weft_clock_share_settle(&s.share, 3);
    run(&s, ends);
    cr_expect_eq(ends[0], 3);
    cr_expect_eq(ends[1], 3);
    close_share(&s);
}

/* Max-min: every stream passes a full port in which nobody is faster. */
static void check_fair(const weft_clock_share *s)
{
    for (int i = 0; i < s->stream_count; i++) {
        const weft_stream *t = &s->streams[i];
        bool held = false;
        for (int k = 0; k < t->ports && t->active; k++) {
            double sum = 0, most = 0;
            for (int j = 0; j < s->stream_count; j++)
                for (int m = 0; m < s->streams[j].ports && s->streams[j].active; m++)
                    if (s->streams[j].port[m] == t->port[k]) {
                        sum += s->streams[j].rate;
                        most = fmax(most, s->streams[j].rate);
                    }
            const double rate = s->ports[t->port[k]].rate;
            cr_assert_leq(sum, rate * (1 + 1e-9));
            held = held || (sum >= rate * (1 - 1e-9) && t->rate >= most * (1 - 1e-9));
        }
        cr_assert(held || !t->active, "stream %d could have more", i);
    }
}

Test(clock_share, rates_are_max_min_fair_whatever_comes_and_goes)
{
    weft_rng rng = {.state = 3};

    for (int trial = 0; trial < 300; trial++) {
        scene s;
        open_share(&s, PORTS, STREAMS);
        for (int i = 0; i < PORTS; i++)
            s.share.ports[i].rate = (double)(1 + weft_rng_below(&rng, 9));
        for (int i = 0; i < STREAMS; i++) {
            const int first = (int)weft_rng_below(&rng, PORTS);
            way(&s, i, first, -1);
            for (int p = first + 1; p < PORTS; p++)
                if (weft_rng_below(&rng, 3) == 0 && s.share.streams[i].ports < WEFT_PORTS_MOST)
                    s.share.streams[i].port[s.share.streams[i].ports++] = p;
        }
        for (int step = 0; step < 30; step++) {
            const int i = (int)weft_rng_below(&rng, STREAMS);
            if (s.share.streams[i].active)
                weft_clock_share_stop(&s.share, step, i);
            else
                weft_clock_share_start(&s.share, step, i, 1e9);
            weft_clock_share_settle(&s.share, step);
            check_fair(&s.share);
        }
        close_share(&s);
    }
}
