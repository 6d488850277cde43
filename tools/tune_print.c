/* SPDX-License-Identifier: Apache-2.0 */
#include "tune_print.h"

#include <math.h>

#include <weft/info.h>

#include "report.h"
#include "topo.h"

/* Of a size: the fastest as measured, and the cheapest by either table. Ties go to the first, as
 * where the library chooses. */
typedef struct choice {
    const weft_tune_cell *best, *before, *after;
} choice;

/* Figures over all sizes: how much longer what is chosen takes than the best. */
typedef struct regret {
    double mean, most;
} regret;

static choice choose(const weft_tune *t, int size)
{
    choice ret = {NULL, NULL, NULL};
    for (size_t i = 0; i < t->cell_count; i++) {
        const weft_tune_cell *c = &t->cells[i];
        if (c->size != size) {
            continue;
        }
        ret.best = ret.best == NULL || c->measured < ret.best->measured ? c : ret.best;
        ret.before = ret.before == NULL || c->before < ret.before->before ? c : ret.before;
        ret.after = ret.after == NULL || c->after < ret.after->after ? c : ret.after;
    }
    return ret;
}

static double times_best(const choice *c, const weft_tune_cell *chosen)
{
    return chosen->measured / c->best->measured;
}

static void add_regret(regret *r, double times)
{
    r->mean += times;
    r->most = times > r->most ? times : r->most;
}

static void regrets(const weft_tune *t, regret *ret_before, regret *ret_after)
{
    int sizes = 0;
    *ret_before = *ret_after = (regret){0.0, 0.0};
    for (int size = 0; size < t->size_count; size++) {
        const choice c = choose(t, size);
        if (c.best != NULL) {
            add_regret(ret_before, times_best(&c, c.before));
            add_regret(ret_after, times_best(&c, c.after));
            sizes++;
        }
    }
    ret_before->mean /= sizes > 0 ? sizes : 1;
    ret_after->mean /= sizes > 0 ? sizes : 1;
}

/* Root mean square of (price - measured) / measured. */
static double relative_error(const weft_tune *t, bool after)
{
    double sum = 0.0;
    for (size_t i = 0; i < t->cell_count; i++) {
        const weft_tune_cell *c = &t->cells[i];
        const double off = (after ? c->after : c->before) / c->measured - 1.0;
        sum += off * off;
    }
    return sqrt(sum / (double)t->cell_count);
}

static void cell_seconds(weft_table *table, double seconds)
{
    char text[32];
    weft_topo_seconds_text(seconds, text);
    weft_table_cell(table, "%s", text);
}

static void cell_size(weft_table *table, size_t bytes)
{
    char text[32];
    weft_topo_bytes_text((double)bytes, text);
    weft_table_cell(table, "%s", text);
}

static void print_cells(const weft_tune *t, FILE *to)
{
    static const char *const heads[] = {"<#",  "size",      "<algorithm", "measured", "old price",
                                        "off", "new price", "off",        NULL};
    weft_table *table = weft_table_new(heads);
    for (size_t i = 0; i < t->cell_count; i++) {
        const weft_tune_cell *c = &t->cells[i];
        weft_table_cell(table, "#");
        cell_size(table, t->sizes[c->size]);
        weft_table_cell(table, "%s", t->algos[c->algo]);
        cell_seconds(table, c->measured);
        cell_seconds(table, c->before);
        weft_table_cell(table, "%+.0f%%", (c->before / c->measured - 1.0) * 100.0);
        cell_seconds(table, c->after);
        weft_table_cell(table, "%+.0f%%", (c->after / c->measured - 1.0) * 100.0);
    }
    weft_table_print(table, to);
    weft_table_free(table);
}

static void print_choices(const weft_tune *t, FILE *to)
{
    static const char *const heads[] = {"<#",    "size",        "<best", "takes", "<old choice",
                                        "times", "<new choice", "times", NULL};
    weft_table *table = weft_table_new(heads);
    for (int size = 0; size < t->size_count; size++) {
        const choice c = choose(t, size);
        if (c.best == NULL) {
            continue;
        }
        weft_table_cell(table, "#");
        cell_size(table, t->sizes[size]);
        weft_table_cell(table, "%s", t->algos[c.best->algo]);
        cell_seconds(table, c.best->measured);
        weft_table_cell(table, "%s", t->algos[c.before->algo]);
        weft_table_cell(table, "%.2f", times_best(&c, c.before));
        weft_table_cell(table, "%s", t->algos[c.after->algo]);
        weft_table_cell(table, "%.2f", times_best(&c, c.after));
    }
    weft_table_print(table, to);
    weft_table_free(table);
}

static void print_constants(const weft_tune *t, const weft_fit *fit, FILE *to)
{
    static const char *const heads[] = {"<#", "<constant", "old", "new", NULL};
    weft_table *table = weft_table_new(heads);
    for (int i = 0; i < WEFT_FIT_CONSTANTS; i++) {
        weft_table_cell(table, "#");
        weft_table_cell(table, "%s", weft_fit_names[i]);
        weft_table_cell(table, "%.4g", t->constants[i]);
        if (fit->told[i]) {
            weft_table_cell(table, "%.4g", fit->value[i]);
        } else {
            weft_table_cell(table, "not seen");
        }
    }
    weft_table_print(table, to);
    weft_table_free(table);
}

void weft_tune_print(const weft_tune *t, const weft_fit *fit, const char *costs, FILE *to)
{
    regret before, after;
    regrets(t, &before, &after);
    (void)fprintf(to,
                  "# weft %s: allreduce of float32, %d peers, link %s, %zu rounds of %zu cells\n"
                  "# measured: median over the rounds of the slowest peer's time; off: of the "
                  "price from it\n",
                  weft_version(), t->peer->size, t->peer->launch->link, t->rounds, t->cell_count);
    print_cells(t, to);
    (void)fprintf(to, "#\n# which of these auto would choose, and its time over the best's\n");
    print_choices(t, to);
    (void)fprintf(to, "#\n");
    print_constants(t, fit, to);
    (void)fprintf(to,
                  "#\n# prices off by (root mean square): old %.1f%%, new %.1f%%\n"
                  "# choices over the best, mean and most: old %.2f and %.2f, new %.2f and %.2f\n",
                  relative_error(t, false) * 100.0, relative_error(t, true) * 100.0, before.mean,
                  before.most, after.mean, after.most);
    if (after.mean > before.mean) {
        (void)fprintf(to, "# the old constants choose better here: leave them\n");
    }
    (void)fprintf(to, "# the next line is for WEFT_COSTS, on every peer\n%s\n", costs);
    (void)fflush(to);
}

static json_t *constants_json(const weft_tune *t, const weft_fit *fit)
{
    json_t *ret = json_object();
    for (int i = 0; i < WEFT_FIT_CONSTANTS; i++) {
        json_t *both = json_pack("{s:f, s:o}", "before", t->constants[i], "after",
                                 fit->told[i] ? json_real(fit->value[i]) : json_null());
        (void)json_object_set_new(ret, weft_fit_names[i], both);
    }
    return ret;
}

json_t *weft_tune_json(const weft_tune *t, const weft_fit *fit, const char *costs)
{
    json_t *rows = json_array(), *choices = json_array();
    regret before, after;
    regrets(t, &before, &after);
    for (size_t i = 0; i < t->cell_count; i++) {
        const weft_tune_cell *c = &t->cells[i];
        (void)json_array_append_new(
            rows, json_pack("{s:I, s:s, s:f, s:f, s:f}", "size", (json_int_t)t->sizes[c->size],
                            "algo", t->algos[c->algo], "measured_us", c->measured * 1e6,
                            "before_us", c->before * 1e6, "after_us", c->after * 1e6));
    }
    for (int size = 0; size < t->size_count; size++) {
        const choice c = choose(t, size);
        if (c.best != NULL) {
            (void)json_array_append_new(
                choices,
                json_pack("{s:I, s:s, s:s, s:f, s:s, s:f}", "size", (json_int_t)t->sizes[size],
                          "best", t->algos[c.best->algo], "before", t->algos[c.before->algo],
                          "before_times", times_best(&c, c.before), "after",
                          t->algos[c.after->algo], "after_times", times_best(&c, c.after)));
        }
    }
    return json_pack("{s:s, s:s, s:i, s:s, s:I, s:s, s:o, s:f, s:f, s:f, s:f, s:o, s:o}", "weft",
                     weft_version(), "build", weft_build_info(), "peers", t->peer->size, "link",
                     t->peer->launch->link, "rounds", (json_int_t)t->rounds, "costs", costs,
                     "constants", constants_json(t, fit), "error_before", relative_error(t, false),
                     "error_after", relative_error(t, true), "choice_before_times", before.mean,
                     "choice_after_times", after.mean, "choices", choices, "rows", rows);
}
