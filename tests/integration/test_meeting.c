/* SPDX-License-Identifier: Apache-2.0 */
/* Meetings of real processes over real sockets and folders that end well. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support/errand.h"

TestSuite(meeting, .init = errand_make_folder, .fini = errand_remove_folder, .timeout = 60);

Test(meeting, peers_meet_in_a_folder)
{
    for (int peers = 1; peers <= 5; peers++) {
        errand e[ERRAND_PEERS];
        for (int i = 0; i < peers; i++)
            e[i] = errand_by_file(peers, peers - 1 - i);
        errand_meet_all(e, peers);
        if (peers > 1) {
            char path[128];
            snprintf(path, sizeof(path), "%s/meet", errand_folder);
            cr_assert_eq(errand_files(path), 0, "entries are removed at close");
        }
    }
}

Test(meeting, peers_without_ranks_meet_in_a_folder)
{
    errand e[4];
    for (int i = 0; i < 4; i++)
        e[i] = errand_by_file(4, i == 2 ? 0 : -1);
    errand_meet_all(e, 4);
}

Test(meeting, peers_meet_at_a_seed)
{
    for (int peers = 1; peers <= 5; peers++) {
        errand e[ERRAND_PEERS];
        int port = errand_free_port();
        for (int i = 0; i < peers; i++)
            e[i] = errand_by_seed(peers, i, port);
        errand_meet_all(e, peers);
    }
}

Test(meeting, one_of_many_serves_a_port_that_all_could)
{
    errand e[4];
    int port = errand_free_port();
    for (int i = 0; i < 4; i++)
        e[i] = errand_by_seed(4, -1, port);
    errand_meet_all(e, 4);
    cr_assert_eq(errand_counts->binds, 1);
}

Test(meeting, the_server_may_come_last)
{
    errand e[3];
    runner r[3];
    int port = errand_free_port();
    for (int i = 0; i < 3; i++)
        e[i] = errand_by_seed(3, i, port);
    e[0].refused_port = e[1].refused_port = -1;
    r[0] = errand_start(&e[0]);
    r[1] = errand_start(&e[1]);
    errand_await(&errand_counts->downs, 4);
    cr_assert_eq(errand_counts->binds, 0);
    r[2] = errand_start(&e[2]);
    errand_check_met(r, e, 3);
    for (int i = 0; i < 3; i++)
        errand_stop(&r[i]);
}

Test(meeting, one_live_seed_of_two_suffices)
{
    errand e[3];
    int dead = errand_free_port(), live = errand_free_port();
    for (int i = 0; i < 3; i++) {
        e[i] = errand_by_seed(3, i, live);
        snprintf(e[i].meet, sizeof(e[i].meet), "tcp://127.0.0.1:%d,tcp://localhost:%d", dead, live);
        e[i].refused_port = dead;
    }
    errand_meet_all(e, 3);
    cr_assert_eq(errand_counts->binds, 1);
}

Test(meeting, peers_that_know_different_seeds_meet_through_them)
{
    errand e[4];
    int one = errand_free_port(), two = errand_free_port();
    for (int i = 0; i < 4; i++)
        e[i] = errand_by_seed(4, i, i < 2 ? one : two);
    for (int i = 0; i < 4; i += 3)
        snprintf(e[i].meet, sizeof(e[i].meet), "tcp://127.0.0.1:%d,tcp://127.0.0.1:%d", one, two);
    errand_meet_all(e, 4);
}

Test(meeting, a_server_that_is_killed_is_replaced)
{
    errand e[3];
    runner r[3];
    int port = errand_free_port();
    for (int i = 0; i < 3; i++)
        e[i] = errand_by_seed(3, i, port);
    runner killed = errand_start(&e[0]);
    errand_await(&errand_counts->binds, 1);
    r[1] = errand_start(&e[1]);
    errand_await(&errand_counts->ups, 1);
    errand_kill(&killed);
    r[0] = errand_start(&e[0]);
    r[2] = errand_start(&e[2]);
    errand_check_met(r, e, 3);
    for (int i = 0; i < 3; i++)
        errand_stop(&r[i]);
}

Test(meeting, peers_that_leave_at_once_let_the_others_begin)
{
    for (int way = 0; way < 2; way++) {
        errand e[4];
        int port = errand_free_port();
        for (int i = 0; i < 4; i++) {
            e[i] = way ? errand_by_seed(4, i, port) : errand_by_file(4, i);
            e[i].leave_at_once = true;
        }
        errand_meet_all(e, 4);
    }
}
