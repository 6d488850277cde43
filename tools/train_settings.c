/* SPDX-License-Identifier: Apache-2.0 */
#include "train_settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/codec.h>
#include <weft/status.h>

#define WHOLE_MAX 9007199254740992.0 /* 2^53 */

/* The keys of a --run string. */
static const char *const keys[] = {"name",  "optimizer", "codec",  "reply-codec",
                                   "algo",  "fidelity",  "lr",     "schedule",
                                   "batch", "steps",     "epochs", NULL};

/* Places of two that exclude each other. */
enum { STEPS = 9, EPOCHS = 10 };

/* One of them with its value and where it came from, for messages. */
typedef struct word {
    const char *key, *value, *origin;
} word;

static int refuse_memory(const weft_cli *cli)
{
    return weft_cli_refuse(cli, "out of memory");
}

static int replace(const weft_cli *cli, char **text, const char *value)
{
    char *copy = strdup(value);

    if (copy == NULL)
        return refuse_memory(cli);
    free(*text);
    *text = copy;
    return 0;
}

static int read_batch(const weft_cli *cli, const word *w, size_t *ret)
{
    int64_t rows = 0;

    if (strcmp(w->value, "full") == 0) {
        *ret = 0;
        return 0;
    }
    if (!weft_cli_read_whole(w->value, 1, WHOLE_MAX, &rows))
        return weft_cli_refuse(cli, "%s: batch '%s' is neither \"full\" nor a number of rows",
                               w->origin, w->value);
    *ret = (size_t)rows;
    return 0;
}

/* The codec is opened once here, so that a wrong SPEC is told before any peer starts. */
static int read_codec(const weft_cli *cli, const word *w, char **codec)
{
    weft_codec *made = NULL;
    int status;

    if (weft_codec_open(&made, w->value) != WEFT_OK)
        return weft_cli_refuse(cli, "%s: %s", w->origin, weft_last_error()->message);
    status = replace(cli, codec, weft_codec_spec(made));
    weft_codec_close(&made);
    return status;
}

static int apply(const weft_cli *cli, const word *w, weft_train_spec *run)
{
    int64_t steps = 0;

    if (w->value[0] == '\0')
        return weft_cli_refuse(cli, "%s: %s has no value", w->origin, w->key);
    if (strcmp(w->key, "name") == 0)
        return replace(cli, &run->name, w->value);
    if (strcmp(w->key, "optimizer") == 0)
        return replace(cli, &run->optimizer, w->value);
    if (strcmp(w->key, "codec") == 0)
        return read_codec(cli, w, &run->codec);
    if (strcmp(w->key, "reply-codec") == 0)
        return read_codec(cli, w, &run->reply);
    if (strcmp(w->key, "schedule") == 0)
        return replace(cli, &run->schedule, w->value);
    if (strcmp(w->key, "algo") == 0)
        return replace(cli, &run->algo, w->value);
    if (strcmp(w->key, "lr") == 0)
        return replace(cli, &run->lr, w->value);
    if (strcmp(w->key, "batch") == 0)
        return read_batch(cli, w, &run->batch);
    if (strcmp(w->key, "steps") == 0 || strcmp(w->key, "epochs") == 0) {
        const bool epochs = w->key[0] == 'e';

        if (!weft_cli_read_whole(w->value, 1, WHOLE_MAX, &steps))
            return weft_cli_refuse(cli, "%s: %s '%s' is no number of %s from 1 on", w->origin,
                                   w->key, w->value, w->key);
        run->steps = epochs ? 0 : (uint64_t)steps;
        run->epochs = epochs ? (uint64_t)steps : 0;
        return 0;
    }
    if (strcmp(w->key, "fidelity") == 0) {
        run->requantized = strcmp(w->value, "requantized") == 0;
        if (!run->requantized && strcmp(w->value, "exact") != 0)
            return weft_cli_refuse(cli, "%s: fidelity '%s', the choice is exact or requantized",
                                   w->origin, w->value);
        return 0;
    }
    return weft_cli_refuse(cli,
                           "%s: no key '%s', did you mean '%s'? The keys are name, optimizer, "
                           "codec, reply-codec, algo, fidelity, lr, schedule, batch, steps, epochs",
                           w->origin, w->key, weft_cli_nearest(w->key, keys));
}

/* What the options themselves say. */
static int apply_options(const weft_cli *cli, weft_train_spec *run)
{
    int status = 0;

    if (weft_cli_given(cli, "epochs")) {
        if (weft_cli_given(cli, "steps"))
            return weft_cli_refuse(cli, "--steps and --epochs: give one of them");
        run->epochs = (uint64_t)weft_cli_whole(cli, "epochs");
    } else {
        run->steps = (uint64_t)weft_cli_whole(cli, "steps");
    }
    for (size_t i = 1; keys[i] != NULL && status == 0; i++) {
        char origin[32];
        const word w = {.key = keys[i], .origin = origin};
        word filled = w;

        if (strcmp(keys[i], "steps") == 0 || strcmp(keys[i], "epochs") == 0 ||
            weft_cli_text(cli, keys[i]) == NULL)
            continue;
        snprintf(origin, sizeof(origin), "--%s", keys[i]);
        filled.value = weft_cli_text(cli, keys[i]);
        status = apply(cli, &filled, run);
    }
    return status;
}

/* The words of one --run string, separated by blanks; a key ends at the first '='. */
static int apply_words(const weft_cli *cli, const char *text, weft_train_spec *run)
{
    char *copy = strdup(text);
    char *rest = NULL;
    char origin[96];
    const size_t both = (size_t)1 << STEPS | (size_t)1 << EPOCHS;
    size_t seen = 0;
    int status = 0;

    if (copy == NULL)
        return refuse_memory(cli);
    snprintf(origin, sizeof(origin), "--run '%.80s'", text);
    for (char *w = strtok_r(copy, " \t\n", &rest); w != NULL && status == 0;
         w = strtok_r(NULL, " \t\n", &rest)) {
        char *equals = strchr(w, '=');

        if (equals == NULL) {
            status = weft_cli_refuse(cli, "%s: '%s' is no KEY=VALUE", origin, w);
            break;
        }
        *equals = '\0';
        for (size_t i = 0; keys[i] != NULL && status == 0; i++) {
            if (strcmp(keys[i], w) != 0)
                continue;
            if ((seen >> i & 1) != 0)
                status = weft_cli_refuse(cli, "%s: %s is given twice", origin, w);
            seen |= (size_t)1 << i;
            if ((seen & both) == both)
                status = weft_cli_refuse(cli, "%s: steps and epochs: give one of them", origin);
        }
        if (status == 0)
            status = apply(cli, &(word){.key = w, .value = equals + 1, .origin = origin}, run);
    }
    free(copy);
    return status;
}

static int make_run(const weft_cli *cli, const char *text, weft_train_spec *run)
{
    int status = apply_options(cli, run);

    if (status == 0 && text != NULL)
        status = apply_words(cli, text, run);
    if (status == 0 && run->name == NULL)
        status =
            replace(cli, &run->name,
                    text != NULL && text[strspn(text, " \t\n")] != '\0' ? text : run->optimizer);
    if (status != 0)
        return status;
    run->every = weft_cli_given(cli, "every") ? (uint64_t)weft_cli_whole(cli, "every") : 0;
    return 0;
}

uint64_t weft_train_minibatches(const weft_train_spec *run, size_t shard_rows)
{
    return run->batch == 0 ? 1 : shard_rows / run->batch;
}

/* Steps of so many epochs, one at least. */
static uint64_t steps_of(const weft_train_spec *run, uint64_t epochs, size_t shard_rows,
                         uint64_t each)
{
    const uint64_t steps = epochs * weft_train_minibatches(run, shard_rows) / each;

    return steps > 0 ? steps : 1;
}

uint64_t weft_train_steps(const weft_train_spec *run, size_t shard_rows, uint64_t each)
{
    return run->epochs == 0 ? run->steps : steps_of(run, run->epochs, shard_rows, each);
}

uint64_t weft_train_every(const weft_train_spec *run, size_t shard_rows, uint64_t each)
{
    if (run->every > 0)
        return run->every;
    if (run->epochs > 0)
        return steps_of(run, 1, shard_rows, each);
    return run->steps < 100 ? 1 : run->steps / 100;
}

static int read_problem(const weft_cli *cli, weft_train_settings *s)
{
    const char *l2 = weft_cli_text(cli, "l2");
    const char *shards = weft_cli_text(cli, "shards");
    const char *keys_of = NULL;
    char why[512] = "";

    s->l2_auto = strcmp(l2, "auto") == 0;
    if (!s->l2_auto && !weft_cli_read_real(l2, 0, 1e300, &s->l2))
        return weft_cli_refuse(cli, "--l2 '%s' is neither \"auto\" nor a number from 0 on", l2);
    s->l1 = weft_cli_real(cli, "l1");
    s->rows = weft_cli_given(cli, "rows") ? (size_t)weft_cli_whole(cli, "rows") : 0;
    s->problem = weft_cli_text(cli, "problem");
    if (s->problem == NULL)
        s->problem = weft_dataset_is_idx(s->data_path) ? "mlp" : "logistic";
    if (weft_problem_find(s->problem, &s->kind, &keys_of, why, sizeof(why)) != 0)
        return weft_cli_refuse(cli, "--problem %s: %s", s->problem, why);
    if (s->l2_auto && !s->kind->convex)
        return weft_cli_refuse(cli, "--l2 auto: the smoothness of %s is not known", s->problem);
    if (s->test_labels_path != NULL && s->test_path == NULL)
        return weft_cli_refuse(cli, "--test-labels without --test");
    s->shards = strcmp(shards, "label") == 0     ? WEFT_SHARDS_LABEL
                : strcmp(shards, "shuffle") == 0 ? WEFT_SHARDS_SHUFFLE
                                                 : WEFT_SHARDS_FILE;
    s->target = weft_cli_given(cli, "target") ? weft_cli_real(cli, "target") : -1;
    return 0;
}

int weft_train_settings_from(const weft_cli *cli, weft_train_settings *ret)
{
    const int given = weft_cli_list_count(cli, "run");
    weft_train_settings s = {.data_path = weft_cli_text(cli, "data"),
                             .labels_path = weft_cli_text(cli, "labels"),
                             .test_path = weft_cli_text(cli, "test"),
                             .test_labels_path = weft_cli_text(cli, "test-labels"),
                             .plot = weft_cli_text(cli, "plot"),
                             .dump = weft_cli_text(cli, "dump"),
                             .save = weft_cli_text(cli, "save"),
                             .load = weft_cli_text(cli, "load"),
                             .small = (size_t)weft_cli_whole(cli, "small"),
                             .json = weft_cli_text(cli, "json"),
                             .seed = (uint64_t)weft_cli_whole(cli, "seed")};
    int status = 0;

    if (s.data_path == NULL)
        return weft_cli_refuse(cli, "--data FILE is missing");
    s.run_count = given > 0 ? (size_t)given : 1;
    if ((s.save != NULL || s.load != NULL) && s.run_count > 1)
        return weft_cli_refuse(cli, "--save and --load go with one run");
    if (weft_cli_given(cli, "save-every")) {
        if (s.save == NULL)
            return weft_cli_refuse(cli, "--save-every without --save");
        s.save_every = (uint64_t)weft_cli_whole(cli, "save-every");
    }
    s.runs = calloc(s.run_count, sizeof(*s.runs));
    if (s.runs == NULL)
        return refuse_memory(cli);
    status = read_problem(cli, &s);
    for (size_t i = 0; i < s.run_count && status == 0; i++)
        status =
            make_run(cli, given > 0 ? weft_cli_list_get(cli, "run", (int)i) : NULL, &s.runs[i]);
    for (size_t i = 0; i < s.run_count && status == 0; i++) {
        for (size_t j = 0; j < i && status == 0; j++) {
            if (strcmp(s.runs[i].name, s.runs[j].name) == 0)
                status = weft_cli_refuse(cli, "--run: runs %zu and %zu have the same name '%s'",
                                         j + 1, i + 1, s.runs[i].name);
        }
    }
    if (status != 0) {
        weft_train_settings_free(&s);
        return status;
    }
    *ret = s;
    return 0;
}

void weft_train_settings_free(weft_train_settings *settings)
{
    for (size_t i = 0; i < settings->run_count && settings->runs != NULL; i++) {
        weft_train_spec *run = &settings->runs[i];

        free(run->name);
        free(run->optimizer);
        free(run->codec);
        free(run->reply);
        free(run->schedule);
        free(run->algo);
        free(run->lr);
    }
    free(settings->runs);
    settings->runs = NULL;
    settings->run_count = 0;
}
