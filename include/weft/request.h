/* SPDX-License-Identifier: Apache-2.0 */
/** @file request.h Started operations: test, wait, cancel, free. */
#ifndef WEFT_REQUEST_H
#define WEFT_REQUEST_H

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Wait for an operation.
 *
 * @param timeout_ms  longest wait; WEFT_FOREVER: until it ends (its own timeout still holds). The
 *                    end of the wait does not end the operation.
 * @return 0; WEFT_PENDING still running; the operation's error; WEFT_EINVAL no request;
 *         WEFT_EFORKED in a child of the process that started it.
 * Threads: any, one waiter per request. A waiting thread may drive the group's engine itself.
 */
WEFT_API int weft_wait(weft_request *request, int64_t timeout_ms);

/** As weft_wait() with timeout 0: never blocks. */
WEFT_API int weft_test(weft_request *request);

/** Ask the operation to end with WEFT_ECANCELED, on every peer. Returns at once. */
WEFT_API void weft_cancel(weft_request *request);

/** Free a request. NULL-safe, sets *request to NULL. One that still runs is canceled first and
 *  its buffers are given back before this returns. */
WEFT_API void weft_request_free(weft_request **request);

/** The error of a request that ended with one; code WEFT_OK while it runs or after success. Valid
 *  until the request is freed. */
WEFT_API const weft_error *weft_request_error(const weft_request *request);

#ifdef __cplusplus
}
#endif
#endif
