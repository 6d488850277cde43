/* SPDX-License-Identifier: Apache-2.0 */
/* Seats at a hub: threads of one process meet. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <weft/group.h>

#include "base/clock.h"
#include "link/hub.h"

enum { PEERS = 5, PATIENCE_MS = 20000, MEET_MS = 100 }; /* for two threads to start, or double */

typedef struct guest {
    weft_hub *hub;
    int rank;
    int64_t deadline_ns;
    int rc, seat;
    char text[256];
} guest;

static void *enter(void *arg)
{
    guest *g = arg;
    g->seat = -1;
    g->rc = weft_hub_seat(g->hub, g->rank, g->deadline_ns, &g->seat);
    snprintf(g->text, sizeof(g->text), "%s", weft_last_error()->message);
    return NULL;
}

static weft_hub *open_hub(int peers)
{
    weft_hub *hub = NULL;
    cr_assert_eq(weft_hub_open(&hub, peers), WEFT_OK);
    cr_expect_eq(weft_hub_peers(hub), peers);
    return hub;
}

/* All enter at the same time, each with its wish. */
static void meet(weft_hub *hub, const int *wishes, int count, int64_t deadline_ns, guest *guests)
{
    pthread_t threads[PEERS];
    for (int i = 0; i < count; i++) {
        guests[i] = (guest){.hub = hub, .rank = wishes[i], .deadline_ns = deadline_ns};
        cr_assert_eq(pthread_create(&threads[i], NULL, enter, &guests[i]), 0);
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* Two who enter, and are told at the deadline what `word` says: which is late enough once both had
 * come before it. */
static void meet_in_vain(weft_hub *hub, const int *wishes, const char *word, guest *guests)
{
    for (int64_t ms = MEET_MS; ms <= PATIENCE_MS; ms *= 2) {
        meet(hub, wishes, 2, weft_now() + ms * WEFT_MS, guests);
        if (strstr(guests[0].text, word) != NULL || strstr(guests[1].text, word) != NULL)
            return;
    }
    cr_assert_fail("nobody is told \"%s\" but \"%s\", \"%s\"", word, guests[0].text,
                   guests[1].text);
}

static int64_t patience(void)
{
    return weft_deadline(weft_now(), PATIENCE_MS);
}

Test(hub, wished_seats_are_given_and_the_rest_filled)
{
    static const int wishes[] = {3, -1, 0, -1, 4};
    weft_hub *hub = open_hub(PEERS);
    for (int round = 0; round < 20; round++) {
        guest g[PEERS];
        int taken = 0;
        meet(hub, wishes, PEERS, patience(), g);
        for (int i = 0; i < PEERS; i++) {
            cr_assert_eq(g[i].rc, WEFT_OK, "%s", g[i].text);
            cr_expect(wishes[i] < 0 || g[i].seat == wishes[i]);
            cr_assert(g[i].seat >= 0 && g[i].seat < PEERS);
            taken |= 1 << g[i].seat;
        }
        cr_expect_eq(taken, (1 << PEERS) - 1);
        for (int i = 0; i < PEERS; i++)
            weft_hub_leave(hub, i);
    }
    weft_hub_close(&hub);
    cr_expect_null(hub);
}

Test(hub, who_is_missing_is_named_at_the_deadline)
{
    static const int wishes[] = {2, 0}, any[] = {-1, 1};
    weft_hub *hub = open_hub(4);
    guest g[PEERS];
    meet_in_vain(hub, wishes, "2 of 4", g);
    const guest *first = strstr(g[0].text, "2 of 4") != NULL ? &g[0] : &g[1];
    cr_expect(g[0].rc == WEFT_ETIMEDOUT && g[1].rc == WEFT_ETIMEDOUT);
    cr_expect_not_null(strstr(first->text, "rank 1, 3"), "%s", first->text);
    meet_in_vain(hub, any, "2 of 4", g);
    first = strstr(g[0].text, "2 of 4") != NULL ? &g[0] : &g[1];
    cr_expect_not_null(strstr(first->text, "2 more"), "%s", first->text);
    cr_expect_eq(g[0].seat, -1);
    /* Their claims are withdrawn. */
    static const int all[] = {0, 1, 2, 3};
    meet(hub, all, 4, patience(), g);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(g[i].rc, WEFT_OK, "%s", g[i].text);
    weft_hub_close(&hub);
}

Test(hub, one_rank_for_two_is_refused_for_the_second)
{
    static const int wishes[] = {1, 1};
    weft_hub *hub = open_hub(3); /* never full: the first still waits when the second comes */
    guest g[PEERS];
    meet_in_vain(hub, wishes, "two peers claim", g);
    const guest *refused = g[0].rc == WEFT_EDUPLICATE ? &g[0] : &g[1];
    const guest *first = refused == &g[0] ? &g[1] : &g[0];
    cr_expect_eq(refused->rc, WEFT_EDUPLICATE, "%s", refused->text);
    cr_expect_not_null(strstr(refused->text, "rank 1"), "%s", refused->text);
    cr_expect_eq(first->rc, WEFT_ETIMEDOUT, "%s", first->text);
    weft_hub_close(&hub);
}

Test(hub, next_round_waits_until_the_last_has_left)
{
    static const int one[] = {-1};
    weft_hub *hub = open_hub(1);
    guest g[PEERS];
    meet(hub, one, 1, patience(), g);
    cr_expect_eq(g[0].rc, WEFT_OK);
    meet(hub, one, 1, weft_now() + 20 * WEFT_MS, g);
    cr_expect_eq(g[0].rc, WEFT_ETIMEDOUT);
    cr_expect_not_null(strstr(g[0].text, "not left"), "%s", g[0].text);
    weft_hub_leave(hub, 0);
    meet(hub, one, 1, patience(), g);
    cr_expect_eq(g[0].rc, WEFT_OK, "%s", g[0].text);
    weft_hub_close(&hub);
}

Test(hub, sizes_and_ranks_out_of_range_are_refused)
{
    weft_hub *hub = NULL;
    int seat = 7;
    cr_expect_eq(weft_hub_open(&hub, 0), WEFT_EINVAL);
    cr_expect_eq(weft_hub_open(&hub, 65536), WEFT_EINVAL);
    cr_expect_eq(weft_hub_open(NULL, 2), WEFT_EINVAL);
    cr_expect_null(hub);
    hub = open_hub(2);
    cr_expect_eq(weft_hub_seat(hub, 2, 0, &seat), WEFT_EINVAL);
    cr_expect_eq(weft_hub_seat(hub, -2, 0, &seat), WEFT_EINVAL);
    cr_expect_eq(seat, 7);
    weft_hub_close(&hub);
    weft_hub_close(&hub);
    weft_hub_close(NULL);
}
