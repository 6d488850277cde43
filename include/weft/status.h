/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file status.h
 * Result codes and the detailed last error.
 *
 * Every function that can fail returns an int: WEFT_OK (0) or a negative code. WEFT_PENDING is
 * positive and comes only from weft_wait() and weft_test(). The text behind a code is in
 * weft_last_error() (this thread's last failed call) and, for asynchronous operations, in
 * weft_request_error().
 */
#ifndef WEFT_STATUS_H
#define WEFT_STATUS_H

#include <weft/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, text): one list makes the enum, the names and the texts. */
#define WEFT_STATUS_MAP(X)                                                                         \
    X(OK, 0, "success")                                                                            \
    X(PENDING, 1, "in progress")                                                                   \
    X(EINVAL, -1, "invalid argument")                                                              \
    X(ENOMEM, -2, "out of memory")                                                                 \
    X(ETIMEDOUT, -3, "no progress within the timeout")                                             \
    X(ECANCELED, -4, "canceled")                                                                   \
    X(EPEER, -5, "a peer died or left")                                                            \
    X(EMISMATCH, -6, "peers called different operations")                                          \
    X(EPROTO, -7, "protocol error")                                                                \
    X(ECODEC, -8, "corrupt encoding")                                                              \
    X(ENOTSUP, -9, "not supported")                                                                \
    X(EBROKEN, -10, "the group failed earlier")                                                    \
    X(EIO, -11, "operating system or ZeroMQ error")                                                \
    X(EINTERNAL, -12, "bug in weft")                                                               \
    X(EVERSION, -13, "peers speak different protocol versions")                                    \
    X(ENONFINITE, -14, "NaN or infinity in the input")                                             \
    X(EFORKED, -15, "called in a forked child")                                                    \
    X(EDUPLICATE, -16, "two peers claim one rank")

/** Result codes. */
enum weft_status {
#define WEFT_STATUS_ENUM(name, value, text) WEFT_##name = (value),
    WEFT_STATUS_MAP(WEFT_STATUS_ENUM)
#undef WEFT_STATUS_ENUM
};

/** What went wrong, in full. */
typedef struct weft_error {
    int code;            /**< one of enum weft_status, negative */
    int rank;            /**< the rank it is about (a dead, late or mismatched peer), or -1 */
    const char *message; /**< one line of English, never NULL */
} weft_error;

/**
 * The last error of a weft call made by this thread.
 *
 * @return never NULL; code is WEFT_OK before the first failure. Valid until this thread's next
 *         weft call. Threads: each has its own.
 */
WEFT_API const weft_error *weft_last_error(void);

/** "EPEER" for WEFT_EPEER, "unknown" for what is no code. Static storage. */
WEFT_API const char *weft_status_name(int code);

/** "a peer died or left" for WEFT_EPEER. Static storage. */
WEFT_API const char *weft_status_text(int code);

#ifdef __cplusplus
}
#endif
#endif
