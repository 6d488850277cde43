/* SPDX-License-Identifier: Apache-2.0 */
/* weft topo verify: prove the plans of every size in a range. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/info.h>
#include <weft/plan.h>

#include "report.h"
#include "topo.h"

enum {
    PEERS_MOST = 1024,
    SPEC_MOST = 600,
    TEXT_MOST = 400,
    THREADS_MOST = 256,
    TOLD = 20,
    ELEMENTS = 1009
};

#define PLAN "plan:path="

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "peers", .letter = 'n', .kind = WEFT_CLI_TEXT, .metavar = "A..B", .value = "1..16",
     .help = "numbers of peers: a range, or one"},
    {.name = "collective", .letter = 'c', .kind = WEFT_CLI_TEXT, .metavar = "C",
     .help = "only the algorithms of this one"},
    {.name = "threads", .letter = 'j', .kind = WEFT_CLI_WHOLE, .metavar = "N", .value = "0",
     .min = 0, .max = THREADS_MOST, .help = "that prove at the same time; 0: one a processor"},
    WEFT_REPORT_OPTIONS,
    {0}};
/* clang-format on */

/* An algorithm, as the table has it. */
typedef struct row {
    weft_info info;
    char spec[SPEC_MOST]; /* what was asked for; "": its defaults and variants of them */
    bool graph;           /* keeps to a topology */
    bool plan;            /* a plan file, for one root */
    int root;
} row;

/* One algorithm at one size. */
typedef struct task {
    const row *row;
    int peers;
    uint64_t shapes, refused, failed;
    weft_proof sum;
    char first[TEXT_MOST]; /* failure */
} task;

typedef struct work {
    task *tasks;
    int count;
    atomic_int next;
} work;

static void prove(task *t, const weft_query *q)
{
    weft_proof p = {.size = sizeof(p)};
    const int rc = weft_verify(q, &p);
    if (rc == WEFT_OK) {
        t->shapes++;
        t->sum.plans += p.plans;
        t->sum.steps += p.steps;
        t->sum.messages += p.messages;
    } else if (rc == WEFT_ENOTSUP) {
        t->refused++;
    } else if (t->failed++ == 0) {
        (void)snprintf(t->first, sizeof(t->first), "%s", weft_last_error()->message);
    }
}

static const uint64_t all_blocks[] = {1, 8, 64};
enum { BLOCKS = sizeof(all_blocks) / sizeof(*all_blocks) };

static bool rooted(const char *collective)
{
    return strcmp(collective, "broadcast") == 0 || strcmp(collective, "reduce") == 0 ||
           strcmp(collective, "gather") == 0 || strcmp(collective, "scatter") == 0;
}

/* Every number of elements, on every edge, from every root. */
static void prove_shapes(task *t, weft_query q)
{
    const uint64_t n = (uint64_t)q.peers;
    const uint64_t counts[] = {0, 1, n - 1, n, n + 1, ELEMENTS};
    const int roots[] = {0, q.peers / 2, q.peers - 1};
    const bool none = strcmp(q.collective, "barrier") == 0;
    for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
        bool known = none && c > 0;
        for (size_t k = 0; k < c && !known; k++) {
            known = counts[k] == counts[c];
        }
        for (size_t b = 0; !known && b < (none ? 1 : BLOCKS); b++) {
            for (int r = 0; r < 3; r++) {
                if (r > 0 && (!rooted(q.collective) || roots[r] == roots[r - 1])) {
                    continue;
                }
                q.count = counts[c];
                q.lane = q.count > 0 ? q.count : 1;
                q.block = all_blocks[b];
                q.root = roots[r];
                prove(t, &q);
            }
        }
    }
}

/* Blocks of different lengths, peers on several hosts, in another order, several lanes. */
static void prove_settings(task *t, weft_query q)
{
    int *hosts = calloc((size_t)q.peers, sizeof(*hosts));
    int *order = calloc((size_t)q.peers, sizeof(*order));
    if (hosts == NULL || order == NULL) {
        t->failed++;
        (void)snprintf(t->first, sizeof(t->first), "out of memory");
    } else {
        q.count = ELEMENTS;
        q.block = 8;
        q.root = rooted(q.collective) ? q.peers / 2 : 0;
        q.lane = ELEMENTS / 2;
        prove(t, &q);
        q.lane = ELEMENTS;
        if (weft_topo_has_blocks(q.collective)) {
            q.ragged = 1;
            prove(t, &q);
            q.ragged = 0;
        }
        q.hosts = hosts;
        for (int hosts_most = 2; hosts_most <= 4; hosts_most++) {
            for (int r = 0; r < q.peers; r++) { /* beside each other, unequal; then dealt out */
                hosts[r] = hosts_most < 4 ? r * hosts_most / (q.peers + 1) : r % hosts_most;
                hosts[r] = hosts[r] < q.peers ? hosts[r] : q.peers - 1;
            }
            prove(t, &q);
        }
        q.hosts = NULL;
        for (int i = 0; i < q.peers; i++) {
            order[i] = (i % 2 == 0 ? i / 2 : q.peers - 1 - i / 2);
        }
        q.order = order;
        prove(t, &q);
    }
    free(hosts);
    free(order);
}

/* Each parameter by itself: small numbers, every word. */
static void prove_parameters(task *t, weft_query q)
{
    char spec[SPEC_MOST];
    q.algo = spec;
    q.count = strcmp(q.collective, "barrier") == 0 ? 0 : ELEMENTS;
    q.lane = ELEMENTS;
    q.block = 8;
    for (const weft_param *p = t->row->info.params; p->key != NULL; p++) {
        const char *word = p->choices;
        for (int value = 1; word == NULL && value <= 5; value++) {
            if (value >= p->min && value <= p->max) {
                (void)snprintf(spec, sizeof(spec), "%s:%s=%d", t->row->info.name, p->key, value);
                prove(t, &q);
            }
        }
        while (word != NULL && *word != '\0') {
            const size_t len = strcspn(word, "|");
            (void)snprintf(spec, sizeof(spec), "%s:%s=%.*s", t->row->info.name, p->key, (int)len,
                           word);
            prove(t, &q);
            word += len + (word[len] == '|');
        }
    }
}

/* Along every topology that there is of this size. */
static void prove_topologies(task *t, weft_query q)
{
    const uint64_t counts[] = {0, (uint64_t)q.peers + 1, ELEMENTS};
    const int roots[] = {0, q.peers / 2, q.peers - 1};
    const bool none = strcmp(q.collective, "barrier") == 0;
    weft_info info;
    for (int i = 0; weft_topo_topology_at(i, &info); i++) {
        weft_topology *topology = NULL;
        if (weft_topology_open(&topology, info.name, q.peers) != WEFT_OK) {
            continue; /* a file, or no such graph of this size */
        }
        q.topology = topology;
        q.block = 8;
        for (int c = 0; c < (none ? 1 : 3); c++) {
            for (int r = 0; r < 3; r++) {
                if (r == 0 || (rooted(q.collective) && roots[r] != roots[r - 1])) {
                    q.count = counts[c];
                    q.lane = q.count > 0 ? q.count : 1;
                    q.root = roots[r];
                    prove(t, &q);
                }
            }
        }
        weft_topology_close(&topology);
    }
}

/* A file's plan: for its own root, in one lane and in several. */
static void prove_plan(task *t, weft_query q)
{
    const uint64_t counts[] = {0, 1, (uint64_t)q.peers + 1, ELEMENTS};
    const bool none = strcmp(q.collective, "barrier") == 0;
    q.root = t->row->root;
    for (int c = 0; c < (none ? 1 : 4); c++) {
        for (size_t b = 0; b < (none ? 1 : BLOCKS); b++) {
            q.count = counts[c];
            q.block = all_blocks[b];
            q.lane = q.count > 0 ? q.count : 1;
            prove(t, &q);
        }
    }
    q.lane = none ? 1 : ELEMENTS / 2;
    prove(t, &q);
}

static void do_task(task *t)
{
    const row *r = t->row;
    const weft_query q = {.size = sizeof(q),
                          .collective = r->info.scope,
                          .algo = r->spec[0] != '\0' ? r->spec : r->info.name,
                          .peers = t->peers,
                          .dtype = WEFT_F32};
    if (r->plan || r->graph) {
        (r->plan ? prove_plan : prove_topologies)(t, q);
        return;
    }
    prove_shapes(t, q);
    if (strcmp(q.collective, "barrier") != 0) {
        prove_settings(t, q);
    }
    if (r->spec[0] == '\0') {
        prove_parameters(t, q);
    }
}

static void *worker(void *user)
{
    work *w = user;
    int at;
    while ((at = atomic_fetch_add(&w->next, 1)) < w->count) {
        weft_progress("%d of %d …", at, w->count);
        do_task(&w->tasks[at]);
    }
    return NULL;
}

/* This thread works too. */
static void do_all(work *w, int threads)
{
    pthread_t others[THREADS_MOST];
    int started = 0;
    while (started + 1 < threads && started + 1 < w->count &&
           pthread_create(&others[started], NULL, worker, w) == 0) {
        started++;
    }
    (void)worker(w);
    for (int i = 0; i < started; i++) {
        (void)pthread_join(others[i], NULL);
    }
    weft_progress_end();
}

/* A plan file: for one collective and number of peers. 0, or the exit status after telling. */
static int choose_plan(const weft_cli *cli, const char *spec, row *ret, int *first, int *last)
{
    weft_plan_facts facts = {.size = sizeof(facts)};
    const int rc = weft_plan_inspect(spec + strlen(PLAN), &facts);
    if (rc != WEFT_OK) {
        (void)weft_cli_refuse(cli, "%s", weft_last_error()->message);
        return weft_exit_of(rc); /* a wrong file is bad input */
    }
    if (weft_cli_given(cli, "peers") && (*first != facts.peers || *last != facts.peers)) {
        return weft_cli_refuse(cli, "the plan is for %d peers, %s says %s", facts.peers,
                               weft_cli_name(cli, "peers"), weft_cli_text(cli, "peers"));
    }
    ret->info = (weft_info){.name = "plan", .scope = facts.collective};
    ret->plan = true;
    ret->root = facts.root >= 0 ? facts.root : 0;
    (void)snprintf(ret->spec, sizeof(ret->spec), "%s", spec);
    *first = *last = facts.peers;
    return 0;
}

/* The algorithms asked for. 0, or the exit status after telling. */
static int choose_rows(const weft_cli *cli, row *rows, int cap, int *ret_count)
{
    const char *collective = weft_cli_text(cli, "collective");
    const char *spec = weft_cli_args(cli)[0];
    const char *names[129] = {NULL};
    int count = 0, seen = 0;
    weft_info info;
    if (collective != NULL && !weft_topo_collective(cli, collective)) {
        return WEFT_EXIT_USAGE;
    }
    for (int i = 0; weft_info_get(WEFT_FAMILY_ALGO, i, &info) && count < cap; i++) {
        if (collective != NULL && strcmp(collective, info.scope) != 0) {
            continue;
        }
        names[seen] = info.name;
        seen += seen < 128;
        const size_t len = spec != NULL ? strcspn(spec, ":") : 0;
        if (spec != NULL && (strlen(info.name) != len || strncmp(spec, info.name, len) != 0)) {
            continue;
        }
        rows[count].info = info;
        rows[count].graph = weft_topo_needs_topology(&info);
        (void)snprintf(rows[count].spec, sizeof(rows[count].spec), "%s",
                       spec != NULL && spec[len] == ':' ? spec : "");
        count++;
    }
    names[seen] = NULL;
    if (count == 0) {
        return weft_cli_refuse(cli, "unknown algorithm '%s'; nearest: %s", spec,
                               weft_cli_nearest(spec, names));
    }
    *ret_count = count;
    return 0;
}

/* All sizes of one row. */
static task total(const work *w, const row *r)
{
    task sum = {.row = r};
    for (int i = 0; i < w->count; i++) {
        const task *t = &w->tasks[i];
        if (t->row != r) {
            continue;
        }
        sum.shapes += t->shapes;
        sum.refused += t->refused;
        sum.sum.plans += t->sum.plans;
        sum.sum.steps += t->sum.steps;
        sum.sum.messages += t->sum.messages;
        sum.failed += t->failed;
    }
    return sum;
}

static json_t *row_json(const task *t)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "collective", t->row->info.scope,
                     "algorithm", t->row->spec[0] != '\0' ? t->row->spec : t->row->info.name,
                     "shapes", (json_int_t)t->shapes, "plans", (json_int_t)t->sum.plans, "steps",
                     (json_int_t)t->sum.steps, "messages", (json_int_t)t->sum.messages, "refused",
                     (json_int_t)t->refused, "failed", (json_int_t)t->failed);
}

/* Failures, each size's first; returns how many proofs failed. */
static uint64_t tell_failures(const work *w, FILE *to, json_t *all)
{
    uint64_t failed = 0;
    int told = 0;
    for (int i = 0; i < w->count; i++) {
        const task *t = &w->tasks[i];
        failed += t->failed;
        if (t->failed == 0) {
            continue;
        }
        (void)json_array_append_new(all, json_string(t->first));
        if (told++ < TOLD) {
            (void)fprintf(to, "FAILED %s\n", t->first);
        }
    }
    if (told > TOLD) {
        (void)fprintf(to, "and at %d more sizes\n", told - TOLD);
    }
    return failed;
}

static int report(const weft_cli *cli, const work *w, const row *rows, int count)
{
    const int last = w->tasks[0].peers, first = w->tasks[w->count - 1].peers;
    static const char *const heads[] = {"<collective", "<algorithm", "shapes", "plans",
                                        "messages",    "refused",    "failed", NULL};
    const char *path = weft_cli_text(cli, "json");
    FILE *to = weft_report_text(path);
    weft_table *table = weft_table_new(heads);
    json_t *list = json_array(), *failures = json_array();
    uint64_t plans = 0, shapes = 0, messages = 0;
    char why[256], sizes[32];
    (void)snprintf(sizes, sizeof(sizes), "%d..%d", first, last);
    sizes[first == last ? strcspn(sizes, ".") : strlen(sizes)] = '\0';
    for (int i = 0; i < count; i++) {
        const task t = total(w, &rows[i]);
        weft_table_cell(table, "%s", rows[i].info.scope);
        weft_table_cell(table, "%s", rows[i].spec[0] != '\0' ? rows[i].spec : rows[i].info.name);
        weft_table_cell(table, "%llu", (unsigned long long)t.shapes);
        weft_table_cell(table, "%llu", (unsigned long long)t.sum.plans);
        weft_table_cell(table, "%llu", (unsigned long long)t.sum.messages);
        weft_table_cell(table, "%llu", (unsigned long long)t.refused);
        weft_table_cell(table, "%llu", (unsigned long long)t.failed);
        (void)json_array_append_new(list, row_json(&t));
        plans += t.sum.plans;
        shapes += t.shapes;
        messages += t.sum.messages;
    }
    weft_table_print(table, to);
    weft_table_free(table);
    const uint64_t failed = tell_failures(w, to, failures);
    (void)fprintf(to,
                  "# -n %s: %llu plans of %llu shapes proved, %llu messages; price = count in all; "
                  "%llu failures\n",
                  sizes, (unsigned long long)plans, (unsigned long long)shapes,
                  (unsigned long long)messages, (unsigned long long)failed);
    json_t *root = json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:o}", "weft", weft_version(),
                             "sizes", sizes, "rows", list, "plans", (json_int_t)plans, "shapes",
                             (json_int_t)shapes, "messages", (json_int_t)messages, "failed",
                             (json_int_t)failed, "failures", failures);
    if (weft_report_json(path, root, why) != 0) {
        return weft_cli_refuse(cli, "%s", why);
    }
    return failed > 0 ? WEFT_EXIT_WRONG : WEFT_EXIT_DONE;
}

static int run(const weft_cli *cli)
{
    enum { ROWS_MOST = 256 };
    const int64_t asked = weft_cli_whole(cli, "threads");
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const int threads = asked > 0                            ? (int)asked
                        : cores > 0 && cores <= THREADS_MOST ? (int)cores
                                                             : 1;
    int first = 0, last = 0, count = 0;
    row *rows = calloc(ROWS_MOST, sizeof(*rows));
    const char *spec = weft_cli_args(cli)[0];
    int status =
        rows != NULL && weft_topo_read_span(cli, "peers", &first, &last) ? 0 : WEFT_EXIT_USAGE;
    if (status == 0 && last > PEERS_MOST) {
        status =
            weft_cli_refuse(cli, "%s %s: plans of %d peers are the most that is proved",
                            weft_cli_name(cli, "peers"), weft_cli_text(cli, "peers"), PEERS_MOST);
    } else if (status == 0 && spec != NULL && strncmp(spec, PLAN, strlen(PLAN)) == 0) {
        status = choose_plan(cli, spec, &rows[count++], &first, &last);
    } else if (status == 0) {
        status = choose_rows(cli, rows, ROWS_MOST, &count);
    }
    if (status != 0) {
        free(rows);
        return status;
    }
    work w = {.count = count * (last - first + 1)};
    w.tasks = calloc((size_t)w.count + 1, sizeof(*w.tasks));
    if (w.tasks == NULL) {
        free(rows);
        return weft_cli_refuse(cli, "no memory for %d sizes", w.count);
    }
    /* The largest first, so that no thread is left with them at the end. */
    for (int i = 0; i < w.count; i++) {
        w.tasks[i] = (task){.row = &rows[i % count], .peers = last - i / count};
    }
    do_all(&w, threads);
    status = report(cli, &w, rows, count);
    free(w.tasks);
    free(rows);
    return status;
}

const weft_command weft_topo_verify = {
    .name = "topo verify",
    .summary = "prove the plans of every size in a range",
    .usage = "[ALGO | plan:path=FILE] [OPTIONS]",
    .about = "In every interleaving: nobody waits for ever, every result holds every contribution "
             "once, all peers\nsum in the same order, in place too; and the price says what is "
             "counted. At each size several counts,\nedges, roots, hosts, orders, lane lengths, "
             "topologies and parameters. Exit status 1 when a proof fails; a plan file that is "
             "wrong is bad "
             "input.\n",
    .example = "weft topo verify ring -n 1..64",
    .options = options,
    .args_max = 1,
    .run = run};
