/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where peers of one launcher meet when nobody named a place, and how their job is called.
 *
 * torchrun: its own store listens on MASTER_PORT of MASTER_ADDR, so the seed is there on
 * WEFT_MEET_PORT, default MASTER_PORT + 1. srun: first host of the step, port 20000 + job id
 * mod 20000. mpirun names no host: on one host a private folder, else WEFT_MEET is needed.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/spec.h"
#include "base/status.h"
#include "roster/host.h"
#include "roster/hostlist.h"
#include "roster/launch.h"

enum { STEP_PORT = 20000, STEP_PORTS = 20000, HOST_TEXT = 256 };

static int env_number(const weft_launch *l, const char *name, long long min, long long max,
                      long long *ret)
{
    const char *text = weft_launch_env(l, name);
    if (!text)
        return 0;
    int status = weft_parse_int(name, text, min, max, ret);
    return status == WEFT_OK ? 1 : status;
}

int weft_launch_job(const weft_launch *l, char *out, size_t cap, const char **from)
{
    const char *id, *part;
    weft_process parent;
    int len = 0;
    weft_launcher which = l->identity.launcher;
    if (which == WEFT_LAUNCHER_MPICH && weft_launch_step(l, &l->identity))
        which = WEFT_LAUNCHER_SRUN;
    switch (which) {
    case WEFT_LAUNCHER_TORCHRUN:
        id = weft_launch_env(l, *from = "TORCHELASTIC_RUN_ID");
        part = weft_launch_env(l, "TORCHELASTIC_RESTART_COUNT");
        if (id)
            len = snprintf(out, cap, "%s.%s", id, part ? part : "0");
        break;
    case WEFT_LAUNCHER_OPENMPI:
        id = weft_launch_env(l, *from = "PMIX_NAMESPACE");
        if (!id)
            id = weft_launch_env(l, *from = "OMPI_MCA_ess_base_jobid");
        if (id)
            len = snprintf(out, cap, "%s", id);
        break;
    case WEFT_LAUNCHER_MPICH:
        id = weft_launch_env(l, *from = "PMIX_NAMESPACE");
        if (id) {
            len = snprintf(out, cap, "%s", id);
        } else if (weft_process_ancestor("hydra_pmi_proxy", &parent)) {
            /* MPICH's launcher names no job, but all its processes of a host descend from one. */
            *from = "the process of hydra_pmi_proxy";
            len = snprintf(out, cap, "hydra-%d-%llu", (int)parent.pid,
                           (unsigned long long)parent.born);
        }
        break;
    default:
        id = weft_launch_env(l, *from = "SLURM_JOB_ID");
        part = weft_launch_env(l, "SLURM_STEP_ID");
        if (!part)
            part = weft_launch_env(l, "SLURM_STEPID");
        if (id) {
            /* A job that was put back into the queue keeps its id. */
            const char *again = weft_launch_env(l, "SLURM_RESTART_COUNT");
            len = snprintf(out, cap, "%s.%s%s%s", id, part ? part : "0", again ? ".r" : "",
                           again ? again : "");
        }
        break;
    }
    if (len <= 0) {
        *from = "default";
        return 0;
    }
    if ((size_t)len >= cap)
        return weft_fail(WEFT_EINVAL, "%s is too long for a job id: set WEFT_JOB", *from);
    return 1;
}

static int set_seed(weft_launch *l, const char *host, long long port, const char *from)
{
    weft_meeting *m = &l->m;
    int len = snprintf(m->meet, sizeof(m->meet), "tcp://%s:%lld", host, port);
    if (len < 0 || (size_t)len >= sizeof(m->meet))
        return weft_fail(WEFT_EINVAL, "host name of %zu characters from %s is too long",
                         strlen(host), from);
    weft_launch_note(l, "%s from %s", m->meet, from);
    return WEFT_OK;
}

static int torchrun_place(weft_launch *l)
{
    const char *host = weft_launch_env(l, "MASTER_ADDR");
    if (!host)
        return weft_fail(WEFT_EINVAL, "RANK and WORLD_SIZE are set but neither MASTER_ADDR nor "
                                      "WEFT_MEET: where do the peers meet?");
    long long port;
    int got = env_number(l, "WEFT_MEET_PORT", 1, 65535, &port);
    if (got != 0)
        return got < 0 ? got : set_seed(l, host, port, "MASTER_ADDR and WEFT_MEET_PORT");
    got = env_number(l, "MASTER_PORT", 1, 65535, &port);
    if (got < 0)
        return got;
    if (got == 0)
        return weft_fail(WEFT_EINVAL, "MASTER_ADDR is set but neither MASTER_PORT nor "
                                      "WEFT_MEET_PORT nor WEFT_MEET");
    if (port == 65535)
        return weft_fail(WEFT_EINVAL, "MASTER_PORT=65535 leaves no port behind it to meet on: set "
                                      "WEFT_MEET_PORT");
    return set_seed(l, host, port + 1, "MASTER_ADDR and MASTER_PORT + 1 (or set WEFT_MEET_PORT)");
}

static int step_place(weft_launch *l)
{
    static const char *const lists[] = {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST",
                                        "SLURM_NODELIST"};
    const char *list = NULL, *name = NULL;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && !list; i++)
        list = weft_launch_env(l, name = lists[i]);
    if (!list)
        return weft_fail(WEFT_EINVAL, "SLURM_PROCID is set but neither SLURM_STEP_NODELIST nor "
                                      "SLURM_JOB_NODELIST nor WEFT_MEET: where do the peers meet?");
    char host[HOST_TEXT];
    int status = weft_hostlist_get(list, 0, host, sizeof(host));
    if (status != WEFT_OK)
        return weft_fail_context("%s", name);
    char from[128];
    long long port, job;
    int got = env_number(l, "WEFT_MEET_PORT", 1, 65535, &port);
    if (got > 0) {
        snprintf(from, sizeof(from), "%s and WEFT_MEET_PORT", name);
        return set_seed(l, host, port, from);
    }
    if (got == 0)
        got = env_number(l, "SLURM_JOB_ID", 0, INT64_MAX, &job);
    if (got < 0)
        return got;
    if (got == 0)
        return weft_fail(WEFT_EINVAL,
                         "%s is set but neither SLURM_JOB_ID nor WEFT_MEET_PORT nor "
                         "WEFT_MEET: on which port do the peers meet?",
                         name);
    snprintf(from, sizeof(from), "%s and %d + SLURM_JOB_ID mod %d (or set WEFT_MEET_PORT)", name,
             STEP_PORT, STEP_PORTS);
    return set_seed(l, host, STEP_PORT + job % STEP_PORTS, from);
}

/* The first of the usual folders for short-lived files that is one and takes files. */
static const char *temporary_folder(const weft_launch *l, const char **from)
{
    static const char *const names[] = {"XDG_RUNTIME_DIR", "TMPDIR"};
    struct stat st;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *folder = weft_launch_env(l, names[i]);
        if (folder && folder[0] == '/' && stat(folder, &st) == 0 && S_ISDIR(st.st_mode) &&
            access(folder, W_OK | X_OK) == 0) {
            *from = names[i];
            return folder;
        }
    }
    *from = "neither XDG_RUNTIME_DIR nor TMPDIR";
    return "/tmp";
}

static int mpirun_place(weft_launch *l)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS",
                                        "PMI_LOCAL_SIZE"};
    const weft_identity *id = &l->identity;
    weft_meeting *m = &l->m;
    long long local = 0;
    int got = 0;
    const char *name = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && got == 0; i++)
        got = env_number(l, name = names[i], 1, 65535, &local);
    if (got < 0)
        return got;
    if (got == 0 || local != id->size) {
        if (weft_launch_step(l, id))
            return step_place(l);
        if (got == 0)
            return weft_fail(WEFT_EINVAL,
                             "%s names no place to meet: set WEFT_MEET (file:///SHARED/FOLDER or "
                             "tcp://HOST:PORT of one of the hosts) for all ranks",
                             id->label);
        return weft_fail(WEFT_EINVAL,
                         "%s runs %d ranks, %lld of them on this host (%s), and names no place to "
                         "meet: set WEFT_MEET (file:///SHARED/FOLDER or tcp://HOST:PORT of one of "
                         "the hosts) for all ranks",
                         id->label, id->size, local, name);
    }
    if (!l->job_found)
        return weft_fail(WEFT_EINVAL,
                         "%s names no job to keep two runs on this host apart: set WEFT_JOB, or "
                         "WEFT_MEET",
                         id->label);
    const char *from, *folder = temporary_folder(l, &from);
    char job[WEFT_JOB_TEXT];
    snprintf(job, sizeof(job), "%s", m->job);
    for (char *c = job; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '.' && *c != '-' && *c != '_')
            *c = '_';
    int len =
        snprintf(m->meet, sizeof(m->meet), "file://%s/weft-%u-%s", folder, (unsigned)getuid(), job);
    if (len < 0 || (size_t)len >= sizeof(m->meet))
        return weft_fail(WEFT_EINVAL, "%s is too long a path: set WEFT_MEET", from);
    m->own_folder = true;
    weft_launch_note(l, "%s from %s", m->meet, from);
    return WEFT_OK;
}

int weft_launch_place(weft_launch *l)
{
    if (!l->launched)
        return weft_fail(WEFT_EINVAL,
                         "where do the %d peers meet? Give option meet or WEFT_MEET: "
                         "file:///SHARED/FOLDER or tcp://HOST:PORT of one of them",
                         l->m.peers);
    switch (l->identity.launcher) {
    case WEFT_LAUNCHER_TORCHRUN:
        return torchrun_place(l);
    case WEFT_LAUNCHER_SRUN:
        return step_place(l);
    default:
        return mpirun_place(l);
    }
}
