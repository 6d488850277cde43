/* SPDX-License-Identifier: Apache-2.0 */
/* The ZeroMQ link against what a port meets: strangers, silence, parts, incarnations. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <weft/status.h>

#include "base/clock.h"
#include "base/rng.h"
#include "link/link_kit.h"
#include "wire/frame.h"

static struct sockaddr_in address_of(const char *endpoint)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)strtol(strrchr(endpoint, ':') + 1, NULL, 10));
    return a;
}

/* A plain connection that says `bytes` and then waits for the other side to close when `wait`. */
static void say(const char *endpoint, const void *bytes, size_t len, bool wait)
{
    const struct sockaddr_in a = address_of(endpoint);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
    char answer[256];
    while (wait && recv(fd, answer, sizeof(answer), 0) > 0)
        continue;
    close(fd);
}

/* A ZMTP 3.0 greeting of the NULL mechanism. */
static size_t greeting(uint8_t out[64])
{
    memset(out, 0, 64);
    out[0] = 0xff;
    out[8] = 1;
    out[9] = 0x7f;
    out[10] = 3;
    static const uint8_t mechanism[] = {'N', 'U', 'L', 'L'};
    memcpy(out + 12, mechanism, sizeof(mechanism));
    return 64;
}

static void exchange(kit *k, uint32_t conn, uint32_t *accepted)
{
    kit_send(k, 0, conn, 1, 3000);
    const uint32_t number = kit_receive(k, 1, 1, 3000);
    cr_assert(*accepted == 0 || *accepted == number);
    *accepted = number;
    kit_send(k, 1, number, 2, 100000);
    kit_receive(k, 0, 2, 100000);
}

Test(zmq_link, strangers_at_the_port_do_not_disturb)
{
    kit k = kit_open(KIT_TCP, 2);
    uint32_t accepted = 0;
    kit_dial(&k, 0, 2, 1);
    exchange(&k, 2, &accepted);

    const char *port = kit_endpoint(&k, 1);
    static const char http[] = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    uint8_t noise[4096], valid[64 + 256];
    weft_rng rng = {.state = 5};
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)weft_rng_u64(&rng);
    say(port, http, sizeof(http) - 1, true);
    exchange(&k, 2, &accepted);
    for (int i = 0; i < 10; i++) {
        noise[0] = (uint8_t)(i * 25); /* the first byte decides what ZeroMQ takes it for */
        say(port, noise, sizeof(noise), false);
    }
    exchange(&k, 2, &accepted);
    const size_t len = greeting(valid);
    memcpy(valid + len, noise, 256);
    say(port, valid, sizeof(valid), true);
    say(port, valid, len, false);
    /* A READY command that announces 2^62 bytes. */
    static const uint8_t huge[] = {0x06, 0x40, 0, 0, 0, 0, 0, 0, 0, 5, 'R', 'E', 'A', 'D', 'Y'};
    memcpy(valid + len, huge, sizeof(huge));
    say(port, valid, len + sizeof(huge), true);
    exchange(&k, 2, &accepted);
    kit_expect_silence(&k, 0);
    kit_expect_silence(&k, 1);
    kit_close(&k);
}

/* Not a weft link: any ZeroMQ program. */
typedef struct stranger {
    void *context, *socket;
} stranger;

static stranger stranger_open(const char *endpoint, const void *id, size_t id_len)
{
    stranger s = {.context = zmq_ctx_new()};
    s.socket = zmq_socket(s.context, ZMQ_DEALER);
    if (id_len > 0)
        cr_assert_eq(zmq_setsockopt(s.socket, ZMQ_ROUTING_ID, id, id_len), 0);
    const int linger = 1000;
    zmq_setsockopt(s.socket, ZMQ_LINGER, &linger, sizeof(linger));
    cr_assert_eq(zmq_connect(s.socket, endpoint), 0);
    return s;
}

static void stranger_close(stranger *s)
{
    zmq_close(s->socket);
    zmq_ctx_term(s->context);
}

static const char own_id[WEFT_FRAME_HEADER / 4] = "\1stranger 012345";

Test(zmq_link, message_of_several_parts_ends_its_connection_and_no_other)
{
    kit k = kit_open(KIT_TCP, 2);
    uint32_t accepted = 0;
    kit_dial(&k, 0, 2, 1);
    exchange(&k, 2, &accepted);
    stranger s = stranger_open(kit_endpoint(&k, 1), own_id, sizeof(own_id));
    cr_assert_eq(zmq_send(s.socket, "one", 3, 0), 3);
    weft_link_event e = kit_next(&k, 1);
    cr_assert_eq(e.what, WEFT_LINK_FRAME);
    cr_expect_eq(e.message->len, 3);
    weft_message_unref(e.message);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(zmq_send(s.socket, "part", 4, i < 99 ? ZMQ_SNDMORE : 0), 4);
    cr_assert_eq(zmq_send(s.socket, "two", 3, 0), 3);
    e = kit_expect(&k, 1, WEFT_LINK_DOWN, e.conn);
    cr_expect_not_null(strstr(e.why, "several parts"), "%s", e.why);
    exchange(&k, 2, &accepted);
    kit_expect_silence(&k, 1);
    stranger_close(&s);
    exchange(&k, 2, &accepted);
    kit_close(&k);
}

Test(zmq_link, message_of_several_parts_ends_a_dialled_connection)
{
    kit k = kit_open(KIT_IPC, 1);
    void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER);
    char endpoint[128];
    size_t len = sizeof(endpoint);
    cr_assert_eq(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &len);
    cr_assert_eq(k.links[0]->type->dial(k.links[0], 2, endpoint), WEFT_OK);
    kit_expect(&k, 0, WEFT_LINK_UP, 2);
    kit_send(&k, 0, 2, 1, 1);
    char id[64];
    const int id_len = zmq_recv(router, id, sizeof(id), 0);
    cr_assert_eq(id_len, 16);
    cr_expect_eq(id[0], 1);
    zmq_send(router, id, (size_t)id_len, ZMQ_SNDMORE);
    zmq_send(router, "a", 1, ZMQ_SNDMORE);
    zmq_send(router, "b", 1, 0);
    kit_expect(&k, 0, WEFT_LINK_DOWN, 2);
    kit_expect_silence(&k, 0);
    zmq_close(router);
    kit_close(&k);
    zmq_ctx_term(context);
}

Test(zmq_link, routing_ids_that_are_not_ours_are_ignored)
{
    kit k = kit_open(KIT_TCP, 2);
    uint32_t accepted = 0;
    stranger none = stranger_open(kit_endpoint(&k, 1), NULL, 0);
    stranger brief = stranger_open(kit_endpoint(&k, 1), "\1x", 2);
    stranger other = stranger_open(kit_endpoint(&k, 1), "xtranger 01234567", 16);
    zmq_send(none.socket, "frame", 5, 0);
    zmq_send(brief.socket, "frame", 5, 0);
    zmq_send(other.socket, "frame", 5, 0);
    stranger_close(&none); /* each waits until its frame is out */
    stranger_close(&brief);
    stranger_close(&other);
    kit_dial(&k, 0, 2, 1);
    exchange(&k, 2, &accepted);
    kit_expect_silence(&k, 1);
    kit_close(&k);
}

/* An accepted connection ends, and the next one gets its descriptor: no end goes astray. */
Test(zmq_link, each_of_many_short_connections_is_down_once)
{
    enum { ROUNDS = 100 };
    kit k = kit_open(KIT_TCP, 2);
    uint32_t accepted = 0;
    kit_dial(&k, 0, 2, 1);
    exchange(&k, 2, &accepted);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        kit_dial(&k, 0, 4, 1);
        kit_send(&k, 0, 4, i, i);
        const uint32_t conn = kit_receive(&k, 1, i, i);
        cr_assert_neq(conn, accepted);
        k.links[0]->type->drop(k.links[0], 4);
        kit_expect(&k, 1, WEFT_LINK_DOWN, conn);
    }
    exchange(&k, 2, &accepted);
    kit_expect_silence(&k, 1);
    kit_close(&k);
}

/* The same while nobody reads: which end is whose must be found out. */
Test(zmq_link, ends_before_the_first_frame_was_read_are_told_too)
{
    enum { ROUNDS = 30 };
    kit k = kit_open(KIT_IPC, 2);
    uint32_t accepted = 0, seen[ROUNDS], frames = 0, downs = 0;
    kit_dial(&k, 0, 2, 1);
    exchange(&k, 2, &accepted);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        kit_dial(&k, 0, 4, 1);
        kit_send(&k, 0, 4, i, i);
        k.links[0]->type->drop(k.links[0], 4);
    }
    while (frames < ROUNDS || downs < ROUNDS) {
        const weft_link_event e = kit_next(&k, 1);
        cr_assert_neq(e.conn, accepted);
        if (e.what == WEFT_LINK_FRAME) {
            cr_assert_lt(frames, ROUNDS);
            seen[frames++] = e.conn;
            weft_message_unref(e.message);
            continue;
        }
        cr_assert_eq(e.what, WEFT_LINK_DOWN);
        uint32_t i = 0;
        while (i < frames && seen[i] != e.conn)
            i++;
        cr_assert_lt(i, frames, "connection %u: down twice, or before its frame", (unsigned)e.conn);
        seen[i] = 0;
        downs++;
    }
    exchange(&k, 2, &accepted);
    kit_close(&k);
}

Test(zmq_link, reborn_peer_gets_nothing_that_was_meant_for_the_one_before)
{
    kit k = kit_open(KIT_TCP, 2);
    uint32_t accepted = 0;
    char endpoint[128];
    kit_dial(&k, 0, 2, 1);
    exchange(&k, 2, &accepted);
    snprintf(endpoint, sizeof(endpoint), "%s", kit_endpoint(&k, 1));
    k.links[1]->type->close(&k.links[1]);
    /* Its death was not noticed yet. */
    int taken = 0;
    for (uint32_t i = 0; i < 50; i++) {
        weft_message *m = kit_message(&k, 0, 1000 + i, 2000);
        if (k.links[0]->type->send(k.links[0], 2, m) == WEFT_OK)
            taken++;
        else
            weft_message_unref(m);
    }
    cr_assert_gt(taken, 0, "the test shows nothing");
    const weft_link_opts o = {.listen = {endpoint},
                              .frame_max = KIT_FRAME_MAX,
                              .connect_timeout_ms = KIT_CONNECT_MS,
                              .linger_ms = 100,
                              .dead_ms = 5000};
    /* The port is free a moment after close() returned. */
    const int64_t deadline = weft_now() + KIT_PATIENCE_MS * WEFT_MS;
    int rc;
    do
        rc = k.links[0]->type->open(&k.links[1], &o);
    while (rc == WEFT_EIO && weft_now() < deadline);
    cr_assert_eq(rc, WEFT_OK, "%s", weft_last_error()->message);
    cr_assert_eq(k.links[0]->type->dial(k.links[0], 4, endpoint), WEFT_OK);
    weft_link_event e = kit_next(&k, 0);
    if (e.what == WEFT_LINK_DOWN && e.conn == 2)
        e = kit_next(&k, 0);
    cr_assert(e.what == WEFT_LINK_UP && e.conn == 4);
    kit_send(&k, 0, 4, 7, 7);
    kit_receive(&k, 1, 7, 7);
    kit_expect_silence(&k, 1);
    kit_close(&k);
}

/* A listener that takes connections and says nothing, as a stopped process does. */
static int silent_listener(char endpoint[64])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    snprintf(endpoint, 64, "tcp://127.0.0.1:%u", (unsigned)ntohs(a.sin_port));
    return fd;
}

static weft_link *open_link(int64_t connect_ms)
{
    const weft_link_opts o = {.listen = {"tcp://127.0.0.1:*"},
                              .frame_max = KIT_FRAME_MAX,
                              .connect_timeout_ms = connect_ms,
                              .linger_ms = 100,
                              .dead_ms = 1000};
    weft_link *l = NULL;
    cr_assert_eq(weft_link_type_for("tcp")->open(&l, &o), WEFT_OK, "%s",
                 weft_last_error()->message);
    return l;
}

Test(zmq_link, silent_listener_is_down_at_the_connect_timeout)
{
    char endpoint[64];
    const int fd = silent_listener(endpoint);
    kit k = {.count = 1, .kind = KIT_TCP, .links = {open_link(50)}};
    const int64_t start = weft_now();
    cr_assert_eq(k.links[0]->type->dial(k.links[0], 2, endpoint), WEFT_OK);
    const weft_link_event e = kit_expect(&k, 0, WEFT_LINK_DOWN, 2);
    cr_expect_not_null(strstr(e.why, "timeout"), "%s", e.why);
    cr_expect_geq(weft_now() - start, 50 * WEFT_MS);
    kit_close(&k);
    close(fd);
}

Test(zmq_link, name_that_does_not_resolve_is_down)
{
    kit k = {.count = 1, .kind = KIT_TCP, .links = {open_link(KIT_CONNECT_MS)}};
    cr_assert_eq(k.links[0]->type->dial(k.links[0], 2, "tcp://no-such-host.invalid:7000"), WEFT_OK);
    kit_expect(&k, 0, WEFT_LINK_DOWN, 2);
    kit_close(&k);
}

Test(zmq_link, listens_also_at_seeds_by_name_and_says_when_one_is_taken)
{
    kit k = kit_open(KIT_TCP, 2);
    const weft_link_type *type = k.links[0]->type;
    cr_assert_eq(type->bind(k.links[0], "tcp://localhost:*"), WEFT_OK, "%s",
                 weft_last_error()->message);
    const char *second = type->endpoint(k.links[0], 1);
    cr_assert_not_null(second);
    cr_expect_eq(strncmp(second, "tcp://127.0.0.1:", 16), 0, "%s", second);
    cr_expect_null(type->endpoint(k.links[0], 2));
    cr_assert_eq(type->dial(k.links[1], 2, second), WEFT_OK);
    kit_expect(&k, 1, WEFT_LINK_UP, 2);

    cr_expect_eq(type->bind(k.links[1], second), WEFT_EIO);
    cr_expect_not_null(strstr(weft_last_error()->message, second), "%s",
                       weft_last_error()->message);
    cr_expect_eq(type->bind(k.links[1], "tcp://192.0.2.1:7000"), WEFT_EIO);
    cr_expect_eq(type->bind(k.links[1], "tcp://no-such-host.invalid:7000"), WEFT_EIO);
    cr_expect_null(type->endpoint(k.links[1], 1));
    kit_close(&k);
}

Test(zmq_link, ipc_leaves_no_file)
{
    kit k = kit_open(KIT_IPC, 2);
    cr_expect_eq(strncmp(kit_endpoint(&k, 0), "ipc://@weft-", 12), 0, "%s", kit_endpoint(&k, 0));
    cr_expect_str_neq(kit_endpoint(&k, 0), kit_endpoint(&k, 1));
    kit_close(&k);
}

Test(zmq_link, bracketed_literals_speak_ipv6)
{
    const int fd = socket(AF_INET6, SOCK_STREAM, 0);
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6,
                                          .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const bool there =
        fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)) == 0;
    if (fd >= 0)
        close(fd);
    if (!there)
        cr_skip_test("no IPv6 loopback here");
    kit k = kit_open(KIT_TCP, 2);
    cr_assert_eq(k.links[1]->type->bind(k.links[1], "tcp://[::1]:*"), WEFT_OK, "%s",
                 weft_last_error()->message);
    cr_assert_eq(k.links[0]->type->dial(k.links[0], 2, k.links[1]->type->endpoint(k.links[1], 1)),
                 WEFT_OK);
    kit_expect(&k, 0, WEFT_LINK_UP, 2);
    uint32_t accepted = 0;
    exchange(&k, 2, &accepted);
    kit_close(&k);
}

Test(zmq_link, forked_child_closes_without_harm_and_can_open_its_own)
{
    kit k = kit_open(KIT_TCP, 2);
    uint32_t accepted = 0;
    kit_dial(&k, 0, 2, 1);
    exchange(&k, 2, &accepted);
    const pid_t child = fork();
    if (child == 0) {
        kit_close(&k);
        kit own = kit_open(KIT_TCP, 2);
        kit_dial(&own, 0, 2, 1);
        accepted = 0;
        exchange(&own, 2, &accepted);
        kit_close(&own);
        _exit(0);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    exchange(&k, 2, &accepted);
    kit_close(&k);
}

Test(zmq_link, context_ends_with_the_last_link)
{
    for (int i = 0; i < 20; i++) {
        kit k = kit_open(i % 2 == 0 ? KIT_TCP : KIT_IPC, 2);
        uint32_t accepted = 0;
        kit_dial(&k, 0, 2, 1);
        exchange(&k, 2, &accepted);
        kit_close(&k);
    }
}

Test(zmq_link, no_descriptors_left_is_an_error_and_harms_no_open_connection)
{
    kit k = kit_open(KIT_TCP, 2);
    uint32_t accepted = 0;
    kit_dial(&k, 0, 2, 1);
    exchange(&k, 2, &accepted);
    struct rlimit files;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    const int next = dup(0);
    cr_assert_geq(next, 0);
    close(next);
    const struct rlimit tight = {.rlim_cur = (rlim_t)next, .rlim_max = files.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    cr_expect_eq(k.links[0]->type->dial(k.links[0], 4, kit_endpoint(&k, 1)), WEFT_EIO);
    weft_link *more = NULL;
    const weft_link_opts o = {.frame_max = KIT_FRAME_MAX, .listen = {"tcp://127.0.0.1:*"}};
    cr_expect_eq(k.links[0]->type->open(&more, &o), WEFT_EIO);
    exchange(&k, 2, &accepted);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    kit_dial(&k, 0, 4, 1);
    kit_close(&k);
}

Test(zmq_link, options_out_of_range_are_refused)
{
    weft_link *l = NULL;
    const weft_link_opts brief = {.frame_max = 63};
    cr_expect_eq(weft_link_type_for("tcp")->open(&l, &brief), WEFT_EINVAL);
    weft_link_opts taken = {.frame_max = KIT_FRAME_MAX, .listen = {"tcp://192.0.2.1:*"}};
    cr_expect_eq(weft_link_type_for("tcp")->open(&l, &taken), WEFT_EIO);
    taken.listen[0] = "tcp://127.0.0.1:99999";
    cr_expect_eq(weft_link_type_for("tcp")->open(&l, &taken), WEFT_EINVAL);
    taken.listen[0] = "tcp://127.0.0.1";
    cr_expect_eq(weft_link_type_for("tcp")->open(&l, &taken), WEFT_EINVAL);
    taken.listen[0] = "udp://127.0.0.1:7";
    cr_expect_eq(weft_link_type_for("tcp")->open(&l, &taken), WEFT_EINVAL);
    cr_expect_null(l);
}
