/* SPDX-License-Identifier: Apache-2.0 */
/* A forked child gives back its copy of a group: nothing of the parent's goes with it. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "group/group.h"
#include "support/cluster.h"

typedef struct forks {
    gate forked;
} forks;

static int give_back(weft_group *group, weft_request *running)
{
    int wrong = 0;
    wrong |= weft_wait(running, 2000) != WEFT_EFORKED;
    wrong |= (weft_test(running) != WEFT_EFORKED) << 1;
    weft_cancel(running);
    wrong |= (weft_last_error()->code != WEFT_EFORKED) << 2;
    weft_request_free(&running);
    wrong |= (running != NULL) << 3;
    weft_group_close(&group);
    wrong |= (group != NULL) << 4;
    return wrong;
}

static void fork_body(member *me)
{
    const forks *f = me->user;
    float v[2] = {1.0f, 2.0f};
    weft_request *running = NULL;
    MUST_OK(me, weft_barrier(me->group, NULL));
    if (me->rank != 0) {
        MUST(me, gate_pass(&f->forked), "no fork");
    }
    MUST_OK(me, weft_allreduce_start(me->group, v, v, 2, WEFT_F32, WEFT_SUM, NULL, &running));
    if (me->rank == 0) {
        const char *entry = me->group->roster.file;
        MUST(me, entry != NULL && access(entry, F_OK) == 0, "no entry in the folder");
        MUST_END(me, WEFT_PENDING, weft_wait(running, 3));
        const pid_t child = fork();
        if (child == 0) {
            alarm(10);
            _exit(give_back(me->group, running));
        }
        int status = 0;
        waitpid(child, &status, 0);
        MUST(me, WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child: status 0x%x",
             (unsigned)status);
        MUST(me, access(entry, F_OK) == 0, "the child took the entry with it");
        MUST_END(me, WEFT_PENDING, weft_test(running));
        gate_open(&f->forked, me->size - 1);
    }
    MUST_OK(me, weft_wait(running, WEFT_FOREVER));
    MUST(me, v[0] == (float)me->size && v[1] == 2.0f * (float)me->size, "wrong bits");
    weft_request_free(&running);
    MUST_OK(me, weft_barrier(me->group, NULL));
}

Test(forked, a_child_gives_back_its_copy_and_takes_nothing_away)
{
    for (int link = CLUSTER_TCP; link <= CLUSTER_IPC; link++) {
        forks f = {gate_new()};
        cluster *c = cluster_start(
            &(cluster_plan){.link = (cluster_link)link, .size = 3, .body = fork_body, .user = &f});
        cluster_wait(c);
        cr_assert_eq(cluster_leftovers(c), 0, "entries are left");
        cluster_join(c);
    }
}
