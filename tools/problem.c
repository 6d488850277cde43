/* SPDX-License-Identifier: Apache-2.0 */
#include "problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define X(name) extern const weft_problem_kind weft_problem_##name;
#include "problems.def"
#undef X

static const weft_problem_kind *const kinds[] = {
#define X(name) &weft_problem_##name,
#include "problems.def"
#undef X
};

enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

const weft_problem_kind *weft_problem_kind_at(size_t index)
{
    return index < KINDS ? kinds[index] : NULL;
}

int weft_problem_find(const char *spec, const weft_problem_kind **ret, const char **ret_keys,
                      char *why, size_t cap)
{
    const size_t len = strcspn(spec, ":");
    const char *keys = spec[len] == ':' ? spec + len + 1 : "";
    const char *names[KINDS + 1] = {NULL};
    char unused[64];

    for (size_t i = 0; i < KINDS; i++) {
        const weft_problem_kind *k = kinds[i];

        names[i] = k->name;
        if (strlen(k->name) != len || strncmp(k->name, spec, len) != 0)
            continue;
        if ((k->check != NULL
                 ? k->check(keys, why, cap)
                 : weft_problem_key(keys, NULL, unused, sizeof(unused), why, cap)) != 0)
            return -1;
        *ret = k;
        *ret_keys = keys;
        return 0;
    }
    snprintf(why, cap, "'%.60s' is no problem; nearest: %s", spec, weft_cli_nearest(spec, names));
    return -1;
}

int weft_problem_key(const char *keys, const char *key, char *ret_value, size_t value_cap,
                     char *why, size_t cap)
{
    ret_value[0] = '\0';
    for (const char *p = keys; *p != '\0';) {
        const size_t len = strcspn(p, ","), name = strcspn(p, "=,");

        if (key == NULL) {
            snprintf(why, cap, "key '%.*s': this problem has no keys", (int)name, p);
            return -1;
        }
        if (strlen(key) != name || strncmp(p, key, name) != 0) {
            snprintf(why, cap, "no key '%.*s', did you mean %s?", (int)name, p, key);
            return -1;
        }
        if (p[name] != '=' || len <= name + 1 || len - name > value_cap || ret_value[0] != '\0') {
            snprintf(why, cap, "%s: one value of 1 to %zu characters is wanted", key,
                     value_cap - 1);
            return -1;
        }
        memcpy(ret_value, p + name + 1, len - name - 1);
        ret_value[len - name - 1] = '\0';
        p += len + (p[len] == ',');
    }
    return 0;
}

int weft_problem_open(weft_problem *ret, const char *spec, const weft_dataset *data,
                      const weft_dataset *test, int peers, weft_shards shards, uint64_t seed,
                      char *why, size_t cap)
{
    weft_problem *p = ret;

    *p = (weft_problem){.data = data,
                        .test = test,
                        .shards = shards,
                        .seed = seed,
                        .fstar = (double)NAN,
                        .f0 = (double)NAN};
    if (weft_problem_find(spec, &p->kind, &p->keys, why, cap) != 0 ||
        weft_cut_make(&p->cut, data->rows, data->label, peers, shards, seed, why, cap) != 0 ||
        p->kind->open(p, why, cap) != 0)
        return -1;
    p->wide = calloc(p->dim, sizeof(*p->wide));
    if (p->wide == NULL) {
        snprintf(why, cap, "out of memory for a model of %zu numbers", p->dim);
        return -1;
    }
    return 0;
}

void weft_problem_close(weft_problem *problem)
{
    if (problem->kind != NULL)
        problem->kind->close(problem);
    weft_cut_free(&problem->cut);
    free(problem->tensors);
    free(problem->wide);
    *problem = (weft_problem){0};
}

void weft_problem_start(const weft_problem *problem, float *x)
{
    memset(x, 0, problem->dim * sizeof(*x));
    if (problem->kind->start != NULL)
        problem->kind->start(problem, x);
}

bool weft_problem_add_tensor(weft_problem *problem, const char *name, size_t rows, size_t columns)
{
    const size_t n = problem->tensor_count;
    weft_problem_tensor *more = realloc(problem->tensors, (n + 1) * sizeof(*more));

    if (more == NULL)
        return false;
    problem->tensors = more;
    more[n] = (weft_problem_tensor){.count = rows * columns, .rows = rows, .columns = columns};
    snprintf(more[n].name, sizeof(more[n].name), "%s", name);
    problem->tensor_count++;
    problem->dim += more[n].count;
    return true;
}

const double *weft_problem_wide(weft_problem *problem, const float *x)
{
    for (size_t j = 0; j < problem->dim; j++)
        problem->wide[j] = (double)x[j];
    return problem->wide;
}

double weft_penalized(double mean_loss, const double *x, size_t dim, double l1, double l2)
{
    double square = 0, absolute = 0;

    for (size_t j = 0; j < dim; j++) {
        square += x[j] * x[j];
        absolute += fabs(x[j]);
    }
    return mean_loss + l2 / 2 * square + l1 * absolute;
}

double weft_penalized_slope(const double *mean_loss_gradient, const double *x, size_t dim,
                            double l1, double l2)
{
    double square = 0;

    for (size_t j = 0; j < dim; j++) {
        double s = mean_loss_gradient[j] + l2 * x[j];

        if (x[j] != 0)
            s += x[j] > 0 ? l1 : -l1;
        else
            s = fmax(fabs(s) - l1, 0);
        square += s * s;
    }
    return sqrt(square);
}

double weft_problem_value(weft_problem *problem, double mean_loss, const float *x)
{
    return weft_penalized(mean_loss, weft_problem_wide(problem, x), problem->dim, problem->l1,
                          problem->l2);
}

double weft_problem_slope(weft_problem *problem, const double *mean_loss_gradient, const float *x)
{
    return weft_penalized_slope(mean_loss_gradient, weft_problem_wide(problem, x), problem->dim,
                                problem->l1, problem->l2);
}
