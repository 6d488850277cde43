/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"

Test(status, is_ok_before_the_first_failure)
{
    cr_assert_eq(weft_last_error()->code, WEFT_OK);
    cr_assert_eq(weft_last_error()->rank, -1);
    cr_assert_str_eq(weft_last_error()->message, "");
}

Test(status, every_code_has_a_name_and_a_text)
{
    cr_assert_str_eq(weft_status_name(WEFT_EPEER), "EPEER");
    cr_assert_str_eq(weft_status_text(WEFT_EPEER), "a peer died or left");
    cr_assert_str_eq(weft_status_name(WEFT_OK), "OK");
    cr_assert_str_eq(weft_status_name(-999), "unknown");
    cr_assert_str_eq(weft_status_text(2), "unknown");
#define DISTINCT(name, value, text) cr_expect_str_eq(weft_status_name(value), #name);
    WEFT_STATUS_MAP(DISTINCT)
#undef DISTINCT
}

Test(status, fail_returns_the_code_and_keeps_the_text)
{
    cr_assert_eq(weft_fail(WEFT_EINVAL, "count %d > limit %s", 7, "5"), WEFT_EINVAL);
    cr_assert_eq(weft_last_error()->code, WEFT_EINVAL);
    cr_assert_eq(weft_last_error()->rank, -1);
    cr_assert_str_eq(weft_last_error()->message, "count 7 > limit 5");
    cr_assert_eq(weft_fail_rank(WEFT_EPEER, 3, "rank 3 is gone"), WEFT_EPEER);
    cr_assert_eq(weft_last_error()->rank, 3);
}

Test(status, context_goes_before_the_text_and_keeps_code_and_rank)
{
    weft_fail_rank(WEFT_EPEER, 2, "connection reset");
    cr_assert_eq(weft_fail_context("allreduce %d", 9), WEFT_EPEER);
    cr_assert_str_eq(weft_last_error()->message, "allreduce 9: connection reset");
    cr_assert_eq(weft_last_error()->rank, 2);
}

Test(status, the_last_text_may_be_an_argument_of_the_next)
{
    weft_fail(WEFT_EIO, "inner");
    weft_fail(WEFT_EIO, "outer (%s)", weft_last_error()->message);
    cr_assert_str_eq(weft_last_error()->message, "outer (inner)");
}

Test(status, a_message_is_one_line_of_bounded_length)
{
    char text[3 * WEFT_MESSAGE_BYTES];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    text[4] = '\n';
    text[5] = '\x1b';
    weft_fail(WEFT_EIO, "%s", text);
    cr_assert_eq(strlen(weft_last_error()->message), WEFT_MESSAGE_BYTES - 1);
    cr_assert_eq(strncmp(weft_last_error()->message, "xxxx??xx", 8), 0);
    weft_fail_context("%s", text);
    cr_assert_eq(strlen(weft_last_error()->message), WEFT_MESSAGE_BYTES - 1);
}

Test(status, the_first_problem_stays)
{
    weft_problem problem = {.code = WEFT_OK};
    weft_problem_set(&problem, WEFT_ETIMEDOUT, 4, "rank %d is late", 4);
    weft_problem_set(&problem, WEFT_EIO, 1, "later");
    cr_assert_eq(problem.code, WEFT_ETIMEDOUT);
    cr_assert_eq(problem.rank, 4);
    cr_assert_str_eq(problem.text, "rank 4 is late");
    cr_assert_eq(weft_fail_problem(&problem), WEFT_ETIMEDOUT);
    cr_assert_str_eq(weft_last_error()->message, "rank 4 is late");
    cr_assert_eq(weft_last_error()->rank, 4);
}

Test(status, a_problem_takes_over_the_last_error)
{
    weft_problem problem = {.code = WEFT_OK};
    weft_problem_from_last(&problem);
    cr_assert_eq(problem.code, WEFT_OK, "no error, no problem");
    weft_fail_rank(WEFT_ECODEC, 5, "100%% wrong");
    weft_problem_from_last(&problem);
    cr_assert_eq(problem.code, WEFT_ECODEC);
    cr_assert_eq(problem.rank, 5);
    cr_assert_str_eq(problem.text, "100% wrong");
}

static void *fail_elsewhere(void *ret_before)
{
    *(int *)ret_before = weft_last_error()->code;
    weft_fail(WEFT_ENOMEM, "in another thread");
    return NULL;
}

Test(status, each_thread_has_its_own_last_error)
{
    int before = -1;
    pthread_t thread;
    weft_fail(WEFT_EINVAL, "mine");
    cr_assert_eq(pthread_create(&thread, NULL, fail_elsewhere, &before), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(before, WEFT_OK);
    cr_assert_str_eq(weft_last_error()->message, "mine");
}

Test(status, what_a_thread_does_for_others_is_no_error_of_its_own)
{
    cr_assert_not(weft_status_for_others(true));
    weft_fail(WEFT_EIO, "a stranger's");
    cr_assert_eq(weft_fail_context("%s", "at work"), WEFT_EIO);
    cr_assert_str_eq(weft_last_error()->message, "at work: a stranger's");
    cr_assert(weft_status_for_others(false));
    cr_assert_eq(weft_last_error()->code, WEFT_OK);
    weft_fail(WEFT_EINVAL, "mine");
    cr_assert_not(weft_status_for_others(true));
    cr_assert_str_eq(weft_last_error()->message, "at work: a stranger's");
    weft_fail(WEFT_EIO, "another's");
    (void)weft_status_for_others(false);
    cr_assert_str_eq(weft_last_error()->message, "mine");
}

static void keep_line(void *user, int level, const char *line)
{
    char *out = user;
    snprintf(out, 64, "%d %s", level, line);
}

Test(log, lines_go_to_the_function_given)
{
    char got[64] = "";
    weft_log log = {.line = keep_line, .user = got};
    weft_log_write(&log, WEFT_LOG_WARN, "%s %d", "rank", 3);
    cr_assert_str_eq(got, "1 rank 3");
}

Test(log, without_a_function_nothing_happens)
{
    weft_log log = {.line = NULL};
    weft_log_write(&log, WEFT_LOG_ERROR, "nobody hears");
    weft_log_write(NULL, WEFT_LOG_ERROR, "nobody hears");
}
