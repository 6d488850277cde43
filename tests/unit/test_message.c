/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include <weft/status.h>

#include "base/mem.h"
#include "link/message.h"
#include "wire/frame.h"

static weft_pool *open_pool(size_t keep_bytes)
{
    weft_pool *pool = NULL;
    cr_assert_eq(weft_pool_open(&pool, keep_bytes), WEFT_OK);
    return pool;
}

Test(message, has_room_for_header_and_body)
{
    static const size_t bodies[] = {0, 1, 128, 129, 4096, 262144, 262145, 1000000};
    weft_pool *pool = open_pool(1 << 20);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        weft_message *m = weft_message_new(pool, bodies[i]);
        cr_assert_not_null(m);
        cr_expect_eq(m->len, WEFT_FRAME_HEADER + bodies[i]);
        cr_expect_geq(m->cap, m->len);
        cr_expect_eq((uintptr_t)m->data % 64, 0);
        cr_expect(weft_message_exclusive(m));
        memset(m->data, 0xee, m->cap); /* under a sanitizer this shows the room is there */
        weft_message_unref(m);
    }
    weft_pool_close(&pool);
    cr_expect_null(pool);
}

Test(message, released_memory_serves_the_next_message)
{
    weft_pool *pool = open_pool(1 << 20);
    weft_message *m = weft_message_new(pool, 200000);
    const uint8_t *data = m->data;
    weft_message_unref(m);
    m = weft_message_new(pool, 210000);
    cr_expect_eq(m->data, data);
    cr_expect_eq(m->len, WEFT_FRAME_HEADER + 210000);
    weft_message_unref(m);
    weft_pool_close(&pool);
}

Test(message, pool_keeps_no_more_than_it_may)
{
    enum { COUNT = 10, BODY = 100000 };
    weft_pool *pool = open_pool(3 * (WEFT_FRAME_HEADER + 131072));
    weft_message *m[COUNT];
    for (int i = 0; i < COUNT; i++)
        m[i] = weft_message_new(pool, BODY);
    for (int i = 0; i < COUNT; i++)
        weft_message_unref(m[i]);
    weft_mem_fail_at(0);
    for (int i = 0; i < COUNT; i++)
        m[i] = weft_message_new(pool, BODY);
    cr_expect_eq(weft_mem_count(), COUNT - 3, "%ld allocations", weft_mem_count());
    for (int i = 0; i < COUNT; i++)
        weft_message_unref(m[i]);
    weft_pool_close(&pool);
}

Test(message, outlives_its_pool)
{
    weft_pool *pool = open_pool(1 << 20);
    weft_message *a = weft_message_new(pool, 10), *b = weft_message_new(pool, 300000);
    weft_pool_close(&pool);
    memset(a->data, 1, a->len);
    memset(b->data, 1, b->len);
    weft_message_unref(a);
    weft_message_unref(b);
    weft_message_unref(NULL);
    weft_pool_close(&pool);
}

Test(message, writable_is_itself_when_exclusive_and_a_copy_when_shared)
{
    weft_pool *pool = open_pool(1 << 20);
    weft_message *m = weft_message_new(pool, 1000);
    memset(m->data, 7, m->len);
    cr_expect_eq(weft_message_writable(pool, m), m);

    weft_message *other = weft_message_ref(m);
    cr_expect_not(weft_message_exclusive(m));
    weft_message *copy = weft_message_writable(pool, m);
    cr_assert_not_null(copy);
    cr_expect_neq(copy, other);
    cr_expect(weft_message_exclusive(copy));
    cr_expect(weft_message_exclusive(other), "the reference was given back");
    cr_expect_eq(copy->len, other->len);
    cr_expect_arr_eq(copy->data, other->data, other->len);
    weft_message_unref(copy);
    weft_message_unref(other);
    weft_pool_close(&pool);
}

Test(message, writable_leaves_all_as_it_was_when_out_of_memory)
{
    weft_pool *pool = open_pool(0);
    weft_message *m = weft_message_new(pool, 1000), *other = weft_message_ref(m);
    weft_mem_fail_at(1);
    cr_expect_null(weft_message_writable(pool, m));
    cr_expect_null(weft_message_new(pool, 5));
    weft_mem_fail_at(0);
    cr_expect_not(weft_message_exclusive(m));
    weft_message_unref(m);
    weft_message_unref(other);
    cr_expect_null(weft_message_new(pool, SIZE_MAX - 10));
    cr_expect_null(weft_message_new(pool, SIZE_MAX - 100));
    weft_pool_close(&pool);
}

enum { THREADS = 4, ROUNDS = 5000 };

static void *churn(void *arg)
{
    weft_pool *pool = arg;
    for (size_t i = 0; i < ROUNDS; i++) {
        weft_message *m = weft_message_new(pool, i * 37 % 70000);
        if (m == NULL)
            return "out of memory";
        m->data[m->len - 1] = 1;
        weft_message_unref(m);
    }
    return NULL;
}

Test(message, any_thread_may_take_and_release)
{
    weft_pool *pool = open_pool(1 << 20);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, churn, pool), 0);
    for (int i = 0; i < THREADS; i++) {
        void *problem = NULL;
        pthread_join(threads[i], &problem);
        cr_expect_null(problem);
    }
    weft_pool_close(&pool);
}
