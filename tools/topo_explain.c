/* SPDX-License-Identifier: Apache-2.0 */
/* weft topo explain: what would run, why, and what the alternatives would cost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "topo.h"
#include "topo_worth.h"

/* clang-format off */
static const weft_cli_option options[] = {
    WEFT_TOPO_PEERS_OPTION("4"),
    {.name = "bytes", .letter = 'b', .kind = WEFT_CLI_SIZE, .metavar = "BYTES", .value = "1M",
     .min = 0, .max = 0x1p40, .help = "size as weft bench counts it: of all blocks together"},
    {.name = "algo", .kind = WEFT_CLI_TEXT, .metavar = "SPEC", .value = "auto",
     .help = "as if this one were asked for"},
    {.name = "costs", .kind = WEFT_CLI_TEXT, .metavar = "TABLE",
     .help = "cost table, like round=40e-6,byte=1e-9; else the built-in one"},
    WEFT_TOPO_QUERY_OPTIONS,
    WEFT_REPORT_OPTIONS,
    {0}};
/* clang-format on */

/* The parts of a price, in words. */
static const char *const part_names[] = {"waiting for messages", "work for messages",
                                         "sending bytes", "combining"};
enum { PARTS = sizeof(part_names) / sizeof(*part_names) };

static double part_of(const weft_candidate *c, int part)
{
    const double parts[PARTS] = {c->round_s, c->message_s, c->byte_s, c->reduce_s};
    return parts[part];
}

/* All candidates: those that fit by price, then the others. */
typedef struct answer {
    weft_candidate *all;
    int count, fits; /* fits: that can serve, those that need to be named among them */
    int free;        /* of those, that "auto" may take, or took because it is named */
} answer;

static int by_price(const void *a, const void *b)
{
    const weft_candidate *x = a, *y = b;
    const bool fits = x->why_not[0] == '\0', other = y->why_not[0] == '\0';
    if (fits != other) {
        return fits ? -1 : 1;
    }
    const bool named = x->named && !x->chosen, others = y->named && !y->chosen;
    if (named != others) {
        return named ? 1 : -1;
    }
    if (x->chosen != y->chosen && x->seconds == y->seconds) {
        return y->chosen - x->chosen;
    }
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static int ask(const weft_cli *cli, const weft_query *q, answer *ret)
{
    weft_explain *e = NULL;
    weft_candidate c = {.size = sizeof(c)};
    if (weft_explain_open(&e, q) != WEFT_OK) {
        return weft_cli_refuse(cli, "%s", weft_last_error()->message);
    }
    while (weft_explain_get(e, ret->count, &c)) {
        ret->count++;
    }
    ret->all = calloc((size_t)ret->count + 1, sizeof(*ret->all));
    for (int i = 0; ret->all != NULL && i < ret->count; i++) {
        ret->all[i].size = sizeof(*ret->all);
        (void)weft_explain_get(e, i, &ret->all[i]);
        ret->fits += ret->all[i].why_not[0] == '\0';
        ret->free += ret->all[i].why_not[0] == '\0' && (!ret->all[i].named || ret->all[i].chosen);
    }
    weft_explain_close(&e);
    if (ret->all == NULL) {
        (void)fprintf(stderr, "weft topo explain: out of memory\n");
        return WEFT_EXIT_WRONG;
    }
    qsort(ret->all, (size_t)ret->count, sizeof(*ret->all), by_price);
    return 0;
}

static const weft_candidate *chosen(const answer *a)
{
    for (int i = 0; i < a->count; i++) {
        if (a->all[i].chosen) {
            return &a->all[i];
        }
    }
    return NULL;
}

static void print_table(FILE *to, const answer *a)
{
    static const char *const heads[] = {
        "<",     "<algorithm", "takes",      "times",   "rounds",      "messages", "most/peer",
        "lanes", "= waiting",  "+ messages", "+ bytes", "+ combining", NULL};
    weft_table *table = weft_table_new(heads);
    const double least = a->fits > 0 ? a->all[0].seconds : 0.0;
    for (int i = 0; i < a->fits; i++) {
        const weft_candidate *c = &a->all[i];
        char text[32];
        weft_table_cell(table, "%s", c->chosen ? "*" : c->named ? "n" : " ");
        weft_table_cell(table, "%s", c->algo);
        weft_topo_seconds_text(c->seconds, text);
        weft_table_cell(table, "%s", text);
        weft_table_cell(table, "%.2f", least > 0.0 ? c->seconds / least : 1.0);
        weft_table_cell(table, "%.0f", c->rounds);
        weft_table_cell(table, "%.0f", c->messages);
        weft_topo_bytes_text(c->bytes, text);
        weft_table_cell(table, "%s", text);
        weft_table_cell(table, "%llu", (unsigned long long)c->lanes);
        for (int part = 0; part < PARTS; part++) {
            weft_topo_seconds_text(part_of(c, part), text);
            weft_table_cell(table, "%s", text);
        }
    }
    weft_table_print(table, to);
    weft_table_free(table);
    if (a->fits > a->free) {
        (void)fprintf(to, "  n: runs only where it is named (or fidelity and residual allow it)\n");
    }
    for (int i = a->fits; i < a->count; i++) {
        (void)fprintf(to, "  %s cannot serve: it %s\n", a->all[i].algo, a->all[i].why_not);
    }
}

/* Where the one loses most to the other. */
static void print_difference(FILE *to, const weft_candidate *best, const weft_candidate *other)
{
    int most = 0;
    char more[32];
    for (int part = 1; part < PARTS; part++) {
        if (part_of(other, part) - part_of(best, part) >
            part_of(other, most) - part_of(best, most)) {
            most = part;
        }
    }
    weft_topo_seconds_text(part_of(other, most) - part_of(best, most), more);
    (void)fprintf(to, "%s would take %.2f times as long: %s more for %s.\n", other->algo,
                  best->seconds > 0.0 ? other->seconds / best->seconds : 1.0, more,
                  part_names[most]);
}

static void print_reason(FILE *to, const answer *a, const weft_candidate *c, const char *asked)
{
    char text[32];
    if (c == NULL) {
        (void)fprintf(to, "nothing runs: %s\n",
                      strcmp(asked, "auto") == 0 ? "no algorithm can serve"
                                                 : "the one that is asked for cannot serve");
        return;
    }
    weft_topo_seconds_text(c->seconds, text);
    if (strcmp(asked, "auto") != 0) {
        (void)fprintf(to, "%s runs because it is asked for: %s.\n", c->algo, text);
        if (c != &a->all[0] && !a->all[0].named) {
            (void)fprintf(to, "%s would be the cheapest. ", a->all[0].algo);
            print_difference(to, &a->all[0], c);
        }
        return;
    }
    (void)fprintf(to, "%s runs: with %s it is the cheapest of %d that can serve.\n", c->algo, text,
                  a->free);
    if (a->free > 1) {
        print_difference(to, c, &a->all[1]);
    }
}

static json_t *candidate_json(const weft_candidate *c)
{
    if (c->why_not[0] != '\0') {
        return json_pack("{s:s, s:b, s:s}", "algo", c->algo, "fits", 0, "why_not", c->why_not);
    }
    return json_pack(
        "{s:s, s:b, s:b, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}",
        "algo", c->algo, "fits", 1, "chosen", c->chosen, "named", c->named, "seconds", c->seconds,
        "round_s", c->round_s, "message_s", c->message_s, "byte_s", c->byte_s, "reduce_s",
        c->reduce_s, "rounds", c->rounds, "messages", c->messages, "bytes", c->bytes,
        "serial_bytes", c->serial_bytes, "reduced_bytes", c->reduced_bytes, "peers", c->peers,
        "lane", (json_int_t)c->lane, "lanes", (json_int_t)c->lanes);
}

/* worth: NULL: nothing to compare. */
static json_t *answer_json(const weft_cli *cli, const weft_query *q, size_t bytes, const answer *a,
                           const weft_worth *worth)
{
    json_t *all = json_array();
    const weft_candidate *c = chosen(a);
    for (int i = 0; i < a->count; i++) {
        (void)json_array_append_new(all, candidate_json(&a->all[i]));
    }
    return json_pack("{s:s, s:s, s:i, s:I, s:I, s:s, s:s, s:s, s:s?, s:o, s:o?}", "weft",
                     weft_version(), "collective", q->collective, "peers", q->peers, "bytes",
                     (json_int_t)bytes, "count", (json_int_t)q->count, "dtype",
                     weft_dtype_name(q->dtype), "codec", weft_topo_codec(q), "asked",
                     weft_cli_text(cli, "algo"), "chosen", c != NULL ? c->algo : NULL, "candidates",
                     all, "worth", worth != NULL ? weft_topo_worth_json(worth) : NULL);
}

static int tell(const weft_cli *cli, const weft_query *q, size_t bytes)
{
    const char *path = weft_cli_text(cli, "json");
    FILE *to = weft_report_text(path);
    answer a = {NULL, 0, 0, 0};
    char why[256], text[32];
    int status = ask(cli, q, &a);
    if (status == 0) {
        weft_topo_bytes_text((double)bytes, text);
        (void)fprintf(to, "# weft %s: %s of %s, %llu %s, %d peers, codec %s\n", weft_version(),
                      q->collective, text, (unsigned long long)q->count, weft_dtype_name(q->dtype),
                      q->peers, weft_topo_codec(q));
        print_table(to, &a);
        print_reason(to, &a, chosen(&a), weft_cli_text(cli, "algo"));
        weft_worth worth;
        const bool compared = chosen(&a) != NULL && weft_topo_worth(q, &worth);
        if (compared) {
            weft_topo_print_worth(to, &worth);
        }
        json_t *all = answer_json(cli, q, bytes, &a, compared ? &worth : NULL);
        if (weft_report_json(path, all, why) != 0) {
            status = weft_cli_refuse(cli, "%s", why);
        } else if (chosen(&a) == NULL) {
            status = WEFT_EXIT_USAGE; /* as the operation itself would end */
        }
    }
    free(a.all);
    return status;
}

static int run(const weft_cli *cli)
{
    const char *collective = weft_cli_args(cli)[0];
    weft_topo_query t;
    size_t bytes = 0;
    if (!weft_topo_collective(cli, collective) || !weft_topo_query_read(cli, collective, &t)) {
        return WEFT_EXIT_USAGE;
    }
    t.q.algo = weft_cli_text(cli, "algo");
    t.q.costs = weft_cli_text(cli, "costs");
    t.q.count = weft_topo_count(&t.q, weft_cli_size(cli, "bytes"), &bytes);
    const int status = tell(cli, &t.q, bytes);
    weft_topo_query_free(&t);
    return status;
}

const weft_command weft_topo_explain = {
    .name = "topo explain",
    .summary = "what would run, why, and what the alternatives would cost",
    .usage = "COLLECTIVE [OPTIONS]",
    .about = "Times are prices under the cost table, the ones that choose; `weft topo sim` "
             "simulates a network.\n",
    .example = "weft topo explain allreduce -n 8 --bytes 16M --codec qsgd:levels=1",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run};
