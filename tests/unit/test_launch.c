/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/group.h>

#include "base/status.h"
#include "roster/hostlist.h"
#include "roster/roster.h"

/* An environment: "NAME=value" texts, NULL ends. */
static const char *from_list(void *user, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *e = user; *e; e++)
        if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
            return *e + len + 1;
    return NULL;
}

#define ENV(...) ((const char *[]){__VA_ARGS__, NULL})
#define NO_ENV ((const char *[]){NULL})

static weft_group_opts defaults(void)
{
    return (weft_group_opts){.size = sizeof(weft_group_opts), .rank = -1};
}

static int launch(const char **env, const weft_group_opts *opts, weft_meeting *ret)
{
    memset(ret, 0xee, sizeof(*ret));
    return weft_launch_read(opts, from_list, (void *)env, ret);
}

/* It fails with EINVAL and the text holds every word of the comma list. */
static void fails_naming(const char **env, const weft_group_opts *opts, const char *words)
{
    weft_meeting m;
    char list[512], *save = NULL;
    cr_assert_eq(launch(env, opts, &m), WEFT_EINVAL, "expected an error naming %s, got meet %s",
                 words, m.meet);
    cr_assert_eq((unsigned char)m.meet[0], 0xee, "the result is untouched on failure");
    snprintf(list, sizeof(list), "%s", words);
    for (char *w = strtok_r(list, ",", &save); w; w = strtok_r(NULL, ",", &save))
        cr_assert_not_null(strstr(weft_last_error()->message, w), "\"%s\" is not in: %s", w,
                           weft_last_error()->message);
}

static void reads(const char **env, const weft_group_opts *opts, int rank, int peers,
                  const char *meet, const char *job)
{
    weft_meeting m;
    cr_assert_eq(launch(env, opts, &m), WEFT_OK, "%s", weft_last_error()->message);
    cr_assert_eq(m.rank, rank, "rank %d, expected %d (%s)", m.rank, rank, m.tried);
    cr_assert_eq(m.peers, peers, "%d peers, expected %d", m.peers, peers);
    cr_assert_str_eq(m.meet, meet);
    cr_assert_str_eq(m.job, job);
}

Test(launch, weft_variables_name_everything)
{
    reads(ENV("WEFT_RANK=1", "WEFT_SIZE=3", "WEFT_MEET=file:///mnt/x", "WEFT_JOB=j7"), NULL, 1, 3,
          "file:///mnt/x", "j7");
}

Test(launch, size_alone_means_rank_by_order)
{
    reads(ENV("WEFT_SIZE=3", "WEFT_MEET=tcp://a:1", "RANK=2", "WORLD_SIZE=3"), NULL, -1, 3,
          "tcp://a:1", "weft");
}

Test(launch, options_stand_over_the_environment)
{
    weft_group_opts o = defaults();
    o.peers = 2;
    o.rank = 0;
    o.meet = "tcp://h:9";
    o.job = "mine";
    reads(ENV("WEFT_RANK=1", "WEFT_SIZE=3", "WEFT_MEET=file:///x", "WEFT_JOB=j7", "RANK=1",
              "PMI_SIZE=4"),
          &o, 0, 2, "tcp://h:9", "mine");
}

Test(launch, weft_variables_stand_over_a_launcher)
{
    reads(ENV("WEFT_RANK=1", "WEFT_SIZE=2", "WEFT_MEET=file:///x", "RANK=5", "WORLD_SIZE=8"), NULL,
          1, 2, "file:///x", "weft");
}

Test(launch, one_peer_needs_no_place)
{
    weft_group_opts o = defaults();
    o.peers = 1;
    reads(NO_ENV, &o, -1, 1, "", "weft");
    reads(ENV("RANK=0", "WORLD_SIZE=1"), NULL, 0, 1, "", "weft");
}

Test(launch, nothing_set_says_what_to_set)
{
    fails_naming(NO_ENV, NULL, "WEFT_SIZE,WEFT_RANK,WEFT_MEET,torchrun,mpirun,srun");
    fails_naming(ENV("WEFT_SIZE="), NULL, "WEFT_SIZE");
}

Test(launch, no_place_says_what_to_set)
{
    fails_naming(ENV("WEFT_SIZE=2"), NULL, "WEFT_MEET,2 peers");
}

Test(launch, numbers_are_checked)
{
    fails_naming(ENV("WEFT_SIZE=two"), NULL, "WEFT_SIZE,two");
    fails_naming(ENV("WEFT_SIZE=0"), NULL, "WEFT_SIZE");
    fails_naming(ENV("WEFT_SIZE=65536"), NULL, "WEFT_SIZE");
    fails_naming(ENV("WEFT_SIZE=3x"), NULL, "WEFT_SIZE,3x");
    fails_naming(ENV("WEFT_SIZE=3", "WEFT_RANK=-1"), NULL, "WEFT_RANK");
    fails_naming(ENV("WEFT_SIZE=3", "WEFT_RANK=3", "WEFT_MEET=file:///x"), NULL,
                 "WEFT_RANK=3,WEFT_SIZE=3");
    fails_naming(ENV("RANK=4", "WORLD_SIZE=4"), NULL, "RANK=4,WORLD_SIZE=4");
    fails_naming(ENV("WEFT_SIZE=2", "WEFT_MEET=file:///a b"), NULL, "WEFT_MEET");
    weft_group_opts o = defaults();
    o.peers = -2;
    fails_naming(NO_ENV, &o, "peers=-2");
}

Test(launch, rank_without_size_is_an_error)
{
    fails_naming(ENV("WEFT_RANK=1"), NULL, "WEFT_RANK,WEFT_SIZE");
    fails_naming(ENV("RANK=1"), NULL, "RANK,WORLD_SIZE");
    fails_naming(ENV("WORLD_SIZE=2"), NULL, "RANK,WORLD_SIZE");
    fails_naming(ENV("OMPI_COMM_WORLD_SIZE=2"), NULL, "OMPI_COMM_WORLD_RANK");
    fails_naming(ENV("PMI_RANK=1"), NULL, "PMI_RANK,PMI_SIZE");
    fails_naming(ENV("PMIX_RANK=1"), NULL, "PMIX_RANK,WEFT_SIZE");
    fails_naming(ENV("SLURM_STEP_ID=0", "SLURM_PROCID=1"), NULL, "SLURM_PROCID,SLURM_");
}

Test(launch, torchrun_meets_behind_its_master_port)
{
    const char **env = ENV("RANK=1", "WORLD_SIZE=4", "MASTER_ADDR=node0", "MASTER_PORT=29500",
                           "TORCHELASTIC_RUN_ID=abc", "TORCHELASTIC_RESTART_COUNT=2");
    reads(env, NULL, 1, 4, "tcp://node0:29501", "abc.2");
}

Test(launch, torchrun_meet_port_can_be_chosen)
{
    reads(ENV("RANK=1", "WORLD_SIZE=4", "MASTER_ADDR=node0", "WEFT_MEET_PORT=7000"), NULL, 1, 4,
          "tcp://node0:7000", "weft");
}

Test(launch, torchrun_place_errors_name_the_variables)
{
    fails_naming(ENV("RANK=1", "WORLD_SIZE=4"), NULL, "MASTER_ADDR,WEFT_MEET");
    fails_naming(ENV("RANK=1", "WORLD_SIZE=4", "MASTER_ADDR=a"), NULL,
                 "MASTER_PORT,WEFT_MEET_PORT");
    fails_naming(ENV("RANK=1", "WORLD_SIZE=4", "MASTER_ADDR=a", "MASTER_PORT=65535"), NULL,
                 "MASTER_PORT=65535,WEFT_MEET_PORT");
    fails_naming(ENV("RANK=1", "WORLD_SIZE=4", "MASTER_ADDR=a", "MASTER_PORT=x"), NULL,
                 "MASTER_PORT,x");
    fails_naming(ENV("RANK=1", "WORLD_SIZE=4", "MASTER_ADDR=a", "WEFT_MEET_PORT=0"), NULL,
                 "WEFT_MEET_PORT");
}

Test(launch, variables_of_the_job_inside_torchrun_are_ignored)
{
    reads(ENV("RANK=3", "WORLD_SIZE=4", "MASTER_ADDR=a", "MASTER_PORT=1", "TORCHELASTIC_RUN_ID=r",
              "SLURM_PROCID=1", "SLURM_NTASKS=2", "SLURM_STEP_ID=0", "SLURM_JOB_ID=5",
              "SLURM_STEP_NODELIST=n[1-2]", "OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=2"),
          NULL, 3, 4, "tcp://a:2", "r.0");
}

Test(launch, launchers_that_contradict_are_an_error_naming_both)
{
    fails_naming(ENV("RANK=3", "WORLD_SIZE=4", "MASTER_ADDR=a", "MASTER_PORT=1",
                     "OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=2"),
                 NULL,
                 "RANK=3,WORLD_SIZE=4,OMPI_COMM_WORLD_RANK=0,OMPI_COMM_WORLD_SIZE=2,WEFT_RANK");
}

Test(launch, launchers_that_agree_are_fine)
{
    reads(ENV("RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=a", "MASTER_PORT=1", "OMPI_COMM_WORLD_RANK=1",
              "OMPI_COMM_WORLD_SIZE=2"),
          NULL, 1, 2, "tcp://a:2", "weft");
}

/* "file://FOLDER/weft-UID-JOB" */
static const char *own_folder(char out[512], const char *folder, const char *job)
{
    snprintf(out, 512, "file://%s/weft-%u-%s", folder, (unsigned)getuid(), job);
    return out;
}

Test(launch, openmpi_on_one_host_meets_in_a_private_folder)
{
    char meet[512];
    weft_meeting m;
    const char **env =
        ENV("OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=4",
            "PMIX_NAMESPACE=prterun-x@1", "TMPDIR=/", "XDG_RUNTIME_DIR=/no/such/folder");
    reads(env, NULL, 1, 4, own_folder(meet, "/", "prterun-x_1"), "prterun-x@1");
    cr_assert_eq(launch(env, NULL, &m), WEFT_OK);
    cr_assert(m.own_folder);
    env = ENV("OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=4",
              "OMPI_MCA_ess_base_jobid=77");
    reads(env, NULL, 1, 4, own_folder(meet, "/tmp", "77"), "77");
}

Test(launch, openmpi_on_several_hosts_needs_a_place)
{
    fails_naming(ENV("OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=4",
                     "OMPI_COMM_WORLD_LOCAL_SIZE=2", "PMIX_NAMESPACE=1"),
                 NULL, "WEFT_MEET,OMPI_COMM_WORLD_LOCAL_SIZE,4 ranks,2 of them");
    fails_naming(ENV("PMI_RANK=1", "PMI_SIZE=4"), NULL, "WEFT_MEET");
    reads(ENV("OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=2",
              "PMIX_NAMESPACE=1", "WEFT_MEET=file:///mnt/x"),
          NULL, 1, 4, "file:///mnt/x", "1");
}

Test(launch, mpich_on_one_host_meets_in_a_private_folder)
{
    char meet[512];
    reads(ENV("PMI_RANK=0", "PMI_SIZE=2", "MPI_LOCALNRANKS=2", "PMIX_NAMESPACE=ns"), NULL, 0, 2,
          own_folder(meet, "/tmp", "ns"), "ns");
}

Test(launch, mpich_without_a_job_says_so)
{
    fails_naming(ENV("PMI_RANK=0", "PMI_SIZE=2", "MPI_LOCALNRANKS=2"), NULL, "WEFT_JOB,WEFT_MEET");
    char meet[512];
    reads(ENV("PMI_RANK=0", "PMI_SIZE=2", "MPI_LOCALNRANKS=2", "WEFT_JOB=k"), NULL, 0, 2,
          own_folder(meet, "/tmp", "k"), "k");
}

Test(launch, srun_meets_at_the_first_host_of_the_step)
{
    reads(ENV("SLURM_PROCID=2", "SLURM_NTASKS=8", "SLURM_STEP_NUM_TASKS=4", "SLURM_STEP_ID=3",
              "SLURM_JOB_ID=123456", "SLURM_STEP_NODELIST=gnode[10,20-22],x3",
              "SLURM_JOB_NODELIST=a[1-9]"),
          NULL, 2, 4, "tcp://gnode10:23456", "123456.3");
    reads(ENV("SLURM_PROCID=2", "SLURM_NTASKS=8", "SLURM_STEPID=0", "SLURM_JOB_ID=19",
              "SLURM_JOB_NODELIST=solo", "WEFT_MEET_PORT=9", "SLURM_RESTART_COUNT=1"),
          NULL, 2, 8, "tcp://solo:9", "19.0.r1");
}

Test(launch, srun_place_errors_name_the_variables)
{
    fails_naming(ENV("SLURM_PROCID=2", "SLURM_NTASKS=8", "SLURM_STEP_ID=0", "SLURM_JOB_ID=19"),
                 NULL, "SLURM_STEP_NODELIST,WEFT_MEET");
    fails_naming(ENV("SLURM_PROCID=2", "SLURM_NTASKS=8", "SLURM_STEP_ID=0", "SLURM_JOB_ID=19",
                     "SLURM_STEP_NODELIST=a[1"),
                 NULL, "SLURM_STEP_NODELIST,a[1");
    fails_naming(
        ENV("SLURM_PROCID=2", "SLURM_NTASKS=8", "SLURM_STEP_ID=0", "SLURM_STEP_NODELIST=a"), NULL,
        "SLURM_JOB_ID,WEFT_MEET_PORT");
}

Test(launch, a_batch_script_is_no_step)
{
    fails_naming(ENV("SLURM_PROCID=0", "SLURM_NTASKS=8", "SLURM_JOB_ID=19", "SLURM_JOB_NODELIST=a"),
                 NULL, "WEFT_SIZE");
}

Test(launch, srun_with_pmi_uses_the_steps_place)
{
    reads(ENV("PMI_RANK=1", "PMI_SIZE=4", "SLURM_PROCID=1", "SLURM_NTASKS=4", "SLURM_STEP_ID=0",
              "SLURM_JOB_ID=7", "SLURM_STEP_NODELIST=n[01-02]"),
          NULL, 1, 4, "tcp://n01:20007", "7.0");
}

Test(launch, peers_option_that_contradicts_a_launcher_needs_a_rank)
{
    weft_group_opts o = defaults();
    o.peers = 2;
    o.meet = "file:///x";
    fails_naming(ENV("RANK=3", "WORLD_SIZE=4"), &o, "peers=2,WORLD_SIZE=4,rank");
    reads(ENV("RANK=1", "WORLD_SIZE=2"), &o, 1, 2, "file:///x", "weft");
}

Test(launch, the_account_names_what_was_read)
{
    weft_meeting m;
    cr_assert_eq(launch(ENV("RANK=1", "WORLD_SIZE=4", "MASTER_ADDR=node0", "MASTER_PORT=29500",
                            "TORCHELASTIC_RUN_ID=abc"),
                        NULL, &m),
                 WEFT_OK);
    const char *words[] = {"RANK",
                           "WORLD_SIZE",
                           "MASTER_ADDR",
                           "MASTER_PORT + 1",
                           "TORCHELASTIC_RUN_ID",
                           "tcp://node0:29501"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        cr_assert_not_null(strstr(m.tried, words[i]), "%s is not in %s", words[i], m.tried);
}

Test(launch, the_process_environment_is_the_default)
{
    weft_meeting m;
    setenv("WEFT_SIZE", "5", 1);
    setenv("WEFT_RANK", "4", 1);
    setenv("WEFT_MEET", "tcp://q:1", 1);
    cr_assert_eq(weft_launch_read(NULL, NULL, NULL, &m), WEFT_OK);
    cr_assert_eq(m.rank, 4);
    cr_assert_str_eq(m.meet, "tcp://q:1");
}

static void host_is(const char *list, size_t index, const char *expected)
{
    char host[64];
    cr_assert_eq(weft_hostlist_get(list, index, host, sizeof(host)), WEFT_OK, "%s: %s", list,
                 weft_last_error()->message);
    cr_assert_str_eq(host, expected, "%s[%zu] is %s, expected %s", list, index, host, expected);
}

Test(hostlist, brackets_commas_and_ranges_expand_in_order)
{
    static const char *const all[] = {"gnode10", "gnode20", "gnode21", "gnode22", "x3"};
    for (size_t i = 0; i < 5; i++)
        host_is("gnode[10,20-22],x3", i, all[i]);
    host_is("a", 0, "a");
    host_is("n[008-012]", 0, "n008");
    host_is("n[008-012]", 3, "n011");
    host_is("r[1-2]n[1-3]x", 3, "r2n1x");
    host_is("r[1-2]n[1-3]x", 5, "r2n3x");
    host_is("a-b.example,c", 1, "c");
}

Test(hostlist, malformed_lists_are_refused)
{
    static const char *const bad[] = {
        "",     "a[1", "a]",      "a[]",   "a[1-]",           "a[3-1]",   "a,",    ",a",
        "a[x]", "a b", "a[1,,2]", "a[1]]", "a[0-1000000000]", "a[1-2-3]", "a[[1]]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char host[64] = "kept";
        cr_assert_eq(weft_hostlist_get(bad[i], 0, host, sizeof(host)), WEFT_EINVAL, "%s gives %s",
                     bad[i], host);
    }
    char small[4];
    cr_assert_eq(weft_hostlist_get("longname", 0, small, sizeof(small)), WEFT_EINVAL);
    cr_assert_eq(weft_hostlist_get("a[1-2]", 2, small, sizeof(small)), WEFT_EINVAL);
}
