/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "link/zmq_link.h"
#include "wire/frame.h"

enum {
    /* Up to here a copy costs less than sharing memory with the I/O thread. */
    COPY_SENT = 1024,
    /* ZeroMQ hands out messages below its 8192-byte batch as slices of one read buffer: unaligned,
     * and each keeps the whole buffer. Copied, an early frame that waits costs its own size. */
    COPY_RECEIVED = 8192,
    ALIGNED = 8,
};

/* A received message in ZeroMQ's memory. */
typedef struct received {
    weft_message m;
    zmq_msg_t msg;
} received;

static void release(weft_message *m)
{
    received *r = (received *)m;
    zmq_msg_close(&r->msg);
    weft_free(r);
}

weft_message *weft_zmq_receive(weft_zmq_link *l, zmq_msg_t *msg)
{
    const size_t len = zmq_msg_size(msg);
    uint8_t *data = zmq_msg_data(msg);
    if (len <= COPY_RECEIVED || (uintptr_t)data % ALIGNED != 0) {
        weft_message *m =
            weft_message_new(l->pool, len > WEFT_FRAME_HEADER ? len - WEFT_FRAME_HEADER : 0);
        if (m == NULL)
            return NULL;
        memcpy(m->data, data, len);
        m->len = len;
        return m;
    }
    received *r = weft_alloc(sizeof(*r));
    if (r == NULL)
        return NULL;
    zmq_msg_init(&r->msg);
    zmq_msg_move(&r->msg, msg);
    r->m = (weft_message){.data = data, .len = len, .cap = len, .release = release};
    atomic_init(&r->m.refs, 1);
    return &r->m;
}

/* On the I/O thread, once the bytes were written or the connection is gone. */
static void sent(void *data, void *hint)
{
    (void)data;
    weft_message_unref(hint);
}

static int send_copy(void *socket, weft_message *m)
{
    zmq_msg_t msg;
    if (zmq_msg_init_size(&msg, m->len) != 0)
        return zmq_errno();
    memcpy(zmq_msg_data(&msg), m->data, m->len);
    if (zmq_msg_send(&msg, socket, ZMQ_DONTWAIT) < 0) {
        const int error = zmq_errno();
        zmq_msg_close(&msg);
        return error;
    }
    weft_message_unref(m);
    return 0;
}

static int send_shared(void *socket, weft_message *m)
{
    zmq_msg_t msg;
    if (zmq_msg_init_data(&msg, m->data, m->len, sent, m) != 0)
        return zmq_errno();
    weft_message_ref(m); /* for sent(), which closing calls too */
    if (zmq_msg_send(&msg, socket, ZMQ_DONTWAIT) < 0) {
        const int error = zmq_errno();
        zmq_msg_close(&msg);
        return error;
    }
    weft_message_unref(m);
    return 0;
}

int weft_zmq_send_id(weft_zmq_link *l, const weft_accepted *a)
{
    int sent;
    do
        sent = zmq_send(l->router.socket, a->id, sizeof(a->id), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    while (sent < 0 && zmq_errno() == EINTR);
    return sent < 0 ? zmq_errno() : 0;
}

int weft_zmq_send(void *socket, weft_message *m)
{
    if (m->len <= COPY_SENT)
        return send_copy(socket, m);
    if (m->release == release && m->len == m->cap && weft_message_exclusive(m)) {
        /* Came from ZeroMQ and nobody else has it: give it back as it is. */
        received *r = (received *)m;
        if (zmq_msg_send(&r->msg, socket, ZMQ_DONTWAIT) < 0)
            return zmq_errno();
        weft_free(r);
        return 0;
    }
    return send_shared(socket, m);
}
