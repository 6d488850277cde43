/* SPDX-License-Identifier: Apache-2.0 */
/* Plan files: what is read from them, and what is said of wrong ones. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_algo.h"

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
