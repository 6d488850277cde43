/* SPDX-License-Identifier: Apache-2.0 */
#include "train_report.h"

#include <math.h>
#include <string.h>

#include <weft/types.h>

#include "report.h"

#define CELL 48

/* A whole number stays one in JSON. */
static json_t *label_json(double label)
{
    return label == floor(label) && fabs(label) < 0x1p53 ? json_integer((json_int_t)label)
                                                         : json_real(label);
}

static const char *shards_name(weft_shards shards)
{
    static const char *const words[] = {[WEFT_SHARDS_FILE] = "file",
                                        [WEFT_SHARDS_SHUFFLE] = "shuffle",
                                        [WEFT_SHARDS_LABEL] = "label"};

    return words[shards];
}

static json_t *data_json(const weft_train_settings *s, const weft_train_problem *problem)
{
    const weft_libsvm *d = s->data;

    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:[o,o]}", "file", s->data_path, "rows",
                     (json_int_t)d->rows, "used", (json_int_t)problem->logistic->used, "dim",
                     (json_int_t)d->dim, "nonzeros", (json_int_t)d->nonzeros, "shards",
                     shards_name(s->shards), "classes", label_json(d->classes[0]),
                     label_json(d->classes[1]));
}

static json_t *problem_json(const weft_train_problem *p)
{
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"l1", p->logistic->l1}, {"l2", p->logistic->l2}, {"L", p->L},
                   {"Lmax", p->Lmax},       {"Lrow", p->Lrow},       {"mu", p->mu},
                   {"f0", p->f0},           {"fstar", p->fstar}};
    json_t *root = json_object();

    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        json_object_set_new(root, numbers[i].key, weft_report_real(numbers[i].value));
    return root;
}

static json_t *run_json(const weft_train_settings *s, const weft_train_spec *run,
                        const weft_train_result *r, size_t dim, int peers)
{
    json_t *root = json_object();
    json_t *sums = json_array(), *model = json_array();

    json_object_set_new(root, "name", json_string(run->name));
    json_object_set_new(root, "optimizer", json_string(r->optimizer));
    json_object_set_new(root, "codec", json_string(run->codec));
    json_object_set_new(root, "algo", json_string(r->algo[0] != '\0' ? r->algo : run->algo));
    json_object_set_new(root, "fidelity", json_string("exact"));
    json_object_set_new(root, "lr", weft_report_real(r->lr));
    json_object_set_new(root, "batch",
                        run->batch == 0 ? json_string("full")
                                        : json_integer((json_int_t)run->batch));
    json_object_set_new(root, "seed", json_integer((json_int_t)s->seed));
    json_object_set_new(root, "steps", json_integer((json_int_t)weft_trace_last(&r->trace)->step));
    json_object_set_new(root, "diverged",
                        r->diverged == 0 ? json_null() : json_integer((json_int_t)r->diverged));
    for (int i = 0; i < peers; i++) {
        char text[16];

        snprintf(text, sizeof(text), "%08x", r->crc32c[i]);
        json_array_append_new(sums, json_string(text));
    }
    json_object_set_new(root, "x_crc32c", sums);
    json_object_set_new(root, "trace", weft_trace_json(&r->trace));
    for (size_t j = 0; j < dim; j++)
        json_array_append_new(model, weft_report_real((double)r->model[j]));
    json_object_set_new(root, "model", model);
    return root;
}

json_t *weft_train_json(const weft_train_settings *settings, const weft_train_problem *problem,
                        const weft_train_result *results, int peers)
{
    json_t *root = json_object();
    json_t *runs = json_array();

    for (size_t i = 0; i < settings->run_count; i++)
        json_array_append_new(
            runs, run_json(settings, &settings->runs[i], &results[i], settings->data->dim, peers));
    json_object_set_new(root, "weft", json_string(weft_version()));
    json_object_set_new(root, "data", data_json(settings, problem));
    json_object_set_new(root, "peers", json_integer(peers));
    json_object_set_new(root, "problem", problem_json(problem));
    json_object_set_new(root, "runs", runs);
    return root;
}

/* 1234567 bits as "1.23 Mbit". */
static void bits_text(double bits, char text[CELL])
{
    static const char *const units[] = {"bit", "kbit", "Mbit", "Gbit", "Tbit"};
    size_t unit = 0;

    while (bits >= 999.5 && unit + 1 < sizeof(units) / sizeof(*units)) {
        bits /= 1000;
        unit++;
    }
    snprintf(text, CELL, "%.3g %s", bits, units[unit]);
}

/* The first traced step at a gap, "-" when it was never reached. */
static void step_text(const weft_trace *trace, double gap, char text[CELL])
{
    const weft_trace_point *p = weft_trace_reached(trace, gap);

    if (p == NULL)
        snprintf(text, CELL, "-");
    else
        snprintf(text, CELL, "%llu", (unsigned long long)p->step);
}

static void print_runs(FILE *to, const weft_train_settings *s, const weft_train_result *results)
{
    static const double usual[] = {1e-3, 1e-6, 1e-9};
    const double *gaps = s->target >= 0 ? &s->target : usual;
    const size_t gap_count = s->target >= 0 ? 1 : 3;
    /* Traffic is compared at this gap: the target, else the middle one. */
    const double compared = gaps[gap_count / 2];
    char heads_text[4][CELL];
    const char *heads[12] = {"<run", "steps", "gap reached"};
    size_t at = 3;
    weft_table *table;

    for (size_t i = 0; i < gap_count; i++) {
        snprintf(heads_text[i], CELL, "steps to %g", gaps[i]);
        heads[at++] = heads_text[i];
    }
    snprintf(heads_text[3], CELL, "sent to %g", compared);
    heads[at++] = heads_text[3];
    heads[at++] = "sent in all";
    heads[at++] = "own messages";
    heads[at++] = "seconds";
    table = weft_table_new(heads);
    for (size_t r = 0; r < s->run_count; r++) {
        const weft_trace *trace = &results[r].trace;
        const weft_trace_point *last = weft_trace_last(trace), *reached;
        char text[CELL];

        weft_table_cell(table, "%s", s->runs[r].name);
        weft_table_cell(table, "%llu", (unsigned long long)last->step);
        if (results[r].diverged != 0)
            weft_table_cell(table, "diverged at %llu", (unsigned long long)results[r].diverged);
        else
            weft_table_cell(table, "%.2e", last->gap);
        for (size_t i = 0; i < gap_count; i++) {
            step_text(trace, gaps[i], text);
            weft_table_cell(table, "%s", text);
        }
        reached = weft_trace_reached(trace, compared);
        bits_text(reached != NULL ? reached->sent_bits : 0, text);
        weft_table_cell(table, "%s", reached != NULL ? text : "-");
        bits_text(last->sent_bits, text);
        weft_table_cell(table, "%s", text);
        bits_text(last->up_bits, text);
        weft_table_cell(table, "%s", text);
        weft_table_cell(table, "%.2f", last->seconds);
    }
    weft_table_print(table, to);
    weft_table_free(table);
}

void weft_train_print(FILE *to, const weft_train_settings *settings,
                      const weft_train_problem *problem, const weft_train_result *results,
                      int peers)
{
    const weft_libsvm *d = settings->data;
    const weft_logistic *p = problem->logistic;
    const size_t left = d->rows - p->used;

    fprintf(to, "data     %s: %zu rows x %zu, labels %g and %g\n", settings->data_path, d->rows,
            d->dim, d->classes[0], d->classes[1]);
    fprintf(to, "shards   %d of %zu rows, order %s", peers, p->shard_rows,
            shards_name(settings->shards));
    if (left > 0)
        fprintf(to, ", %zu row%s left out", left, left == 1 ? "" : "s");
    fprintf(to, "\nproblem  l1 %g, l2 %.9g, L %.9g, Lmax %.9g, f(0) %.9g, f* %.13g\n\n", p->l1,
            p->l2, problem->L, problem->Lmax, problem->f0, problem->fstar);
    print_runs(to, settings, results);
    for (size_t r = 0; r < settings->run_count; r++) {
        if (results[r].equal)
            continue;
        fprintf(to, "run '%s': the models differ between peers\n", settings->runs[r].name);
    }
}
