/* SPDX-License-Identifier: Apache-2.0 */
/* Plan files as algorithms: named by a SPEC, kept open, exported, told of. */
#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"
#include "collectives/plan_algo.h"
#include <weft/plan.h>
#include <weft/topology.h>

/* Two peers swap all they have. */
static const char swap[] =
    "{\"weft_plan\": 1, \"collective\": \"allreduce\", \"peers\": 2, \"ranks\": ["
    "[{\"do\": \"pack\", \"slot\": 0}, {\"do\": \"send\", \"slot\": 0, \"to\": 1},"
    " {\"do\": \"recv\", \"slot\": 1, \"from\": 1}, {\"do\": \"fence\"},"
    " {\"do\": \"merge\", \"slot\": 1, \"other\": 0, \"order\": \"other_first\"},"
    " {\"do\": \"unpack\", \"slot\": 1}],"
    "[{\"do\": \"pack\", \"slot\": 0}, {\"do\": \"send\", \"slot\": 0, \"to\": 0},"
    " {\"do\": \"recv\", \"slot\": 1, \"from\": 0}, {\"do\": \"fence\"},"
    " {\"do\": \"merge\", \"slot\": 1, \"other\": 0}, {\"do\": \"unpack\", \"slot\": 1}]]}";

/* A file of the test's own, in a folder of its own. */
static const char *saved(const char *text)
{
    static char path[200];
    static int count;
    char folder[] = "/tmp/weft-plan-XXXXXX";

    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/%d.json", folder, count++);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
    return path;
}

static void removed(const char *path)
{
    char folder[200];

    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    unlink(path);
    cr_expect_eq(rmdir(folder), 0);
}

static int export_to(const char *collective, const char *algo, int peers, int root,
                     const char *path)
{
    const weft_query q = {.size = sizeof q,
                          .collective = collective,
                          .algo = algo,
                          .peers = peers,
                          .root = root,
                          .dtype = WEFT_F32};
    return weft_plan_export(&q, path);
}

static weft_choice choice_of(int size, weft_plan_files *files)
{
    return (weft_choice){.coll = WEFT_COLL_ALLREDUCE,
                         .size = size,
                         .count = 1000,
                         .element_bytes = 4,
                         .encoded_bytes = 4,
                         .traits = WEFT_CODEC_LOSSLESS | WEFT_CODEC_MERGES,
                         .files = files};
}

Test(plan_algo, a_spec_opens_it_and_a_pick_holds_it)
{
    const char *path = saved(swap);
    char spec[300];
    weft_pick p;
    weft_plan plan;
    weft_choice c = choice_of(2, NULL);

    snprintf(spec, sizeof spec, "plan:path=%s", path);
    cr_assert_eq(weft_algo_select(spec, &c, &p), 0, "%s", weft_last_error()->message);
    cr_expect_eq(strncmp(p.text, "plan(", 5), 0);
    cr_expect_null(strstr(p.text, "/tmp"), "%s", p.text);
    cr_expect_gt(p.seconds, 0);
    const weft_shape s = {.coll = c.coll, .size = 2, .count = 9, .spec = &p.spec, .file = p.file};
    cr_assert_eq(weft_algo_build(p.algo, &s, &plan), 0, "%s", weft_last_error()->message);
    cr_expect_eq(plan.step_count, 6);
    weft_plan_free(&plan);
    weft_pick_free(&p);
    weft_pick_free(&p); /* holds nothing any more */
    removed(path);
}

Test(plan_algo, it_serves_what_it_was_written_for)
{
    const char *path = saved(swap);
    char spec[300];
    weft_pick p = {0};
    weft_choice c = choice_of(3, NULL);

    snprintf(spec, sizeof spec, "plan:path=%s", path);
    cr_expect_eq(weft_algo_select(spec, &c, &p), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "for 2 peers, here are 3"), "%s",
              weft_last_error()->message);
    c = choice_of(2, NULL);
    c.traits = WEFT_CODEC_UNBIASED;
    cr_expect_eq(weft_algo_select(spec, &c, &p), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "combines encodings"), "%s",
              weft_last_error()->message);
    c = choice_of(2, NULL);
    c.coll = WEFT_COLL_BROADCAST;
    cr_expect_eq(weft_algo_select(spec, &c, &p), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "is of allreduce"), "%s",
              weft_last_error()->message);
    cr_expect_null(p.algo);
    removed(path);
}

Test(plan_algo, without_a_path_or_a_file_there_is_no_plan)
{
    const weft_choice c = choice_of(2, NULL);
    const weft_shape s = {.coll = WEFT_COLL_ALLREDUCE, .size = 2, .count = 9};
    const weft_algo *a;
    weft_plan_file *f;
    weft_plan plan;
    weft_pick p;

    cr_expect_eq(weft_algo_select("plan", &c, &p), WEFT_EINVAL);
    cr_expect(strstr(weft_last_error()->message, "key path is missing"));
    cr_expect_eq(weft_algo_select("plan:path=/nowhere/at/all.json", &c, &p), WEFT_EIO);
    cr_expect(strstr(weft_last_error()->message, "/nowhere/at/all.json: No such file"));
    cr_expect_eq(weft_plan_file_read("/tmp", &f), WEFT_EINVAL);
    cr_expect(strstr(weft_last_error()->message, "no regular file"));
    cr_assert_eq(weft_algo_find(WEFT_COLL_ALLREDUCE, "plan", &a), 0);
    cr_expect_eq(weft_algo_build(a, &s, &plan), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "has no file"));
}

Test(plan_algo, a_pipe_without_a_writer_is_not_waited_for)
{
    const char *path = saved("");
    weft_plan_file *f;

    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(weft_plan_file_read(path, &f), WEFT_EINVAL);
    removed(path);
}

Test(plan_algo, kept_files_are_read_once)
{
    const char *path = saved(swap);
    weft_plan_files *files = NULL;
    weft_plan_algo *a, *b, *again;

    cr_assert_eq(weft_plan_files_open(&files), 0);
    cr_assert_eq(weft_plan_algo_open(files, path, &a), 0);
    cr_assert_eq(truncate(path, 0), 0);
    cr_assert_eq(weft_plan_algo_open(files, path, &again), 0);
    cr_expect_eq(a, again);
    cr_expect_eq(weft_plan_algo_open(NULL, path, &b), WEFT_EINVAL);
    cr_expect_eq(weft_plan_algo_open(files, "/nowhere", &b), WEFT_EIO);
    weft_plan_files_close(&files);
    weft_plan_algo_unref(a);
    cr_expect_eq(weft_plan_algo_file(again)->peers, 2);
    weft_plan_algo_unref(again);
    removed(path);
}

Test(plan_algo, an_exported_algorithm_is_a_plan_file)
{
    const char *path = saved("");
    weft_choice c = choice_of(5, NULL);
    char spec[300];
    weft_pick p;

    snprintf(spec, sizeof spec, "plan:path=%s", path);
    cr_assert_eq(export_to("allreduce", "ring", 5, 0, path), 0, "%s", weft_last_error()->message);
    cr_assert_eq(weft_algo_select(spec, &c, &p), 0, "%s", weft_last_error()->message);
    cr_expect_eq(weft_plan_algo_file(p.file)->parts, 5);
    weft_pick_free(&p);
    /* What was read from a file can be written again. */
    cr_assert_eq(export_to("allreduce", spec, 5, 0, path), 0, "%s", weft_last_error()->message);
    cr_assert_eq(export_to("broadcast", "tree", 7, 3, path), 0);
    c.coll = WEFT_COLL_BROADCAST;
    c.size = 7;
    c.root = 3;
    cr_assert_eq(weft_algo_select(spec, &c, &p), 0, "%s", weft_last_error()->message);
    weft_pick_free(&p);
    c.root = 2;
    cr_assert_eq(weft_algo_select(spec, &c, &p), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "has root 3, not 2"));
    removed(path);
}

Test(plan_algo, it_goes_along_a_topology_that_has_its_edges)
{
    static const struct {
        const char *graph;
        int code;
    } cases[] = {{"ring", WEFT_OK}, {"complete", WEFT_OK}, {"star", WEFT_ENOTSUP}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_topology *graph = NULL;
        weft_choice c = choice_of(4, NULL);
        weft_pick p = {0};
        cr_assert_eq(weft_topology_open(&graph, cases[i].graph, 4), 0);
        c.graph = graph;
        cr_expect_eq(weft_algo_select("plan:path=" WEFT_EXAMPLES "/line4.json", &c, &p),
                     cases[i].code, "%s: %s", cases[i].graph, weft_last_error()->message);
        cr_expect(cases[i].code == WEFT_OK ||
                      strstr(weft_last_error()->message, "sends from 1 to 2, no neighbours"),
                  "%s", weft_last_error()->message);
        weft_pick_free(&p);
        weft_topology_close(&graph);
    }
}

Test(plan_algo, one_that_reduces_in_rank_order_is_known)
{
    const char *path = saved("");
    static const struct {
        const char *algo;
        bool ordered;
    } cases[] = {{"gather", true}, {"ring", false}};
    weft_choice c = choice_of(4, NULL);
    char spec[300];

    snprintf(spec, sizeof spec, "plan:path=%s", path);
    c.ordered = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_pick p = {0};
        cr_assert_eq(export_to("allreduce", cases[i].algo, 4, 0, path), 0);
        cr_expect_eq(weft_algo_select(spec, &c, &p), cases[i].ordered ? WEFT_OK : WEFT_ENOTSUP);
        weft_pick_free(&p);
    }
    removed(path);
}

Test(plan_algo, facts_are_those_of_the_file)
{
    const char *path = WEFT_EXAMPLES "/line4.json";
    weft_plan_facts facts = {.size = sizeof facts};

    cr_assert_eq(weft_plan_inspect(path, &facts), 0, "%s", weft_last_error()->message);
    cr_expect_eq(strncmp(facts.name, "plan(", 5), 0);
    cr_expect_str_eq(facts.collective, "allreduce");
    cr_expect_eq(facts.peers, 4);
    cr_expect_eq(facts.root, -1);
    cr_expect_eq(facts.parts, 2);
    cr_expect_eq(facts.combines, 1);
    cr_expect_eq(facts.steps, 2 * (10 + 16));
    cr_expect_eq(facts.rounds, 6);
    cr_expect_eq(facts.messages, 4);
    facts = (weft_plan_facts){.size = offsetof(weft_plan_facts, collective), .peers = 99};
    cr_assert_eq(weft_plan_inspect(path, &facts), 0);
    cr_expect_eq(facts.peers, 99, "written behind its size");
    facts.size = 0;
    cr_expect_eq(weft_plan_inspect(path, &facts), WEFT_EINVAL);
    cr_expect_eq(weft_plan_inspect("/nowhere", NULL), WEFT_EINVAL);
    facts.size = sizeof facts;
    cr_expect_eq(weft_plan_inspect("/nowhere", &facts), WEFT_EIO);
}

Test(plan_algo, an_export_that_cannot_be_is_told)
{
    cr_expect_eq(export_to("allredoce", "ring", 4, 0, "/tmp/x"), WEFT_EINVAL);
    cr_expect_eq(export_to(NULL, "ring", 4, 0, "/tmp/x"), WEFT_EINVAL);
    cr_expect_eq(export_to("allreduce", "rink", 4, 0, "/tmp/x"), WEFT_EINVAL);
    cr_expect_eq(export_to("allreduce", "ring", 0, 0, "/tmp/x"), WEFT_EINVAL);
    cr_expect_eq(export_to("broadcast", "tree", 4, 4, "/tmp/x"), WEFT_EINVAL);
    cr_expect_eq(export_to("allreduce", "ring", 4, 0, NULL), WEFT_EINVAL);
    cr_expect_eq(export_to("allreduce", "ring", 4, 0, "/nowhere/x"), WEFT_EIO);
    cr_expect_eq(export_to("allreduce", "ring", 1000, 0, "/nowhere/x"), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "a plan file holds 1048576 steps"), "%s",
              weft_last_error()->message);
}

Test(plan_algo, places_of_an_order_are_its_ranks)
{
    const char *path = saved("");
    const int order[] = {2, 0, 1}, root = 0;
    char spec[300];
    weft_pick p;
    weft_plan plan;
    weft_choice c = choice_of(3, NULL);

    c.coll = WEFT_COLL_BROADCAST;
    snprintf(spec, sizeof spec, "plan:path=%s", path);
    cr_assert_eq(export_to("broadcast", "tree", 3, root, path), 0);
    cr_assert_eq(weft_algo_select(spec, &c, &p), 0);
    weft_shape s = {.coll = c.coll,
                    .rank = 2,
                    .size = 3,
                    .count = 8,
                    .order = order,
                    .spec = &p.spec,
                    .file = p.file};
    cr_expect_eq(weft_algo_build(p.algo, &s, &plan), WEFT_ENOTSUP); /* rank 0 is no root there */
    s.root = 2;
    cr_assert_eq(weft_algo_build(p.algo, &s, &plan), 0, "%s", weft_last_error()->message);
    cr_expect_eq(plan.steps[0].verb, WEFT_VERB_PACK);
    cr_expect_eq(plan.steps[1].peer, 1); /* place 2 */
    weft_plan_free(&plan);
    weft_pick_free(&p);
    removed(path);
}
