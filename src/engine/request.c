/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: the public side, and what they own. */
#include "engine/request.h"

#include "base/mem.h"
#include "engine/engine_loop.h"

weft_shared_plan *weft_shared_plan_ref(weft_shared_plan *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void weft_shared_plan_unref(weft_shared_plan *p)
{
    if (p != NULL && atomic_fetch_sub(&p->refs, 1) == 1) {
        weft_plan_free(&p->plan);
        weft_free(p);
    }
}

weft_request *weft_request_new(void)
{
    return weft_calloc(1, sizeof(weft_request));
}

void weft_request_discard(weft_request *r)
{
    if (r != NULL) {
        weft_codec_close(&r->codec);
        weft_codec_close(&r->reply);
        weft_request_discard(r->before);
        weft_free(r->scales);
        weft_free(r->bounds);
        weft_free(r->zeros);
        weft_shared_plan_unref(r->plan);
        weft_shared_plan_unref(r->tail);
        weft_free(r->in_lengths);
        weft_free(r->in_offsets);
        weft_free(r->out_lengths);
        weft_free(r->out_offsets);
        weft_free(r);
    }
}

int weft_wait(weft_request *request, int64_t timeout_ms)
{
    if (request == NULL) {
        return weft_fail(WEFT_EINVAL, "weft_wait: no request");
    }
    int rc = weft_loop_forked(request->loop);
    if (rc != WEFT_OK) {
        return rc;
    }
    rc = weft_loop_wait(request->loop, request, timeout_ms);
    return rc < 0 ? weft_fail_problem(&request->problem) : rc;
}

int weft_test(weft_request *request)
{
    return weft_wait(request, 0);
}

void weft_cancel(weft_request *request)
{
    if (request != NULL && weft_loop_forked(request->loop) == WEFT_OK) {
        weft_loop_cancel(request->loop, request);
    }
}

void weft_request_free(weft_request **request)
{
    if (request != NULL && *request != NULL) {
        weft_loop_forget((*request)->loop, *request);
        weft_request_discard(*request);
        *request = NULL;
    }
}

const weft_error *weft_request_error(const weft_request *request)
{
    return weft_loop_error(request->loop, (weft_request *)(uintptr_t)request);
}
