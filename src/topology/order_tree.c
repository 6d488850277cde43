/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An order for trees: who sits at which position of a binomial or k-ary tree.
 *
 * The score is the time until the last has the message, weft/topology.h, then the sum of all hops.
 * Two kinds of first orders: greedy, from every root; and a good ring laid along the tree in depth
 * first order, at every rotation and both ways, so that peers near each other share a subtree. The
 * best of each kind is improved by exchanging two peers while that helps; the better of these by
 * doing so again after a few random exchanges. Each of the three has n^3 / 2 steps to spend.
 */
#include <math.h>
#include <string.h>

#include "base/fpenv.h"
#include "base/mem.h"
#include "base/status.h"
#include "topology/dice.h"
#include "topology/order.h"

enum { KICKS = 1000, KICK_SWAPS = 3 };

/* Position `parent` serves `child`. */
typedef struct serving {
    int parent, child;
} serving;

typedef struct tree {
    int n;
    const weft_hop *hops;
    serving *serve; /* n - 1: by parent, each parent's in the order of serving */
    int *first;     /* n + 1: those of position v are serve[first[v]] … serve[first[v + 1] - 1] */
    int *depth_first; /* positions in depth first order */
    double *clock;    /* room: when a position can send next */
    int *order, *spare;
    weft_score score;
    size_t steps; /* left to spend: one for each peer that a score looks at */
} tree;

static const weft_hop *between(const tree *t, int a, int b)
{
    return &t->hops[(size_t)a * (size_t)t->n + (size_t)b];
}

/* Children of v in the order of serving, as in weft/topology.h; i counts them, -1 behind the last.
 */
static int child_of(int arity, int n, int v, int i)
{
    if (arity > 0)
        return i < arity && (long long)v * arity + 1 + i < n ? v * arity + 1 + i : -1;
    int bit = 1;
    while (v == 0 ? bit < n : !(v & bit))
        bit *= 2;
    for (bit /= 2; bit > 0; bit /= 2)
        if (v + bit < n && i-- == 0)
            return v + bit;
    return -1;
}

static void shape(tree *t, int arity)
{
    int count = 0, top = 0;
    int *stack = t->spare;
    for (int v = 0; v < t->n; v++) {
        t->first[v] = count;
        for (int i = 0, child; (child = child_of(arity, t->n, v, i)) >= 0; i++)
            t->serve[count++] = (serving){.parent = v, .child = child};
    }
    t->first[t->n] = count;
    stack[top++] = 0;
    for (int out = 0; top > 0;) {
        const int v = stack[--top];
        t->depth_first[out++] = v;
        for (int i = t->first[v + 1]; i-- > t->first[v];)
            stack[top++] = t->serve[i].child;
    }
}

/* The order's score; a parent's servings come behind that which serves it. An order whose time
 * comes out longer than `enough` is left there: its score is worse than any with that time. */
static weft_score score_of(tree *t, double enough)
{
    weft_score s = {0, 0};
    int i = 0;
    t->clock[0] = 0;
    for (; i < t->n - 1 && s.first <= enough; i++) {
        const serving *x = &t->serve[i];
        const weft_hop *h = between(t, t->order[x->parent], t->order[x->child]);
        const double begin = t->clock[x->parent];
        t->clock[x->parent] = begin + h->busy;
        t->clock[x->child] = begin + h->time;
        s.first = t->clock[x->child] > s.first ? t->clock[x->child] : s.first;
        s.then += h->time;
    }
    t->steps -= t->steps < (size_t)i + 1 ? t->steps : (size_t)i + 1;
    return s;
}

static void swap(int *order, int i, int j)
{
    const int kept = order[i];
    order[i] = order[j];
    order[j] = kept;
}

/* The position that can be served first takes the peer that it reaches fastest. */
static void fill_greedy(tree *t, int root)
{
    int *next = t->spare; /* serving of each position that comes next; of none: first of the next */
    unsigned char *taken = (unsigned char *)(t->spare + t->n);
    memset(taken, 0, (size_t)t->n);
    for (int v = 0; v < t->n; v++)
        next[v] = -1; /* not served yet */
    t->order[0] = root;
    t->clock[0] = 0;
    next[0] = 0;
    taken[root] = 1;
    for (int placed = 1; placed < t->n; placed++) {
        int parent = -1, best = -1;
        for (int v = 0; v < t->n; v++)
            if (next[v] >= 0 && next[v] < t->first[v + 1] &&
                (parent < 0 || t->clock[v] < t->clock[parent]))
                parent = v;
        const int child = t->serve[next[parent]++].child;
        const weft_hop *row = between(t, t->order[parent], 0);
        for (int r = 0; r < t->n; r++)
            if (!taken[r] && (best < 0 || row[r].time < row[best].time))
                best = r;
        t->order[child] = best;
        taken[best] = 1;
        t->clock[child] = t->clock[parent] + row[best].time;
        t->clock[parent] += row[best].busy;
        next[child] = t->first[child];
    }
}

static void fill_along(tree *t, const int *ring, int begin, bool turned)
{
    for (int k = 0; k < t->n; k++)
        t->order[t->depth_first[k]] = ring[(turned ? begin + t->n - k : begin + k) % t->n];
}

/* Keep the order in best when it is better than what is there. */
static void keep_better(tree *t, weft_score *score, int *best)
{
    const weft_score s = score_of(t, score->first);
    if (weft_score_better(s, *score)) {
        *score = s;
        memcpy(best, t->order, (size_t)t->n * sizeof(*best));
    }
}

/* Exchange two peers wherever that helps, until it does nowhere or the steps are spent. */
static void improve(tree *t)
{
    t->score = score_of(t, (double)INFINITY);
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < t->n; i++)
            for (int j = i + 1; j < t->n && t->steps > 0; j++) {
                swap(t->order, i, j);
                const weft_score s = score_of(t, t->score.first);
                if (weft_score_better(s, t->score)) {
                    t->score = s;
                    moved = true;
                } else {
                    swap(t->order, i, j);
                }
            }
    }
}

/* Improve the order in t and keep it in best when it is better. */
static void improve_and_keep(tree *t, weft_score *score, int *best)
{
    improve(t);
    keep_better(t, score, best);
}

static void give_steps(tree *t)
{
    enum { LEAST = 1 << 20 };
    t->steps = (size_t)t->n * (size_t)t->n * (size_t)t->n / 2 + LEAST;
}

/* ring: a good ring; first: room; both and best of n. */
static void search(tree *t, const int *ring, int *first, int *best)
{
    const size_t bytes = (size_t)t->n * sizeof(*best);
    const weft_score none = {(double)INFINITY, (double)INFINITY};
    weft_score found = none, score = none;
    for (int root = 0; root < t->n; root++) {
        fill_greedy(t, root);
        keep_better(t, &score, first);
    }
    memcpy(t->order, first, bytes);
    give_steps(t);
    improve_and_keep(t, &found, best);
    score = none;
    for (int begin = 0; begin < t->n; begin++)
        for (int turned = 0; turned < 2; turned++) {
            fill_along(t, ring, begin, turned);
            keep_better(t, &score, first);
        }
    memcpy(t->order, first, bytes);
    give_steps(t);
    improve_and_keep(t, &found, best);
    weft_dice dice = weft_dice_start(0, 1);
    give_steps(t);
    for (int k = 0; k < KICKS && t->steps > 0 && t->n > 2; k++) {
        memcpy(t->order, best, bytes);
        for (int i = 0; i < KICK_SWAPS; i++) {
            const int a = (int)weft_dice_below(&dice, (uint32_t)t->n);
            swap(t->order, a, (int)weft_dice_below(&dice, (uint32_t)t->n));
        }
        improve_and_keep(t, &found, best);
    }
}

static int check_arity(int arity)
{
    if (arity >= 0 && arity <= WEFT_GRAPH_PEERS)
        return WEFT_OK;
    return weft_fail(WEFT_EINVAL, "tree order: arity %d (0 to %d)", arity, (int)WEFT_GRAPH_PEERS);
}

static void free_tree(tree *t)
{
    weft_free((void *)t->hops);
    weft_free(t->serve);
    weft_free(t->first);
    weft_free(t->clock);
}

/* t->first is the beginning of all room of ints. 0 or WEFT_ENOMEM, with nothing left to free. */
static int make_tree(tree *ret, const weft_links *links, int arity, size_t bytes)
{
    const size_t n = (size_t)links->size;
    tree t = {.n = links->size, .hops = weft_hops_make(links, bytes)};
    t.serve = weft_calloc(n, sizeof(*t.serve));
    t.first = weft_calloc(5 * n + 1, sizeof(*t.first));
    t.clock = weft_calloc(n, sizeof(*t.clock));
    if (!t.hops || !t.serve || !t.first || !t.clock) {
        free_tree(&t);
        return weft_fail(WEFT_ENOMEM, "tree order of %zu peers: out of memory", n);
    }
    t.depth_first = t.first + n + 1;
    t.order = t.depth_first + n;
    t.spare = t.order + n;
    shape(&t, arity);
    *ret = t;
    return WEFT_OK;
}

int weft_order_tree(const weft_links *links, int arity, size_t bytes, int *ret_order)
{
    const size_t n = (size_t)links->size;
    tree t;
    int code = check_arity(arity);
    if (code != WEFT_OK)
        return code;
    int *room = weft_calloc(n, 3 * sizeof(*room));
    if (!room)
        return weft_fail(WEFT_ENOMEM, "tree order of %zu peers: out of memory", n);
    const fenv_t callers = weft_fp_enter();
    code = weft_order_ring(links, bytes, room);
    if (code == WEFT_OK)
        code = make_tree(&t, links, arity, bytes);
    if (code == WEFT_OK) {
        search(&t, room, room + n, room + 2 * n);
        memcpy(ret_order, room + 2 * n, n * sizeof(*ret_order));
        free_tree(&t);
    }
    weft_fp_leave(&callers);
    weft_free(room);
    return code;
}

int weft_order_tree_cost(const weft_links *links, int arity, size_t bytes, const int *order,
                         double *ret)
{
    tree t;
    int code = check_arity(arity);
    if (code == WEFT_OK)
        code = weft_order_check("tree order", order, links->size);
    if (code != WEFT_OK)
        return code;
    const fenv_t callers = weft_fp_enter();
    code = make_tree(&t, links, arity, bytes);
    if (code == WEFT_OK) {
        memcpy(t.order, order, (size_t)t.n * sizeof(*order));
        *ret = score_of(&t, (double)INFINITY).first;
        free_tree(&t);
    }
    weft_fp_leave(&callers);
    return code;
}
