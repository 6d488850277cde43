/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is this peer, of how many, and in which job: options, then WEFT_*, then the launcher.
 * Where to meet, when nobody said, is launch_place.c's affair.
 */
#include "roster/launch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/group.h>

#include "base/spec.h"
#include "base/status.h"

enum { PEERS_MAX = 65535 };

/* In order of precedence. */
static const struct launcher_names {
    const char *label, *rank, *size[2];
} launchers[] = {
    [WEFT_LAUNCHER_TORCHRUN] = {"torchrun", "RANK", {"WORLD_SIZE", NULL}},
    [WEFT_LAUNCHER_OPENMPI] = {"Open MPI", "OMPI_COMM_WORLD_RANK", {"OMPI_COMM_WORLD_SIZE", NULL}},
    [WEFT_LAUNCHER_MPICH] = {"MPICH", "PMI_RANK", {"PMI_SIZE", NULL}},
    [WEFT_LAUNCHER_SRUN] = {"srun", "SLURM_PROCID", {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}},
};

static const char *process_getenv(void *user, const char *name)
{
    (void)user;
    return getenv(name);
}

const char *weft_launch_env(const weft_launch *l, const char *name)
{
    const char *value = l->getenv_fn(l->user, name);
    return value && value[0] ? value : NULL;
}

void weft_launch_note(weft_launch *l, const char *format, ...)
{
    size_t len = strlen(l->m.tried);
    if (len > 0 && len + 2 < sizeof(l->m.tried)) {
        memcpy(l->m.tried + len, ", ", 3);
        len += 2;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(l->m.tried + len, sizeof(l->m.tried) - len, format, args);
    va_end(args);
}

/* Is this process started by that launcher itself? Slurm's variables are in every process of a job,
 * those of a step only below srun. */
static bool is_step(const weft_launch *l)
{
    return weft_launch_env(l, "SLURM_STEP_ID") || weft_launch_env(l, "SLURM_STEPID");
}

/* Both numbers of a launcher. 1 both there, 0 none, negative: half or malformed. */
static int read_family(const weft_launch *l, weft_launcher which, weft_identity *ret)
{
    const struct launcher_names *n = &launchers[which];
    if (which == WEFT_LAUNCHER_SRUN && !is_step(l))
        return 0;
    const char *size_name = n->size[0], *rank = weft_launch_env(l, n->rank);
    const char *size = weft_launch_env(l, size_name);
    if (!size && n->size[1]) {
        size_name = n->size[1];
        size = weft_launch_env(l, size_name);
    }
    if (!rank && !size)
        return 0;
    if (!rank || !size)
        return weft_fail(WEFT_EINVAL, "environment of %s: %s is set but %s is not", n->label,
                         rank ? n->rank : size_name, rank ? size_name : n->rank);
    long long r, s;
    int status = weft_parse_int(size_name, size, 1, PEERS_MAX, &s);
    if (status == WEFT_OK)
        status = weft_parse_int(n->rank, rank, 0, PEERS_MAX - 1, &r);
    if (status != WEFT_OK)
        return status;
    if (r >= s)
        return weft_fail(WEFT_EINVAL, "environment of %s: %s=%lld is not below %s=%lld", n->label,
                         n->rank, r, size_name, s);
    *ret = (weft_identity){.launcher = which,
                           .label = n->label,
                           .rank = (int)r,
                           .size = (int)s,
                           .rank_name = n->rank,
                           .size_name = size_name};
    return 1;
}

/* The first launcher whose variables are there. Others may be there too when they say the same
 * (wrapper scripts copy them), when torchrun itself was started by another launcher, and srun's
 * always: mpirun starts its daemons through srun. 1 found, 0 none. */
static int find_launcher(const weft_launch *l, weft_identity *ret)
{
    int found = 0;
    for (int which = 0; which < WEFT_LAUNCHER_COUNT; which++) {
        if (found && which == WEFT_LAUNCHER_SRUN)
            break;
        weft_identity id = {0};
        int got = read_family(l, (weft_launcher)which, &id);
        if (got < 0)
            return got;
        if (got == 0)
            continue;
        if (!found) {
            *ret = id;
            found = 1;
            if (which == WEFT_LAUNCHER_TORCHRUN && weft_launch_env(l, "TORCHELASTIC_RUN_ID"))
                break;
        } else if (id.rank != ret->rank || id.size != ret->size) {
            return weft_fail(WEFT_EINVAL,
                             "environment: %s says %s=%d %s=%d, but %s says %s=%d %s=%d: unset "
                             "one of them, or set WEFT_RANK and WEFT_SIZE",
                             ret->label, ret->rank_name, ret->rank, ret->size_name, ret->size,
                             id.label, id.rank_name, id.rank, id.size_name, id.size);
        }
    }
    if (!found && weft_launch_env(l, "PMIX_RANK"))
        return weft_fail(WEFT_EINVAL, "environment: PMIX_RANK is set but no launcher tells the "
                                      "number of peers: set WEFT_SIZE");
    return found;
}

bool weft_launch_step(const weft_launch *l, const weft_identity *same)
{
    weft_identity id;
    if (read_family(l, WEFT_LAUNCHER_SRUN, &id) != 1)
        return false;
    return id.rank == same->rank && id.size == same->size;
}

/* An optional whole number of the environment. 1 there, 0 not. */
static int env_int(const weft_launch *l, const char *name, int min, int max, int *ret)
{
    const char *text = weft_launch_env(l, name);
    long long value;
    if (!text)
        return 0;
    int status = weft_parse_int(name, text, min, max, &value);
    if (status != WEFT_OK)
        return status;
    *ret = (int)value;
    return 1;
}

/* Size and rank as options and WEFT_* say: 0 and -1 where they do not. */
static int read_explicit(weft_launch *l, const weft_group_opts *o)
{
    weft_meeting *m = &l->m;
    if (o && (o->peers < 0 || o->peers > PEERS_MAX))
        return weft_fail(WEFT_EINVAL, "option peers=%d is not 1 … %d, or 0 for the environment's",
                         o->peers, PEERS_MAX);
    if (o && (o->rank < -1 || o->rank >= PEERS_MAX))
        return weft_fail(WEFT_EINVAL, "option rank=%d is not 0 … %d, or -1 for none", o->rank,
                         PEERS_MAX - 1);
    int got = 0;
    if (o && o->peers > 0) {
        m->peers = o->peers;
        l->size_from = "option peers";
    } else {
        got = env_int(l, "WEFT_SIZE", 1, PEERS_MAX, &m->peers);
        if (got > 0)
            l->size_from = "WEFT_SIZE";
    }
    if (got < 0)
        return got;
    if (o && o->rank >= 0) {
        m->rank = o->rank;
        l->rank_from = "option rank";
    } else {
        got = env_int(l, "WEFT_RANK", 0, PEERS_MAX - 1, &m->rank);
        if (got > 0)
            l->rank_from = "WEFT_RANK";
    }
    if (got < 0)
        return got;
    if (l->rank_from && !l->size_from)
        return weft_fail(WEFT_EINVAL, "%s is set but neither WEFT_SIZE nor option peers",
                         l->rank_from);
    return WEFT_OK;
}

/* Fill in from the launcher what is still open. */
static int take_identity(weft_launch *l, const weft_group_opts *o)
{
    weft_meeting *m = &l->m;
    const weft_identity *id = &l->identity;
    if (!l->size_from) {
        if (!l->launched)
            return weft_fail(WEFT_EINVAL,
                             "how many peers? Give option peers or WEFT_SIZE (and WEFT_RANK, "
                             "WEFT_MEET), or start under weft run, torchrun, mpirun or srun");
        m->peers = id->size;
        m->rank = id->rank;
        l->size_from = id->size_name;
        l->rank_from = id->rank_name;
    } else if (!l->rank_from && l->launched && o && o->peers > 0) {
        if (id->size != m->peers)
            return weft_fail(WEFT_EINVAL, "option peers=%d, but %s=%d (%s): give option rank too",
                             m->peers, id->size_name, id->size, id->label);
        m->rank = id->rank;
        l->rank_from = id->rank_name;
    }
    if (m->rank >= m->peers)
        return weft_fail(WEFT_EINVAL, "%s=%d is not below %s=%d", l->rank_from, m->rank,
                         l->size_from, m->peers);
    /* A launcher of another size started something else: its place is not this group's. */
    if (l->launched && id->size != m->peers)
        l->launched = false;
    if (m->rank >= 0)
        weft_launch_note(l, "rank %d of %d from %s and %s", m->rank, m->peers, l->rank_from,
                         l->size_from);
    else
        weft_launch_note(l, "%d peers from %s, rank by order", m->peers, l->size_from);
    return WEFT_OK;
}

static int copy_text(char *out, size_t cap, const char *what, const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len >= cap)
        return weft_fail(WEFT_EINVAL, "%s has %zu characters, 1 … %zu are possible", what, len,
                         cap - 1);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return weft_fail(WEFT_EINVAL, "%s \"%s\" holds a blank or control character", what,
                             text);
    memcpy(out, text, len + 1);
    return WEFT_OK;
}

/* The option, else the variable, into out. 1 there, 0 not. */
static int explicit_text(weft_launch *l, const char *option, const char *option_name,
                         const char *variable, char *out, size_t cap)
{
    const char *text = option ? option : weft_launch_env(l, variable);
    const char *from = option ? option_name : variable;
    if (!text)
        return 0;
    int status = copy_text(out, cap, from, text);
    if (status != WEFT_OK)
        return status;
    weft_launch_note(l, "%s from %s", out, from);
    return 1;
}

static int read_job(weft_launch *l, const weft_group_opts *o)
{
    weft_meeting *m = &l->m;
    int got = explicit_text(l, o ? o->job : NULL, "option job", "WEFT_JOB", m->job, sizeof(m->job));
    if (got != 0) {
        l->job_found = true;
        return got < 0 ? got : WEFT_OK;
    }
    char job[4 * WEFT_JOB_TEXT];
    const char *from = "default";
    got = l->launched ? weft_launch_job(l, job, sizeof(job), &from) : 0;
    if (got < 0)
        return got;
    l->job_found = got > 0;
    int status = copy_text(m->job, sizeof(m->job), "job id of the launcher", got ? job : "weft");
    if (status == WEFT_OK)
        weft_launch_note(l, "job %s from %s", m->job, from);
    return status;
}

int weft_launch_read(const weft_group_opts *o, weft_getenv_fn *getenv_fn, void *user,
                     weft_meeting *ret)
{
    weft_launch l = {.getenv_fn = getenv_fn ? getenv_fn : process_getenv, .user = user};
    weft_meeting *m = &l.m;
    m->rank = -1;
    int status = read_explicit(&l, o);
    if (status != WEFT_OK)
        return status;
    int placed =
        explicit_text(&l, o ? o->meet : NULL, "option meet", "WEFT_MEET", m->meet, sizeof(m->meet));
    if (placed < 0)
        return placed;
    bool ranked = l.rank_from || (l.size_from && !(o && o->peers > 0));
    if (!l.size_from || !ranked || (!placed && m->peers > 1)) {
        int got = find_launcher(&l, &l.identity);
        if (got < 0)
            return got;
        l.launched = got > 0;
    }
    status = take_identity(&l, o);
    if (status == WEFT_OK)
        status = read_job(&l, o);
    if (status == WEFT_OK && !placed && m->peers > 1)
        status = weft_launch_place(&l);
    if (status == WEFT_OK)
        *ret = *m;
    return status;
}
