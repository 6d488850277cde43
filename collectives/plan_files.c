/* SPDX-License-Identifier: Apache-2.0 */
/* Plan files that stay open. */
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_algo.h"

enum { FILES_MOST = 64 };

struct weft_plan_files {
    pthread_mutex_t lock;
    weft_plan_algo *open[FILES_MOST];
    int count;
};

int weft_plan_files_open(weft_plan_files **ret)
{
    weft_plan_files *files = weft_calloc(1, sizeof *files);

    if (!files)
        return weft_fail(WEFT_ENOMEM, "no memory for plan files");
    pthread_mutex_init(&files->lock, NULL);
    *ret = files;
    return WEFT_OK;
}

void weft_plan_files_close(weft_plan_files **files)
{
    weft_plan_files *f = *files;

    if (!f)
        return;
    for (int i = 0; i < f->count; i++)
        weft_plan_algo_unref(f->open[i]);
    pthread_mutex_destroy(&f->lock);
    weft_free(f);
    *files = NULL;
}

static int load(const char *path, weft_plan_algo **ret)
{
    weft_plan_file *f;
    const int rc = weft_plan_file_read(path, &f);

    return rc ? rc : weft_plan_algo_prove(f, ret);
}

/* With the lock held. */
static int find_or_load(weft_plan_files *files, const char *path, weft_plan_algo **ret)
{
    int i = 0, rc;

    while (i < files->count && strcmp(weft_plan_algo_file(files->open[i])->path, path) != 0)
        i++;
    if (i == FILES_MOST)
        return weft_fail(WEFT_ENOTSUP, "plan file %s: %d others are open already", path,
                         FILES_MOST);
    if (i == files->count) {
        if ((rc = load(path, &files->open[i])))
            return rc;
        files->count++;
    }
    *ret = weft_plan_algo_ref(files->open[i]);
    return WEFT_OK;
}

int weft_plan_algo_open(weft_plan_files *files, const char *path, weft_plan_algo **ret)
{
    if (!files)
        return load(path, ret);
    pthread_mutex_lock(&files->lock);
    const int rc = find_or_load(files, path, ret);
    pthread_mutex_unlock(&files->lock);
    return rc;
}
