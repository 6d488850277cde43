/* SPDX-License-Identifier: Apache-2.0 */
#include "train_report.h"

#include <math.h>
#include <string.h>

#include <weft/types.h>

#include "report.h"
#include "train_check.h"

#define CELL 48
#define MODEL_MAX 131072 /* numbers of a model that JSON holds; of a larger one there are none */

/* A whole number stays one in JSON. */
static json_t *label_json(double label)
{
    return label == floor(label) && fabs(label) < 0x1p53 ? json_integer((json_int_t)label)
                                                         : json_real(label);
}

static json_t *data_json(const weft_train_settings *s, const weft_problem *problem)
{
    const weft_dataset *d = s->data;
    json_t *classes = json_array();
    json_t *root = json_pack("{s:s, s:I, s:I, s:I, s:I, s:s}", "file", s->data_path, "rows",
                             (json_int_t)d->rows, "used", (json_int_t)problem->cut.used, "dim",
                             (json_int_t)d->dim, "nonzeros", (json_int_t)d->nonzeros, "shards",
                             weft_shards_name(s->shards));

    for (size_t c = 0; c < d->class_count; c++)
        json_array_append_new(classes, label_json(d->classes[c]));
    json_object_set_new(root, "classes", classes);
    if (s->test != NULL)
        json_object_set_new(
            root, "test",
            json_pack("{s:s, s:I}", "file", s->test_path, "rows", (json_int_t)s->test->rows));
    return root;
}

static json_t *problem_json(const weft_train_settings *s, const weft_problem *p)
{
    const struct {
        const char *key;
        double value;
        bool known;
    } numbers[] = {{"l1", p->l1, true},
                   {"l2", p->l2, true},
                   {"L", p->L, p->kind->convex},
                   {"Lmax", p->Lmax, p->kind->convex},
                   {"Lrow", p->Lrow, p->kind->convex},
                   {"mu", p->mu, p->kind->convex},
                   {"f0", p->f0, true},
                   {"fstar", p->fstar, true}};
    json_t *root = json_object();
    json_t *tensors = json_array();

    json_object_set_new(root, "name", json_string(s->problem));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        json_object_set_new(root, numbers[i].key,
                            numbers[i].known ? weft_report_real(numbers[i].value) : json_null());
    json_object_set_new(root, "dim", json_integer((json_int_t)p->dim));
    for (size_t i = 0; i < p->tensor_count; i++)
        json_array_append_new(tensors, json_pack("{s:s, s:I, s:I}", "name", p->tensors[i].name,
                                                 "rows", (json_int_t)p->tensors[i].rows, "columns",
                                                 (json_int_t)p->tensors[i].columns));
    json_object_set_new(root, "tensors", tensors);
    return root;
}

static json_t *run_json(const weft_train_settings *s, const weft_train_spec *run,
                        const weft_train_result *r, size_t dim, int peers)
{
    json_t *root = json_object();
    json_t *sums = json_array(), *model = json_array();

    json_object_set_new(root, "name", json_string(run->name));
    json_object_set_new(root, "optimizer", json_string(r->optimizer));
    json_object_set_new(root, "codec", json_string(r->codec != NULL ? r->codec : ""));
    json_object_set_new(root, "algo",
                        json_string(r->algo[0] != '\0'  ? r->algo
                                    : run->algo != NULL ? run->algo
                                                        : "auto"));
    json_object_set_new(root, "fidelity",
                        json_string(weft_train_reply(run) != NULL ? "requantized" : "exact"));
    json_object_set_new(root, "lr", weft_report_real(r->lr));
    json_object_set_new(root, "schedule", json_string(run->schedule));
    json_object_set_new(root, "batch",
                        run->batch == 0 ? json_string("full")
                                        : json_integer((json_int_t)run->batch));
    if (run->epochs > 0)
        json_object_set_new(root, "epochs", json_integer((json_int_t)run->epochs));
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
    for (size_t j = 0; j < dim && dim <= MODEL_MAX; j++)
        json_array_append_new(model, weft_report_real((double)r->model[j]));
    json_object_set_new(root, "model", model);
    return root;
}

json_t *weft_train_json(const weft_train_settings *settings, const weft_problem *problem,
                        const weft_train_result *results, int peers)
{
    json_t *root = json_object();
    json_t *runs = json_array();

    for (size_t i = 0; i < settings->run_count; i++)
        json_array_append_new(
            runs, run_json(settings, &settings->runs[i], &results[i], problem->dim, peers));
    json_object_set_new(root, "weft", json_string(weft_version()));
    json_object_set_new(root, "data", data_json(settings, problem));
    json_object_set_new(root, "peers", json_integer(peers));
    json_object_set_new(root, "problem", problem_json(settings, problem));
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

/* What the table has columns for. */
typedef struct columns {
    const double *gaps; /* steps are told to these */
    size_t gap_count;
    double compared; /* and traffic to this */
    bool minimum, tested, classes;
} columns;

static weft_table *new_table(const columns *c, char heads_text[4][CELL])
{
    const char *heads[18] = {"<run", "steps", c->minimum ? "gap reached" : "f reached"};
    size_t at = 3;

    if (c->tested)
        heads[at++] = "test loss";
    if (c->classes)
        heads[at++] = "accuracy";
    for (size_t i = 0; i < c->gap_count; i++) {
        snprintf(heads_text[i], CELL, "steps to %g", c->gaps[i]);
        heads[at++] = heads_text[i];
    }
    snprintf(heads_text[3], CELL, "sent to %g", c->compared);
    if (c->gap_count > 0)
        heads[at++] = heads_text[3];
    heads[at++] = "sent in all";
    heads[at++] = "own messages";
    heads[at++] = "seconds";
    heads[at++] = "gradients";
    heads[at++] = "waiting";
    return weft_table_new(heads);
}

static void print_run(weft_table *table, const columns *c, const char *name,
                      const weft_train_result *result)
{
    const weft_trace *trace = &result->trace;
    const weft_trace_point *last = weft_trace_last(trace), *reached;
    char text[CELL];

    weft_table_cell(table, "%s", name);
    weft_table_cell(table, "%llu", (unsigned long long)last->step);
    if (result->diverged != 0)
        weft_table_cell(table, "diverged at %llu", (unsigned long long)result->diverged);
    else if (c->minimum)
        weft_table_cell(table, "%.2e", last->gap);
    else
        weft_table_cell(table, "%.5g", last->f);
    if (c->tested)
        weft_table_cell(table, "%.5g", last->test_loss);
    if (c->classes)
        weft_table_cell(table, "%.2f %%", 100 * last->accuracy);
    for (size_t i = 0; i < c->gap_count; i++) {
        step_text(trace, c->gaps[i], text);
        weft_table_cell(table, "%s", text);
    }
    reached = weft_trace_reached(trace, c->compared);
    bits_text(reached != NULL ? reached->sent_bits : 0, text);
    if (c->gap_count > 0)
        weft_table_cell(table, "%s", reached != NULL ? text : "-");
    bits_text(last->sent_bits, text);
    weft_table_cell(table, "%s", text);
    bits_text(last->up_bits, text);
    weft_table_cell(table, "%s", text);
    weft_table_cell(table, "%.2f", last->seconds);
    weft_table_cell(table, "%.2f", last->gradient_seconds);
    weft_table_cell(table, "%.2f", last->wait_seconds);
}

static void print_runs(FILE *to, const weft_train_settings *s, const weft_problem *problem,
                       const weft_train_result *results)
{
    static const double usual[] = {1e-3, 1e-6, 1e-9};
    columns c = {.gaps = s->target >= 0 ? &s->target : usual,
                 .gap_count = s->target >= 0 ? 1 : 3,
                 .minimum = !isnan(problem->fstar),
                 .tested = s->test != NULL,
                 .classes = s->test != NULL && s->test->class_of != NULL};
    char heads_text[4][CELL];
    weft_table *table;

    /* Traffic is compared at the target, else at the middle one. */
    c.compared = c.gaps[c.gap_count / 2];
    if (!c.minimum)
        c.gap_count = 0;
    table = new_table(&c, heads_text);
    for (size_t r = 0; r < s->run_count; r++)
        print_run(table, &c, s->runs[r].name, &results[r]);
    weft_table_print(table, to);
    weft_table_free(table);
}

static void print_data(FILE *to, const char *word, const weft_dataset *d)
{
    fprintf(to, "%-8s %s: %zu rows x %zu", word, d->path, d->rows, d->dim);
    if (d->class_count == 2)
        fprintf(to, ", labels %g and %g\n", d->classes[0], d->classes[1]);
    else if (d->class_count > 0)
        fprintf(to, ", %zu classes\n", d->class_count);
    else
        fprintf(to, "\n");
}

static void print_problem(FILE *to, const weft_train_settings *s, const weft_problem *p)
{
    fprintf(to, "problem  ");
    if (s->kind != weft_problem_kind_at(0))
        fprintf(to, "%s, %zu numbers, ", s->problem, p->dim);
    fprintf(to, "l1 %g, l2 %.9g, ", p->l1, p->l2);
    if (p->kind->convex)
        fprintf(to, "L %.9g, Lmax %.9g, ", p->L, p->Lmax);
    fprintf(to, "f(%s) %.9g, ", p->kind->start == NULL ? "0" : "start", p->f0);
    if (isnan(p->fstar))
        fprintf(to, "f* unknown\n\n");
    else
        fprintf(to, "f* %.13g\n\n", p->fstar);
}

void weft_train_print(FILE *to, const weft_train_settings *settings, const weft_problem *problem,
                      const weft_train_result *results, int peers)
{
    const size_t left = settings->data->rows - problem->cut.used;

    print_data(to, "data", settings->data);
    if (settings->test != NULL)
        print_data(to, "test", settings->test);
    fprintf(to, "shards   %d of %zu rows, order %s", peers, problem->cut.shard_rows,
            weft_shards_name(settings->shards));
    if (left > 0)
        fprintf(to, ", %zu row%s left out", left, left == 1 ? "" : "s");
    fprintf(to, "\n");
    print_problem(to, settings, problem);
    print_runs(to, settings, problem, results);
    for (size_t r = 0; r < settings->run_count; r++) {
        if (results[r].equal)
            continue;
        fprintf(to, "run '%s': the models differ between peers\n", settings->runs[r].name);
    }
}
