/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An order for rings: nearest neighbour tours, improved by moves that change few hops.
 *
 * The score of a tour is the time of a turn, weft/topology.h, then the sum of its hops. A 2-opt
 * move reverses a stretch: two hops go, two come (Croes 1958). An Or-opt move puts a stretch of one
 * to three peers elsewhere, either way round: three hops go, three come (Or 1976). Both are judged
 * in constant time: the longest hop that stays is the first of the four longest that does not go.
 *
 * Moves that shorten the sum are looked for where they can be: from a peer to those nearer to it
 * than its neighbours are, and only from peers whose hops changed since they were last looked at.
 * Moves that take the longest hop away are all looked at. When neither helps, the best tour so far
 * is changed in four hops (double bridge: Martin, Otto & Felten 1991) and improved again, thousands
 * of times.
 */
#include <math.h>
#include <string.h>

#include "base/fpenv.h"
#include "base/mem.h"
#include "base/status.h"
#include "topology/dice.h"
#include "topology/order.h"

enum { STRETCH = 3, LONGEST = STRETCH + 1, NEAR = 10, STARTS = 8, KICKS = 256, KICKED = 16 };

typedef struct tour {
    int n;
    const weft_hop *hops;
    int *order, *spare;    /* spare: room for moves */
    int *position;         /* of each peer */
    int *near, near_count; /* of each peer, the nearest first */
    unsigned char *awake;  /* of each peer: look for moves from it */
    double *times;         /* of the hop at each position */
    weft_score score;
    double sum;
    double busiest;       /* the longest busy of a hop */
    int longest[LONGEST]; /* positions of the longest hops by busy, longest first */
} tour;

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static const weft_hop *between(const tour *t, int a, int b)
{
    return &t->hops[(size_t)a * (size_t)t->n + (size_t)b];
}

/* The peer at a position, around the end. */
static int at(const tour *t, int position)
{
    return t->order[position < t->n ? position : position - t->n];
}

static const weft_hop *hop_at(const tour *t, int position)
{
    return between(t, at(t, position), at(t, position + 1));
}

static weft_score score_of(const tour *t, double longest, double sum)
{
    return (weft_score){.first = larger(t->n * longest, sum), .then = sum};
}

/* From the order alone: what moves add up does not gather rounding. */
static void measure(tour *t)
{
    int known = 0;
    t->sum = 0;
    for (int p = 0; p < t->n; p++) {
        const weft_hop *h = hop_at(t, p);
        t->position[t->order[p]] = p;
        t->sum += t->times[p] = h->time;
        int k = known < LONGEST ? known++ : LONGEST;
        for (; k > 0 && h->busy > hop_at(t, t->longest[k - 1])->busy; k--)
            if (k < LONGEST)
                t->longest[k] = t->longest[k - 1];
        if (k < LONGEST)
            t->longest[k] = p;
    }
    t->busiest = hop_at(t, t->longest[0])->busy;
    t->score = score_of(t, t->busiest, t->sum);
}

/* The score when the hops at `gone` positions give way to the hops of `come`. */
static weft_score score_after(const tour *t, const int *gone, const weft_hop *const *come,
                              int count)
{
    double longest = 0, sum = t->sum;
    for (int k = 0; k < LONGEST && k < t->n; k++) {
        bool goes = false;
        for (int i = 0; i < count; i++)
            goes = goes || gone[i] == t->longest[k];
        if (!goes) {
            longest = hop_at(t, t->longest[k])->busy;
            break;
        }
    }
    for (int i = 0; i < count; i++) {
        sum += come[i]->time - t->times[gone[i]];
        longest = larger(longest, come[i]->busy);
    }
    return score_of(t, longest, sum);
}

/* Whether a move is worth a closer look: it shortens the sum, or takes the longest hop away for
 * shorter ones. This turns most of them down at little cost. */
static bool is_promising(const tour *t, double change, bool takes_longest,
                         const weft_hop *const *come, int count)
{
    const double longest = t->busiest;
    for (int i = 0; takes_longest && i < count; i++)
        takes_longest = come[i]->busy < longest;
    return takes_longest || change < 0;
}

/* Both ends of the hops at these positions. */
static void wake(tour *t, const int *gone, int count)
{
    for (int i = 0; i < count; i++)
        t->awake[at(t, gone[i])] = t->awake[at(t, gone[i] + 1)] = 1;
}

/* Reverse the peers between hops i and j, i < j. */
static bool try_reversal(tour *t, int i, int j)
{
    const weft_hop *const come[] = {between(t, at(t, i), at(t, j)),
                                    between(t, at(t, i + 1), at(t, j + 1))};
    const double change = come[0]->time + come[1]->time - t->times[i] - t->times[j];
    const int gone[] = {i, j};
    if (!is_promising(t, change, i == t->longest[0] || j == t->longest[0], come, 2) ||
        !weft_score_better(score_after(t, gone, come, 2), t->score))
        return false;
    wake(t, gone, 2);
    for (int a = i + 1, b = j; a < b; a++, b--) {
        const int kept = t->order[a];
        t->order[a] = t->order[b];
        t->order[b] = kept;
    }
    measure(t);
    return true;
}

/* Write the tour anew: behind the stretch, up to and with position j (counted from the stretch's
 * end), the stretch, the rest. The tour then begins elsewhere, which does not matter. */
static void move_stretch(tour *t, int begin, int len, int behind, bool turned)
{
    int out = 0;
    for (int k = 0; k <= behind; k++)
        t->spare[out++] = t->order[(begin + len + k) % t->n];
    for (int k = 0; k < len; k++)
        t->spare[out++] = t->order[(begin + (turned ? len - 1 - k : k)) % t->n];
    for (int k = behind + 1; k < t->n - len; k++)
        t->spare[out++] = t->order[(begin + len + k) % t->n];
    memcpy(t->order, t->spare, (size_t)t->n * sizeof(*t->order));
    measure(t);
}

/* Put the stretch elsewhere: between the `behind`-th peer after it and the next. */
static bool try_stretch(tour *t, int begin, int len, int behind)
{
    const int n = t->n, before = begin > 0 ? begin - 1 : n - 1;
    const int last = begin + len > n ? begin + len - 1 - n : begin + len - 1;
    const int to = last + 1 + behind >= n ? last + 1 + behind - n : last + 1 + behind;
    const int a = t->order[begin], b = t->order[last], c = t->order[to], d = at(t, to + 1);
    const weft_hop *const closed = between(t, t->order[before], at(t, last + 1));
    const weft_hop *const straight[] = {closed, between(t, c, a), between(t, b, d)};
    const weft_hop *const turned[] = {closed, between(t, c, b), between(t, a, d)};
    const double gain = t->times[before] + t->times[last] + t->times[to] - closed->time;
    const int gone[] = {before, last, to};
    const bool longest = before == t->longest[0] || last == t->longest[0] || to == t->longest[0];
    if (is_promising(t, straight[1]->time + straight[2]->time - gain, longest, straight, 3) &&
        weft_score_better(score_after(t, gone, straight, 3), t->score)) {
        wake(t, gone, 3);
        move_stretch(t, begin, len, behind, false);
    } else if (is_promising(t, turned[1]->time + turned[2]->time - gain, longest, turned, 3) &&
               weft_score_better(score_after(t, gone, turned, 3), t->score)) {
        wake(t, gone, 3);
        move_stretch(t, begin, len, behind, true);
    } else {
        return false;
    }
    return true;
}

/* The hops at positions p and q, in any order, around the end. */
static bool try_reversal_of(tour *t, int p, int q)
{
    p = p < 0 ? p + t->n : p;
    q = q < 0 ? q + t->n : q;
    return p != q && try_reversal(t, p < q ? p : q, p < q ? q : p);
}

/* The stretch at `begin` between the peers at positions `to` and to + 1, none of them in it. */
static bool try_stretch_to(tour *t, int begin, int len, int to)
{
    begin = begin < 0 ? begin + t->n : begin;
    const int behind = (to - begin - len + 2 * t->n) % t->n;
    return behind < t->n - len - 1 && try_stretch(t, begin, len, behind);
}

/* One move that brings a next to a peer nearer than a neighbour. */
static bool improve_from(tour *t, int a)
{
    const int *near = t->near + (size_t)a * (size_t)t->near_count, n = t->n;
    for (int side = 0; side < 2; side++) { /* a's hop to the next peer; to the one before */
        const int here = t->position[a];
        const double mine = t->times[side ? (here + n - 1) % n : here];
        for (int k = 0; k < t->near_count && between(t, a, near[k])->time < mine; k++) {
            const int there = t->position[near[k]];
            if (try_reversal_of(t, here - side, there - side))
                return true;
            for (int len = 1; len <= STRETCH && len <= n - 3; len++)
                for (int before = 0; before < 2; before++)
                    if (try_stretch_to(t, side ? here : here - len + 1, len, there - before))
                        return true;
        }
    }
    return false;
}

/* Put a stretch between a and b, the ends of the longest hop, which is at position hop. */
static bool try_filling(tour *t, int hop, int begin, int len)
{
    const int x = t->order[begin], y = t->order[(begin + len - 1) % t->n];
    const weft_hop *from_a = between(t, at(t, hop), 0), *from_b = between(t, at(t, hop + 1), 0);
    const bool straight = from_a[x].busy < t->busiest && from_b[y].busy < t->busiest;
    const bool turned = from_a[y].busy < t->busiest && from_b[x].busy < t->busiest;
    return (straight || turned) && try_stretch_to(t, begin, len, hop);
}

/* Put the stretch anywhere, if what it leaves can close. */
static bool try_leaving(tour *t, int begin, int len)
{
    const int n = t->n, first = (begin + n) % n;
    if (between(t, at(t, (first + n - 1) % n), at(t, (first + len) % n))->busy >= t->busiest)
        return false;
    for (int to = 0; to < n; to++)
        if (try_stretch_to(t, first, len, to))
            return true;
    return false;
}

/* One move that takes the longest hop away, where that matters and there is no other like it. What
 * surely brings a hop as long is left out before it is looked at. */
static bool improve_longest(tour *t)
{
    const int hop = t->longest[0], n = t->n;
    if (t->score.first <= t->sum || hop_at(t, t->longest[1])->busy >= t->busiest)
        return false;
    const weft_hop *from_a = between(t, at(t, hop), 0), *from_b = between(t, at(t, hop + 1), 0);
    for (int other = 0; other < n; other++)
        if (from_a[at(t, other)].busy < t->busiest && from_b[at(t, other + 1)].busy < t->busiest &&
            try_reversal_of(t, hop, other))
            return true;
    for (int len = 1; len <= STRETCH && len <= n - 3; len++) {
        if (try_leaving(t, hop + 1, len) || try_leaving(t, hop - len + 1, len))
            return true;
        for (int begin = 0; begin < n; begin++)
            if (try_filling(t, hop, begin, len))
                return true;
    }
    return false;
}

/* Take every move that makes the tour better, until none does. */
static void improve(tour *t)
{
    bool moved = t->n > 3;
    while (moved) {
        moved = false;
        for (int a = 0; a < t->n; a++)
            while (t->awake[a]) {
                t->awake[a] = 0;
                moved = improve_from(t, a) || moved;
            }
        moved = improve_longest(t) || moved;
    }
}

/* Always on to the nearest that was not visited; the lowest rank among equals. */
static void fill_nearest(tour *t, int start)
{
    unsigned char *visited = (unsigned char *)t->spare;
    memset(visited, 0, (size_t)t->n);
    for (int p = 0, here = start; p < t->n; p++) {
        int best = -1;
        t->order[p] = here;
        visited[here] = 1;
        for (int r = 0; r < t->n; r++)
            if (!visited[r] &&
                (best < 0 || between(t, here, r)->time < between(t, here, best)->time))
                best = r;
        here = best;
    }
    measure(t);
    memset(t->awake, 1, (size_t)t->n);
}

/* Of every peer the nearest ones, the nearest first, lower ranks first among equals. */
static void find_near(tour *t)
{
    for (int a = 0; a < t->n; a++) {
        int *near = t->near + (size_t)a * (size_t)t->near_count, known = 0;
        for (int r = 0; r < t->n; r++) {
            const double time = between(t, a, r)->time;
            int k = known;
            if (r == a)
                continue;
            for (; k > 0 && time < between(t, a, near[k - 1])->time; k--)
                if (k < t->near_count)
                    near[k] = near[k - 1];
            if (k < t->near_count)
                near[k] = r;
            known += known < t->near_count;
        }
    }
}

/* Three stretches that follow one another, b c d, become d c b: four hops change. Every other time
 * the longest hop is the first of them. */
static void kick(tour *t, weft_dice *dice, bool at_longest)
{
    const int n = t->n, most = (n - 1) / 3 < KICKED ? (n - 1) / 3 : KICKED;
    const int begin = at_longest ? t->longest[0] : (int)weft_dice_below(dice, (uint32_t)n);
    int len[3], out = begin + 1, all = 0;
    for (int i = 0; i < 3; i++)
        all += len[i] = 1 + (int)weft_dice_below(dice, (uint32_t)most);
    const int gone[] = {begin, (begin + len[0]) % n, (begin + len[0] + len[1]) % n,
                        (begin + all) % n};
    wake(t, gone, 4);
    for (int k = 0; k < all; k++)
        t->spare[k] = t->order[(begin + 1 + k) % n];
    for (int i = 2, from = all; i >= 0; i--) {
        from -= len[i];
        for (int k = 0; k < len[i]; k++)
            t->order[out++ % n] = t->spare[from + k];
    }
    measure(t);
}

/* Take the tour over when it is better than the best. */
static bool keep_better(tour *t, weft_score *found, int *best)
{
    if (!weft_score_better(t->score, *found))
        return false;
    *found = t->score;
    memcpy(best, t->order, (size_t)t->n * sizeof(*best));
    return true;
}

/* A kick and its improvement take some multiple of n steps, a start of n^2. */
static void search(tour *t, int *best)
{
    const int starts = t->n < STARTS ? t->n : STARTS, kicks = KICKS + 4 * t->n;
    weft_dice dice = weft_dice_start(0, 0);
    weft_score found = {(double)INFINITY, (double)INFINITY};
    find_near(t);
    for (int s = 0; s < starts; s++) {
        fill_nearest(t, (int)((long long)s * t->n / starts));
        improve(t);
        keep_better(t, &found, best);
    }
    for (int k = 0; k < kicks && t->n > 4; k++) {
        memcpy(t->order, best, (size_t)t->n * sizeof(*best));
        measure(t);
        kick(t, &dice, k % 2 == 1);
        improve(t);
        keep_better(t, &found, best);
    }
}

/* The same ring, beginning with rank 0, in the direction of the lower of its neighbours. */
static void write_ring(const int *order, int n, int *ret)
{
    int zero = 0;
    while (order[zero] != 0)
        zero++;
    const int next = order[(zero + 1) % n], before = order[(zero + n - 1) % n];
    for (int p = 0; p < n; p++)
        ret[p] = order[(next <= before ? zero + p : zero + n - p) % n];
}

int weft_order_ring(const weft_links *links, size_t bytes, int *ret_order)
{
    const int n = links->size;
    const fenv_t callers = weft_fp_enter();
    weft_hop *hops = weft_hops_make(links, bytes);
    const int near_count = n - 1 < NEAR ? n - 1 : NEAR;
    int *room = weft_calloc((size_t)n, (4 + (size_t)near_count) * sizeof(*room));
    double *times = weft_calloc((size_t)n, sizeof(*times));
    unsigned char *awake = weft_calloc((size_t)n, 1);
    int code = WEFT_ENOMEM;
    if (hops && room && times && awake) {
        int *best = room + 3 * (size_t)n;
        tour t = {.n = n,
                  .hops = hops,
                  .order = room,
                  .spare = room + n,
                  .position = room + 2 * (size_t)n,
                  .near = best + n,
                  .near_count = near_count,
                  .awake = awake,
                  .times = times};
        search(&t, best);
        write_ring(best, n, ret_order);
        code = WEFT_OK;
    } else {
        weft_fail(code, "ring order of %d peers: out of memory", n);
    }
    weft_free(hops);
    weft_free(room);
    weft_free(times);
    weft_free(awake);
    weft_fp_leave(&callers);
    return code;
}

int weft_order_ring_cost(const weft_links *links, size_t bytes, const int *order, double *ret)
{
    const int n = links->size;
    int code = weft_order_check("ring order", order, n);
    if (code != WEFT_OK)
        return code;
    const fenv_t callers = weft_fp_enter();
    weft_hop *hops = weft_hops_make(links, bytes);
    double longest = 0, sum = 0;
    for (int p = 0; hops && p < n; p++) {
        const weft_hop *h = &hops[(size_t)order[p] * (size_t)n + (size_t)order[(p + 1) % n]];
        longest = larger(longest, h->busy);
        sum += h->time;
    }
    if (hops)
        *ret = larger(n * longest, sum);
    else
        code = WEFT_ENOMEM;
    weft_free(hops);
    weft_fp_leave(&callers);
    return code;
}
