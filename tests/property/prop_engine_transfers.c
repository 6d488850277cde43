/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Send and receive in virtual time, beside collectives, in several groups: who calls what when is
 * chance, the n-th send of a tag meets the n-th receive, and what goes wrong with one transfer is
 * that one's.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_state.h"
#include "support/share.h"
#include "support/simgroups.h"

enum { LETTERS_MOST = 6000, SENDER = 0, RECEIVER = 1 };

/* One transfer, end by end. */
typedef struct letter {
    int group, rank[2]; /* in the group */
    uint32_t tag, n;
    size_t count[2]; /* of bytes */
    uint8_t *data[2];
    weft_request *request[2];
    int64_t at[2];
    int ended[2];
    weft_problem problem[2];
} letter;

typedef struct post {
    simgroups w;
    int count;
    letter *letters;
    int odd; /* a letter */
    long errors, successes;
} post;

static uint64_t below(post *p, uint64_t limit)
{
    return simgroups_below(&p->w, limit);
}

static uint8_t byte_of(const letter *l, size_t i)
{
    return (uint8_t)(l->tag * 31 + l->n * 7 + (uint32_t)l->group + (uint32_t)l->rank[0] * 3 + i);
}

static bool ended(void *user, int rank, weft_request *r)
{
    post *p = user;
    (void)rank;
    for (int i = 0; i < p->count; i++) {
        for (int end = 0; end < 2; end++) {
            if (p->letters[i].request[end] == r) {
                p->letters[i].ended[end]++;
                p->letters[i].problem[end] = r->problem;
                return true;
            }
        }
    }
    return false;
}

static void open_post(post *p, const char *what, uint64_t seed)
{
    *p = (post){.odd = -1, .letters = calloc(LETTERS_MOST, sizeof(letter))};
    cr_assert_not_null(p->letters);
    simgroups_open(&p->w, what, seed);
    p->w.others = ended;
    p->w.others_user = p;
}

static void close_post(post *p)
{
    simgroups_close(&p->w);
    for (int i = 0; i < p->count; i++) {
        for (int end = 0; end < 2; end++) {
            weft_request_discard(p->letters[i].request[end]);
            free(p->letters[i].data[end]);
        }
    }
    free(p->letters);
}

/* Both ends' requests. */
static void write_letter(post *p, letter *l, int64_t timeout_ms)
{
    for (int end = 0; end < 2; end++) {
        weft_group *g = &p->w.groups[l->group].job->groups[l->rank[end]];
        const weft_coll_opts o = {.size = sizeof(o), .timeout_ms = timeout_ms};
        l->data[end] = malloc(l->count[end] + 1);
        for (size_t i = 0; i <= l->count[end]; i++) {
            l->data[end][i] = end == SENDER && i < l->count[end] ? byte_of(l, i) : 0xee;
        }
        weft_call c = {.in = end == SENDER ? l->data[end] : NULL,
                       .out = end == RECEIVER ? l->data[end] : NULL,
                       .count = l->count[end],
                       .dtype = WEFT_U8,
                       .opts = &o};
        cr_assert_eq(weft_call_make_transfer(g, &c, end == SENDER, l->rank[1 - end], l->tag,
                                             &l->request[end]),
                     WEFT_OK, "%s", weft_last_error()->message);
    }
}

/* Letters of few tags between ranks of all groups: one tag's in their order, at any time. */
static void write_letters(post *p, int count, int64_t timeout_ms, int64_t late)
{
    static const size_t lengths[] = {0, 1, 50, 3000, 60000, 70000, 300000, 1100000};
    while (p->count < count) {
        letter *l = &p->letters[p->count];
        l->group = (int)below(p, (uint64_t)p->w.count);
        const int size = p->w.groups[l->group].job->size;
        if (size < 2) {
            continue;
        }
        l->rank[0] = (int)below(p, (uint64_t)size);
        l->rank[1] = (l->rank[0] + 1 + (int)below(p, (uint64_t)size - 1)) % size;
        l->tag = (uint32_t)below(p, 3);
        l->count[0] = l->count[1] = lengths[below(p, below(p, 8) == 0 ? 8 : 5)];
        for (int end = 0; end < 2; end++) {
            l->at[end] = (int64_t)below(p, (uint64_t)(late / SIM_US) + 1) * SIM_US;
        }
        for (int i = p->count - 1; i >= 0; i--) { /* behind the last of its tag */
            const letter *b = &p->letters[i];
            if (b->group == l->group && b->tag == l->tag && b->rank[0] == l->rank[0] &&
                b->rank[1] == l->rank[1]) {
                l->n = b->n + 1;
                for (int end = 0; end < 2; end++) {
                    l->at[end] = l->at[end] < b->at[end] ? b->at[end] : l->at[end];
                }
                break;
            }
        }
        if (p->count == p->odd) {
            l->count[RECEIVER] += 1 + below(p, 3) * 100000;
        }
        write_letter(p, l, timeout_ms);
        p->count++;
    }
}

/* entered: so late everybody has entered its groups at most. */
static void post_letters(post *p, int64_t entered)
{
    for (int i = 0; i < p->count; i++) {
        letter *l = &p->letters[i];
        for (int end = 0; end < 2; end++) {
            const int rank = p->w.groups[l->group].job->ranks[l->rank[end]];
            simnet_call(p->w.net, entered + l->at[end], rank, l->request[end]);
        }
    }
}

static const char *words(const post *p, int i, int end)
{
    static char text[1600];
    const letter *l = &p->letters[i];
    const simjob *job = p->w.groups[l->group].job;
    snprintf(text, sizeof(text),
             "%s, seed %llu: letter %d of group %d, rank %d (%d) to %d (%d), tag %u, number %u, "
             "%zu bytes, %zu wanted, %s: %d %s",
             p->w.what, (unsigned long long)p->w.seed, i, l->group, l->rank[0],
             job->ranks[l->rank[0]], l->rank[1], job->ranks[l->rank[1]], l->tag, l->n, l->count[0],
             l->count[1], end == SENDER ? "sender" : "receiver", l->problem[end].code,
             l->problem[end].text);
    return text;
}

/* What else than success may have come of an end. */
typedef bool fits_letter(const post *p, const letter *l, int end);

static void run(post *p)
{
    const bool over = simnet_run(p->w.net, SIM_FAR);
    cr_assert(simnet_offence(p->w.net)[0] == '\0', "%s, seed %llu: %s", p->w.what,
              (unsigned long long)p->w.seed, simnet_offence(p->w.net));
    cr_assert(over, "%s, seed %llu: no end", p->w.what, (unsigned long long)p->w.seed);
}

static void check(post *p, fits_letter *fits)
{
    for (int i = 0; i < p->count; i++) {
        const letter *l = &p->letters[i];
        for (int end = 0; end < 2; end++) {
            const int rank = p->w.groups[l->group].job->ranks[l->rank[end]];
            if (l->ended[end] == 0 && !simnet_live(p->w.net, rank)) {
                continue;
            }
            cr_assert_eq(l->ended[end], 1, "%s: ended %d times", words(p, i, end), l->ended[end]);
            cr_assert(l->problem[end].code == WEFT_OK || fits(p, l, end), "%s", words(p, i, end));
            p->errors += l->problem[end].code != WEFT_OK;
            p->successes += l->problem[end].code == WEFT_OK;
            cr_assert_eq(l->data[end][l->count[end]], 0xee, "%s: beside", words(p, i, end));
        }
        if (l->ended[RECEIVER] == 0 || l->problem[RECEIVER].code != WEFT_OK) {
            continue;
        }
        for (size_t k = 0; k < l->count[RECEIVER]; k++) {
            cr_assert_eq(l->data[RECEIVER][k], byte_of(l, k), "%s: byte %zu is another",
                         words(p, i, RECEIVER), k);
        }
    }
    for (int r = 0; r < p->w.size; r++) {
        const char *left = simnet_live(p->w.net, r) ? simnet_leftover(p->w.net, r) : "";
        const bool may = p->errors > 0 && (strstr(left, "waits for a link") != NULL ||
                                           strstr(left, "early frame") != NULL);
        cr_assert(left[0] == '\0' || may || simnet_engine(p->w.net, r)->broken.code != WEFT_OK,
                  "%s, seed %llu: %s", p->w.what, (unsigned long long)p->w.seed, left);
    }
}

static bool never(const post *p, const letter *l, int end)
{
    (void)p;
    (void)l;
    (void)end;
    return false;
}

Test(prop_engine_transfers, every_message_arrives_beside_collectives_of_all_groups)
{
    for (uint64_t seed = 1; seed <= share_of(120); seed++) {
        post p;
        open_post(&p, "post", seed);
        write_letters(&p, 20 + (int)below(&p, 100), WEFT_FOREVER,
                      seed % 2 == 0 ? 2 * WEFT_MS : 100 * WEFT_MS);
        const int64_t late = seed % 3 == 0 ? 0 : 30 * WEFT_MS;
        simgroups_call_all(&p.w, WEFT_FOREVER, late, NULL);
        post_letters(&p, late);
        run(&p);
        check(&p, never);
        simgroups_check(&p.w, simgroups_never);
        simgroups_check_credit(&p.w);
        for (int r = 0; r < p.w.size; r++) {
            cr_assert_eq(atomic_load(&weft_engine_counters(simnet_engine(p.w.net, r))->dropped), 0,
                         "seed %llu", (unsigned long long)seed);
        }
        close_post(&p);
    }
}

/* ---- what goes wrong with one ---------------------------------------------------------------- */

static bool is_odd(const post *p, const letter *l)
{
    return l == &p->letters[p->odd];
}

static bool mismatch(const post *p, const letter *l, int end)
{
    return is_odd(p, l) && l->problem[end].code == WEFT_EMISMATCH;
}

Test(prop_engine_transfers, another_count_is_told_and_forgotten)
{
    long both = 0;
    for (uint64_t seed = 1; seed <= share_of(150); seed++) {
        post p;
        open_post(&p, "mismatch", seed);
        p.odd = (int)below(&p, 40);
        write_letters(&p, 50, WEFT_FOREVER, 20 * WEFT_MS);
        simgroups_enter_all(&p.w, 0);
        post_letters(&p, 0);
        run(&p);
        check(&p, mismatch);
        const letter *l = &p.letters[p.odd];
        cr_assert_eq(l->problem[RECEIVER].code, WEFT_EMISMATCH, "%s", words(&p, p.odd, RECEIVER));
        cr_assert(strstr(l->problem[RECEIVER].text, "calls send uint8 count=") != NULL &&
                      strstr(l->problem[RECEIVER].text, "calls recv uint8 count=") != NULL,
                  "%s", words(&p, p.odd, RECEIVER));
        /* A sender that waited for its receiver hears of it too. */
        cr_assert(l->problem[SENDER].code == WEFT_EMISMATCH || l->count[SENDER] < 1000000, "%s",
                  words(&p, p.odd, SENDER));
        both += l->problem[SENDER].code == WEFT_EMISMATCH;
        simgroups_check_credit(&p.w);
        close_post(&p);
    }
    cr_assert(both > (long)share_of(10), "%ld", both);
}

static bool canceled(const post *p, const letter *l, int end)
{
    const int rank = l->problem[end].rank;
    return is_odd(p, l) && l->problem[end].code == WEFT_ECANCELED &&
           (rank == l->rank[0] || rank == l->rank[1]);
}

Test(prop_engine_transfers, a_cancel_ends_that_transfer_and_no_other)
{
    long errors = 0;
    for (uint64_t seed = 1; seed <= share_of(200); seed++) {
        post p;
        open_post(&p, "cancel", seed);
        write_letters(&p, 60, WEFT_FOREVER, 5 * WEFT_MS);
        p.odd = (int)below(&p, 60);
        simgroups_enter_all(&p.w, 0);
        post_letters(&p, 0);
        letter *l = &p.letters[p.odd];
        const int end = (int)below(&p, 2);
        simnet_cancel(p.w.net, l->at[end] + (int64_t)below(&p, 300) * SIM_US,
                      p.w.groups[l->group].job->ranks[l->rank[end]], l->request[end]);
        run(&p);
        check(&p, canceled);
        errors += p.errors;
        cr_assert(l->problem[RECEIVER].code == WEFT_OK || l->problem[end].code != WEFT_OK ||
                      end == RECEIVER,
                  "%s", words(&p, p.odd, RECEIVER));
        simgroups_check_credit(&p.w);
        close_post(&p);
    }
    cr_assert(errors > (long)share_of(100), "%ld errors", errors);
}

static bool timed_out(const post *p, const letter *l, int end)
{
    const int rank = l->problem[end].rank;
    (void)p;
    return l->problem[end].code == WEFT_ETIMEDOUT && (rank == l->rank[0] || rank == l->rank[1]);
}

/* Calls far apart: those in between fail, and the numbers go on. */
Test(prop_engine_transfers, timeouts_name_the_other_end_and_numbers_go_on)
{
    long errors = 0, successes = 0;
    for (uint64_t seed = 1; seed <= share_of(100); seed++) {
        post p;
        open_post(&p, "timeout", seed);
        write_letters(&p, 60, 100, 1000 * WEFT_MS);
        simgroups_enter_all(&p.w, 0);
        post_letters(&p, 0);
        run(&p);
        check(&p, timed_out);
        errors += p.errors;
        successes += p.successes;
        simgroups_check_credit(&p.w);
        close_post(&p);
    }
    cr_assert(errors > (long)share_of(1000) && successes > (long)share_of(1000),
              "%ld errors, %ld successes", errors, successes);
}

/* ---- who leaves, who is lost ----------------------------------------------------------------- */

static bool left(const post *p, const letter *l, int end)
{
    const weft_problem *why = &l->problem[end];
    const int gone = p->w.odd;
    if (l->group != p->w.odd_group || (l->rank[0] != gone && l->rank[1] != gone)) {
        return false;
    }
    if (l->rank[end] == gone) {
        return why->code == WEFT_ECANCELED && why->rank == gone;
    }
    return why->code == WEFT_EPEER && why->rank == gone &&
           strstr(why->text, "left the group") != NULL;
}

/* Nobody reduces: so the group does not break, and the others' transfers in it go on. */
Test(prop_engine_transfers, who_leaves_a_group_ends_its_transfers_there_and_no_other)
{
    long errors = 0;
    for (uint64_t seed = 1; seed <= share_of(200); seed++) {
        post p;
        open_post(&p, "leave", seed);
        write_letters(&p, 80, WEFT_FOREVER, 10 * WEFT_MS);
        p.w.odd_group = (int)below(&p, SIMGROUPS);
        simgroup *g = &p.w.groups[p.w.odd_group];
        p.w.odd = (int)below(&p, (uint64_t)g->job->size);
        simgroups_enter_all(&p.w, 0);
        post_letters(&p, 0);
        /* It has called all it calls there by then. */
        simnet_call(p.w.net, (10 + (int64_t)below(&p, 3)) * WEFT_MS + 10 * SIM_US,
                    g->job->ranks[p.w.odd], g->leave[p.w.odd]);
        const simnet_fault stall = {.kind = SIMNET_STALL,
                                    .rank = (int)below(&p, (uint64_t)p.w.size),
                                    .at = below(&p, 100),
                                    .ns = 15 * WEFT_MS};
        simnet_inject(p.w.net, &stall);
        run(&p);
        check(&p, left);
        errors += p.errors;
        close_post(&p);
    }
    cr_assert(errors > (long)share_of(50), "%ld errors", errors);
}

static int place_of(const post *p, int group, int rank)
{
    int at = p->w.groups[group].job->size - 1;
    while (at >= 0 && p->w.groups[group].job->ranks[at] != rank) {
        at--;
    }
    return at;
}

static bool lost(const post *p, const letter *l, int end)
{
    const weft_problem *why = &l->problem[end];
    return why->code < 0 && (why->rank == place_of(p, l->group, p->w.fault.rank) ||
                             why->rank == place_of(p, l->group, p->w.fault.peer));
}

Test(prop_engine_transfers, faults_are_named_in_every_group)
{
    static const simnet_kind kinds[] = {SIMNET_KILL, SIMNET_VANISH, SIMNET_CUT,
                                        SIMNET_FLIP, SIMNET_LOSE,   SIMNET_TWICE};
    long errors = 0;
    for (uint64_t seed = 1; seed <= share_of(240); seed++) {
        post p;
        open_post(&p, "fault", seed);
        write_letters(&p, 60, 30000, 5 * WEFT_MS);
        p.w.fault = (simnet_fault){.kind = kinds[seed % 6],
                                   .rank = (int)below(&p, (uint64_t)p.w.size),
                                   .at = below(&p, UINT64_C(4) << below(&p, 7))};
        p.w.fault.peer = (p.w.fault.rank + 1) % p.w.size;
        simnet_inject(p.w.net, &p.w.fault);
        simgroups_enter_all(&p.w, 0);
        post_letters(&p, 0);
        run(&p);
        p.w.fault = *simnet_fault_at(p.w.net, 0);
        check(&p, p.w.fault.done ? lost : never);
        errors += p.errors;
        close_post(&p);
    }
    cr_assert(errors > (long)share_of(1000), "%ld errors", errors);
}

static bool anything(const post *p, const letter *l, int end)
{
    (void)p;
    return l->problem[end].code < 0;
}

static bool any_call(const simgroups *w, int n, int i, int call, const weft_problem *p)
{
    (void)w;
    (void)n;
    (void)i;
    (void)call;
    return p->code < 0;
}

Test(prop_engine_transfers, storms_end)
{
    for (uint64_t seed = 1; seed <= share_of(200); seed++) {
        post p;
        open_post(&p, "storm", seed);
        p.odd = (int)below(&p, 40);
        write_letters(&p, 60, 1000, 30 * WEFT_MS);
        for (int i = 0; i < 2; i++) {
            p.w.fault = (simnet_fault){.kind = (simnet_kind)below(&p, SIMNET_KINDS),
                                       .rank = (int)below(&p, (uint64_t)p.w.size),
                                       .at = below(&p, UINT64_C(4) << below(&p, 8)),
                                       .ns = (int64_t)below(&p, 2000) * WEFT_MS};
            p.w.fault.peer = (p.w.fault.rank + 1) % p.w.size;
            simnet_inject(p.w.net, &p.w.fault);
        }
        for (int i = 0; i < 5; i++) {
            const letter *l = &p.letters[below(&p, 60)];
            const int end = (int)below(&p, 2);
            simnet_cancel(p.w.net, l->at[end] + (int64_t)below(&p, 3000) * SIM_US,
                          p.w.groups[l->group].job->ranks[l->rank[end]], l->request[end]);
        }
        simgroups_call_all(&p.w, 1000, 10 * WEFT_MS, NULL);
        post_letters(&p, 10 * WEFT_MS);
        run(&p);
        check(&p, anything);
        simgroups_check(&p.w, any_call);
        close_post(&p);
    }
}

Test(prop_engine_transfers, out_of_memory_ends_calls_and_no_more)
{
    for (long n = 1; n < 200; n++) {
        post p;
        open_post(&p, "memory", (uint64_t)(n % 5));
        write_letters(&p, 20, 2000, 2 * WEFT_MS);
        simgroups_enter_all(&p.w, 0);
        post_letters(&p, 0);
        weft_mem_fail_at(n);
        run(&p);
        weft_mem_fail_at(0);
        check(&p, anything);
        close_post(&p);
    }
}

/* ---- many tags ------------------------------------------------------------------------------- */

/* Two ranks, and letters of the root group between them. */
static void open_pair(post *p, uint64_t seed)
{
    *p = (post){.odd = -1, .letters = calloc(LETTERS_MOST, sizeof(letter))};
    p->w = (simgroups){.what = "pair", .seed = seed, .size = 2};
    p->w.rng.state = seed;
    p->w.net = simnet_open(&(simnet_opts){.size = 2,
                                          .seed = seed,
                                          .dead_ns = SIM_DEAD,
                                          .delay_ns = 50 * SIM_US,
                                          .ended = simgroups_ended,
                                          .user = &p->w});
    cr_assert(p->letters != NULL && p->w.net != NULL);
    simgroups_add(&p->w, (const int[]){0, 1}, 2);
    p->w.others = ended;
    p->w.others_user = p;
}

static void add_letter(post *p, uint32_t tag, uint32_t n, size_t count, int64_t sent,
                       int64_t wanted)
{
    letter *l = &p->letters[p->count++];
    *l =
        (letter){.rank = {0, 1}, .tag = tag, .n = n, .count = {count, count}, .at = {sent, wanted}};
    write_letter(p, l, WEFT_FOREVER);
}

/* More tags than are kept at hand are used in turn: their numbers are not lost, the memory is. */
Test(prop_engine_transfers, tags_out_of_use_are_put_away)
{
    enum { TAGS = WEFT_IDLE_TRANSFERS + 400 };
    post p;
    open_pair(&p, 3);
    for (uint32_t n = 0; n < 3; n++) {
        for (uint32_t t = 0; t < TAGS; t++) {
            const int64_t at = (int64_t)(n * TAGS + t) * 200 * SIM_US;
            const bool late = t % 3 == 0;
            add_letter(&p, t, n, t % 100 == 9 ? 900000 : 20, at + (late ? 0 : 900 * SIM_US),
                       at + (late ? 900 * SIM_US : 0));
        }
    }
    post_letters(&p, 0);
    run(&p);
    check(&p, never);
    simgroups_check_credit(&p.w);
    for (int r = 0; r < 2; r++) {
        const weft_engine *e = simnet_engine(p.w.net, r);
        int contexts = 0;
        for (const weft_context *c = e->contexts; c != NULL; c = c->after) {
            contexts++;
        }
        cr_assert_eq(e->idle_count, WEFT_IDLE_TRANSFERS);
        cr_assert_eq(contexts, WEFT_IDLE_TRANSFERS + 1);
        cr_assert_eq(e->tag_count, TAGS + 1);
    }
    close_post(&p);
}

/* What is told while a tag is put away is told again: a long message is not held up. */
Test(prop_engine_transfers, a_tag_that_is_put_away_is_asked_again)
{
    for (int first = 0; first < 2; first++) {
        post p;
        open_pair(&p, 5);
        add_letter(&p, 7, 0, 10, 0, 0);
        for (uint32_t t = 0; t < WEFT_IDLE_TRANSFERS + 10; t++) {
            add_letter(&p, 1000 + t, 0, 10, 5 * WEFT_MS, 5 * WEFT_MS);
        }
        /* The receiver is far ahead of the sender, or the other way round. */
        add_letter(&p, 7, 1, 1000000, (first == 0 ? 600 : 500) * WEFT_MS,
                   (first == 0 ? 500 : 600) * WEFT_MS);
        post_letters(&p, 0);
        run(&p);
        check(&p, never);
        cr_assert_lt(simnet_now(p.w.net), 605 * WEFT_MS, "it took until %lld us",
                     (long long)(simnet_now(p.w.net) / SIM_US));
        close_post(&p);
    }
}

/* Messages that nobody waits for use up the credit; it comes back in time for the next ones. */
Test(prop_engine_transfers, credit_comes_back_before_a_timer_rings)
{
    enum { MANY = 400 };
    for (int reversed = 0; reversed < 2; reversed++) {
        post p;
        open_pair(&p, 9);
        for (uint32_t t = 0; t < MANY; t++) {
            const uint32_t wanted = reversed == 1 ? MANY - 1 - t : t;
            add_letter(&p, t, 0, 60000, 0, (1000 + wanted * 20) * SIM_US);
        }
        post_letters(&p, 0);
        run(&p);
        check(&p, never);
        simgroups_check_credit(&p.w);
        const int64_t took = simnet_now(p.w.net);
        /* All are wanted after 9 ms; what waits for its receive then waits 20 ms at most, once. */
        cr_assert_lt(took, reversed == 1 ? 40 * WEFT_MS : 15 * WEFT_MS, "it took %lld us",
                     (long long)(took / SIM_US));
        close_post(&p);
    }
}
