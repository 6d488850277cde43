/* SPDX-License-Identifier: Apache-2.0 */
/* Plan files: what is read from them, and what is said of wrong ones. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_algo.h"
#include <weft/plan.h>
#include <weft/topology.h>

/* Two peers swap all they have. */
#define HEAD "{\"weft_plan\": 1, \"collective\": \"allreduce\", \"peers\": 2, \"ranks\": ["
#define PACK "{\"do\": \"pack\", \"slot\": 0}"
#define SEND0 "{\"do\": \"send\", \"slot\": 0, \"to\": 1}"
#define RECV0 "{\"do\": \"recv\", \"slot\": 1, \"from\": 1}"
#define FENCE "{\"do\": \"fence\"}"
#define MERGE0 "{\"do\": \"merge\", \"slot\": 1, \"other\": 0, \"order\": \"other_first\"}"
#define UNPACK "{\"do\": \"unpack\", \"slot\": 1}"
#define RANK0 "[" PACK "," SEND0 "," RECV0 "," FENCE "," MERGE0 "," UNPACK "]"
#define RANK1                                                                                      \
    "[" PACK ",{\"do\": \"send\", \"slot\": 0, \"to\": 0},"                                        \
    "{\"do\": \"recv\", \"slot\": 1, \"from\": 0}," FENCE                                          \
    ",{\"do\": \"merge\", \"slot\": 1, \"other\": 0}," UNPACK "]"
#define SWAP HEAD RANK0 "," RANK1 "]}"

static int parse(const char *text, weft_plan_file **ret)
{
    return weft_plan_file_parse("file.json", text, strlen(text), ret);
}

static weft_plan_file *parsed(const char *text)
{
    weft_plan_file *f = NULL;

    cr_assert_eq(parse(text, &f), 0, "%s", weft_last_error()->message);
    return f;
}

/* The text is refused, and what is said has the words. */
static void refused(const char *text, const char *words)
{
    weft_plan_file *f = NULL;

    cr_expect_eq(parse(text, &f), WEFT_EINVAL, "taken: %s", text);
    cr_expect_null(f);
    const char *why = weft_last_error()->message;
    cr_expect(strstr(why, "plan file file.json: "), "%s", why);
    cr_expect(strstr(why, words), "\"%s\" lacks \"%s\"", why, words);
}

/* A file of one peer with one step. */
static void step_refused(const char *step, const char *words)
{
    char text[1024];

    snprintf(text, sizeof text,
             "{\"weft_plan\": 1, \"collective\": \"allreduce\", \"peers\": 2, \"parts\": 4, "
             "\"ranks\": [[], [" PACK ", %s]]}",
             step);
    refused(text, words);
    cr_expect(strstr(weft_last_error()->message, "rank 1, step 1: "), "%s",
              weft_last_error()->message);
}

/* A head of one peer without steps, with this in it. */
static void head_refused(const char *head, const char *words)
{
    char text[1024];

    snprintf(text, sizeof text, "{%s, \"ranks\": [[]]}", head);
    refused(text, words);
}

Test(plan_file, steps_are_those_of_the_file)
{
    weft_plan_file *f = parsed(SWAP);
    const weft_shape s = {.coll = WEFT_COLL_ALLREDUCE, .rank = 1, .size = 2, .count = 10};
    weft_plan p;

    cr_expect_eq(f->coll, WEFT_COLL_ALLREDUCE);
    cr_expect_eq(f->peers, 2);
    cr_expect_eq(f->parts, 1);
    cr_assert_eq(weft_plan_init(&p, 1, 2, 10), 0);
    cr_assert_eq(weft_plan_file_place(f, &s, &p), 0, "%s", weft_last_error()->message);
    char *text = weft_plan_print(&p);
    cr_expect_str_eq(text, "plan of rank 1 of 2, 10 elements, 6 steps\n"
                           "   0 pack   slot 0 = in 0[0,10)\n"
                           "   1 send   slot 0 of 0[0,10) to 0, message 0\n"
                           "   2 recv   slot 1 of 0[0,10) from 0, message 0\n"
                           "   3 fence\n"
                           "   4 merge  slot 1 = slot 1 op slot 0 of 0[0,10)\n"
                           "   5 unpack out 0[0,10) = slot 1\n");
    weft_free(text);
    weft_plan_free(&p);
    weft_plan_file_free(f);
}

Test(plan_file, json_errors_name_the_line)
{
    refused("{\"weft_plan\": 1,\n\"collective\": }", "line 2, column 15");
    refused("", "line 1");
    refused("{\"weft_plan\": 1,\n\n\"weft_plan\": 1}", "line 3");
    refused(SWAP "\n x", "line 2");
    refused("{\"weft_plan\": 99999999999999999999}", "too big integer");
    refused("{\"weft_plan\": 1, \"name\": \"\xff\"}", "unable to decode byte 0xff");
}

Test(plan_file, what_is_nested_too_deep_is_not_parsed)
{
    static char deep[100000];

    memset(deep, '[', sizeof deep - 1);
    deep[3] = '\n';
    refused(deep, "line 2: nested deeper");
    refused("{\"a\":[[[[[[]]]]]]}", "line 1: nested deeper");
    refused("]]]}}[[[[[[", "line 1: nested deeper");
    /* Brackets in texts are none. */
    weft_plan_file_free(parsed("{\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 1, "
                               "\"note\": \"[[[\\\"[[[\\\\\", \"ranks\": [[]]}"));
}

Test(plan_file, a_head_says_all_and_nothing_else)
{
    refused("[]", "is an array, not an object");
    refused("7", "is a number, not an object");
    head_refused("\"collective\": \"allreduce\"", "\"weft_plan\" is missing");
    head_refused("\"weft_plan\": 2", "\"weft_plan\" is 2, not in 1 ... 1");
    head_refused("\"weft_plan\": 1", "\"collective\" is missing");
    head_refused("\"weft_plan\": 1, \"collective\": 3", "\"collective\" is a number");
    head_refused("\"weft_plan\": 1, \"collective\": \"allreduse\"", "did you mean allreduce?");
    head_refused("\"weft_plan\": 1, \"collective\": \"neighbor_average\"", "depends on the graph");
    head_refused("\"weft_plan\": 1, \"collective\": \"barrier\"", "\"peers\" is missing");
    head_refused("\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 0", "\"peers\" is 0");
    head_refused("\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 65536", "1 ... 65535");
    head_refused("\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 1.0", "a fraction");
    head_refused("\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 1, \"parts\": 0",
                 "\"parts\" is 0");
    head_refused("\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 60000, "
                 "\"parts\": 60000",
                 "times \"peers\"");
    head_refused("\"weft_plan\": 1, \"collective\": \"reduce\", \"peers\": 1",
                 "\"root\" is missing");
    head_refused("\"weft_plan\": 1, \"collective\": \"reduce\", \"peers\": 1, \"root\": 1",
                 "\"root\" is 1, not in 0 ... 0");
    head_refused("\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 1, \"root\": 0",
                 "barrier has none");
    head_refused("\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 1, \"pears\": 1",
                 "unknown key \"pears\" (did you mean peers?)");
    head_refused("\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 1, \"name\": 1",
                 "\"name\" is a number, not a text");
    head_refused("\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 2",
                 "\"ranks\" holds 1, \"peers\" is 2");
    refused("{\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 1}",
            "\"ranks\" is missing");
    refused("{\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 1, \"ranks\": [7]}",
            "rank 0: is a number, not an array of steps");
}

Test(plan_file, a_step_says_what_its_verb_needs)
{
    step_refused("7", "is a number, not an object");
    step_refused("{}", "\"do\" is missing");
    step_refused("{\"do\": 1}", "\"do\" is a number");
    step_refused("{\"do\": \"sent\"}", "did you mean send?");
    step_refused("{\"do\": \"fence\", \"slot\": 0}", "unknown key \"slot\"");
    step_refused("{\"do\": \"send\", \"slot\": 0, \"too\": 0}", "did you mean to?");
    step_refused("{\"do\": \"send\", \"slot\": 0, \"to\": 0, \"part\": 0}",
                 "unknown key \"part\"; valid keys: do, slot, to, joined, note");
    step_refused("{\"do\": \"send\", \"slot\": 0}", "\"to\" is missing");
    step_refused("{\"do\": \"send\", \"slot\": 0, \"to\": 2}", "\"to\" is 2, not in 0 ... 1");
    step_refused("{\"do\": \"send\", \"slot\": 0, \"to\": -1}", "\"to\" is -1");
    step_refused("{\"do\": \"send\", \"slot\": 256, \"to\": 0}",
                 "\"slot\" is 256, not in 0 ... 255");
    step_refused("{\"do\": \"send\", \"slot\": 0, \"to\": 0, \"joined\": 1}", "not true or false");
    step_refused("{\"do\": \"recv\", \"slot\": 0, \"from\": 0, \"raw\": \"yes\"}",
                 "\"raw\" is a text, not true or false");
    step_refused("{\"do\": \"merge\", \"slot\": 0, \"other\": 1, \"order\": \"slot\"}",
                 "\"order\" is neither");
    step_refused("{\"do\": \"merge\", \"slot\": 0, \"other\": 1, \"order\": 1}",
                 "\"order\" is neither");
    step_refused("{\"do\": \"merge\", \"slot\": 0}", "\"other\" is missing");
    step_refused("{\"do\": \"scale\", \"slot\": 0, \"by\": \"half\"}", "\"by\" is a text");
    step_refused("{\"do\": \"fence\", \"note\": 1}", "\"note\" is a number");
}

Test(plan_file, spans_lie_in_the_parts_and_blocks_there_are)
{
    step_refused("{\"do\": \"fold\", \"slot\": 0, \"part\": 4}", "\"part\" is 4, not in 0 ... 3");
    step_refused("{\"do\": \"fold\", \"slot\": 0, \"part\": -1}", "\"part\" is -1");
    step_refused("{\"do\": \"fold\", \"slot\": 0, \"part\": 0, \"parts\": [0, 1]}", "both");
    step_refused("{\"do\": \"fold\", \"slot\": 0, \"parts\": 1}", "not [from, to]");
    step_refused("{\"do\": \"fold\", \"slot\": 0, \"parts\": [1]}", "not [from, to]");
    step_refused("{\"do\": \"fold\", \"slot\": 0, \"parts\": [2, 1]}",
                 "\"parts\" is 1, not in 2 ... 4");
    step_refused("{\"do\": \"fold\", \"slot\": 0, \"parts\": [0, 5]}",
                 "\"parts\" is 5, not in 0 ... 4");
    step_refused("{\"do\": \"fold\", \"slot\": 0, \"block\": 1}", "\"block\" is 1, not in 0 ... 0");
#define BLOCKS(coll, step)                                                                         \
    "{\"weft_plan\": 1, \"collective\": \"" coll "\", \"peers\": 2, \"ranks\": [[" step "], []]}"
    refused(BLOCKS("allgather", "{\"do\": \"unpack\", \"slot\": 0}"), "\"block\" is missing");
    refused(BLOCKS("allgather", "{\"do\": \"recv\", \"slot\": 0, \"from\": 1, \"block\": 2}"),
            "not in 0 ... 1");
    refused(BLOCKS("alltoall", "{\"do\": \"recv\", \"slot\": 0, \"from\": 1, \"block\": 4}"),
            "not in 0 ... 3");
    refused(BLOCKS("reduce_scatter", "{\"do\": \"pack\", \"slot\": 0, \"block\": 2}"),
            "not in 0 ... 1");
    weft_plan_file_free(parsed(BLOCKS("allgather", "{\"do\": \"pack\", \"slot\": 0}")));
    weft_plan_file_free(
        parsed(BLOCKS("alltoall", "{\"do\": \"recv\", \"slot\": 0, \"from\": 1, \"block\": 3}")));
}

/* A rank of so many fences; a slot of the first step. */
static char *many(size_t fences, int slot)
{
    char *text = malloc(200 + fences * sizeof "," FENCE);
    size_t len = (size_t)sprintf(text,
                                 "{\"weft_plan\": 1, \"collective\": \"barrier\", \"peers\": 1, "
                                 "\"ranks\": [[{\"do\": \"pack\", \"slot\": %d}",
                                 slot);

    for (size_t i = 0; i < fences; i++) {
        memcpy(text + len, "," FENCE, sizeof "," FENCE);
        len += sizeof "," FENCE - 1;
    }
    memcpy(text + len, "]]}", 4);
    return text;
}

Test(plan_file, a_rank_has_as_many_slots_as_steps)
{
    char *text = many(299, 299);
    weft_plan_file_free(parsed(text));
    free(text);
    text = many(299, 300);
    refused(text, "rank 0, step 0: \"slot\" is 300, not in 0 ... 299");
    free(text);
}

Test(plan_file, steps_and_bytes_are_bounded)
{
    char *text = many(WEFT_PLAN_FILE_RANK_STEPS, 0);
    refused(text, "rank 0: 65537 steps, more than 65536");
    free(text);
    text = many(1, 0);
    weft_plan_file *f = NULL;
    cr_expect_eq(weft_plan_file_parse("file.json", text, (size_t)WEFT_PLAN_FILE_BYTES + 1, &f),
                 WEFT_EINVAL);
    cr_expect(strstr(weft_last_error()->message, "more than 67108864 bytes"));
    free(text);
    const size_t len = 10 * (size_t)WEFT_PLAN_FILE_STEPS;
    text = malloc(len + 1);
    memset(text, ',', len);
    text[len] = '\0';
    refused(text, "larger than any plan");
    memset(text, '[', 1);
    for (size_t i = 1; i + 1 < len; i += 2)
        memcpy(text + i, "[]", 2);
    refused(text, "larger than any plan");
    free(text);
    refused("{\"a\":1,\n,,,,,,,,,,,,,,,", "line 2: an object of more keys than any has");
}

Test(plan_file, names_notes_and_blanks_change_no_digest)
{
    weft_plan_file *a = parsed(SWAP);
    weft_plan_file *b = parsed("{\"ranks\": [\n" RANK0 ",\n" RANK1
                               "], \"peers\": 2, \"name\": \"swap\", \"parts\": 1,"
                               "\"collective\": \"allreduce\", \"weft_plan\": 1, \"note\": \"\"}");
    weft_plan_file *c = parsed(HEAD RANK0 ", [" PACK "]]}");
    weft_plan_file *d = parsed(HEAD "[], [" PACK "]]}"), *e = parsed(HEAD "[" PACK "], []]}");

    cr_expect_eq(a->digest, b->digest);
    cr_expect_neq(a->digest, c->digest);
    cr_expect_neq(d->digest, e->digest);
    weft_plan_file_free(a);
    weft_plan_file_free(b);
    weft_plan_file_free(c);
    weft_plan_file_free(d);
    weft_plan_file_free(e);
}

static int prove(const char *text)
{
    weft_plan_algo *a = NULL;
    const int rc = weft_plan_algo_prove(parsed(text), &a);

    weft_plan_algo_unref(a);
    return rc;
}

Test(plan_file, a_wrong_plan_is_told_with_file_rank_and_step)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {HEAD "[" PACK "," SEND0 "," FENCE "," UNPACK "]," RANK1 "]}", "rank 0 of 2, step 3"},
        {HEAD "[" PACK "," RECV0 "," FENCE "," SEND0 "," MERGE0 "," UNPACK "],"
              "[" PACK ",{\"do\": \"recv\", \"slot\": 1, \"from\": 0}," FENCE
              ",{\"do\": \"send\", \"slot\": 0, \"to\": 0},"
              "{\"do\": \"merge\", \"slot\": 1, \"other\": 0}," UNPACK "]]}",
         "deadlock: rank 0 of 2 waits at step 2"},
        {HEAD RANK0 ",[" PACK ",{\"do\": \"send\", \"slot\": 0, \"to\": 0},"
                    "{\"do\": \"recv\", \"slot\": 1, \"from\": 0}," FENCE "," UNPACK "]]}",
         "rank 1 of 2: block 0 element 0 of the output, last written by step 4, lacks the "
         "contribution of rank 1"},
        {HEAD RANK0 ",[" PACK ",{\"do\": \"send\", \"slot\": 0, \"to\": 0},"
                    "{\"do\": \"recv\", \"slot\": 1, \"from\": 0}," FENCE
                    ",{\"do\": \"merge\", \"slot\": 1, \"other\": 0, "
                    "\"order\": \"other_first\"}," UNPACK "]]}",
         "is summed in another order"},
        {HEAD "[" PACK "," SEND0 "," RECV0 "," FENCE "," MERGE0
              ",{\"do\": \"fold\", \"slot\": 1}," UNPACK "]," RANK1 "]}",
         "rank 0 of 2, step 5 (fold): the contribution of rank 0 to element 0 counts twice"},
        {HEAD "[" PACK "," SEND0 "," RECV0 "," FENCE "," UNPACK
              ",{\"do\": \"pack\", \"slot\": 2}]," RANK1 "]}",
         "step 4 (unpack): in place, the input"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(prove(cases[i].text), WEFT_EINVAL);
        const char *why = weft_last_error()->message;
        cr_expect(strstr(why, "plan file file.json: "), "%s", why);
        cr_expect(strstr(why, cases[i].words), "\"%s\" lacks \"%s\"", why, cases[i].words);
    }
    cr_expect_eq(prove(SWAP), 0, "%s", weft_last_error()->message);
}

Test(plan_file, what_would_take_too_long_to_prove_is_refused)
{
    /* 400 folds and unpacks of 65536 parts each by 16 ranks. */
    const size_t steps = 800, bytes = 16 * (steps + 2) * 60;
    char *text = malloc(bytes);
    size_t len = (size_t)sprintf(text, "{\"weft_plan\": 1, \"collective\": \"allreduce\", "
                                       "\"peers\": 16, \"parts\": 65536, \"ranks\": [");

    for (int rank = 0; rank < 16; rank++) {
        len += (size_t)sprintf(text + len, "%s[" PACK, rank ? "," : "");
        for (size_t i = 0; i < steps; i++)
            len += (size_t)sprintf(text + len, ",{\"do\": \"%s\", \"slot\": 0}",
                                   i % 2 ? "unpack" : "fold");
        len += (size_t)sprintf(text + len, "]");
    }
    cr_assert_lt(len + 3, bytes);
    memcpy(text + len, "]}", 3);
    cr_expect_eq(prove(text), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "too large to be proved"), "%s",
              weft_last_error()->message);
    free(text);
}

Test(plan_file, out_of_memory_anywhere_is_reported)
{
    int rc = WEFT_ENOMEM;
    long n = 1;

    for (; rc; n++) {
        weft_plan_file *f = NULL;
        weft_plan_algo *a = NULL;
        weft_mem_fail_at(n);
        rc = parse(SWAP, &f);
        if (!rc)
            rc = weft_plan_algo_prove(f, &a);
        weft_mem_fail_at(0);
        cr_assert(rc == 0 || rc == WEFT_ENOMEM, "allocation %ld gave %d: %s", n, rc,
                  weft_last_error()->message);
        weft_plan_algo_unref(a);
    }
    cr_expect_gt(n, 30);
}

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

Test(plan_file, a_spec_opens_it_and_a_pick_holds_it)
{
    const char *path = saved(SWAP);
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

Test(plan_file, it_serves_what_it_was_written_for)
{
    const char *path = saved(SWAP);
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

Test(plan_file, without_a_path_or_a_file_there_is_no_plan)
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

Test(plan_file, a_pipe_without_a_writer_is_not_waited_for)
{
    const char *path = saved("");
    weft_plan_file *f;

    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(weft_plan_file_read(path, &f), WEFT_EINVAL);
    removed(path);
}

Test(plan_file, kept_files_are_read_once)
{
    const char *path = saved(SWAP);
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

Test(plan_file, an_exported_algorithm_is_a_plan_file)
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

Test(plan_file, it_goes_along_a_topology_that_has_its_edges)
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

Test(plan_file, one_that_reduces_in_rank_order_is_known)
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

Test(plan_file, facts_are_those_of_the_file)
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

Test(plan_file, an_export_that_cannot_be_is_told)
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

Test(plan_file, places_of_an_order_are_its_ranks)
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
