/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round trip of ZeroMQ: one message to another process and back, DEALER to DEALER, over tcp on
 * 127.0.0.1 or over ipc. It is no allreduce, but what an exchange of two processes that share
 * ZeroMQ's sockets can hardly be below: one message each way, one after the other.
 *
 *  - Time is from before the sending to after the receiving in the first process, blocking calls
 *    both. A trip begins after the one before has ended, so no barrier is needed.
 *  - The first process sends from a buffer, which ZeroMQ copies, and takes what comes as it comes;
 *    the other one sends back the message that it got. No other copy is made in either.
 *  - Warm-ups, then -i trips or, with 0, at least 5, until 0.3 s are measured; median of them, as
 *    `weft bench` counts. Every message that comes back must have the length and the number of its
 *    trip; of the last one every byte is checked.
 * malloc is told to keep memory as the program weft tells it: messages are allocated.
 *
 *   zmq_roundtrip [-i ITERS] [-w WARMUPS] tcp|ipc BYTES...
 *
 * One JSON object a line for every size. Status 1: a result was wrong; 2: bad usage; 3: it failed.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>

enum { ITERS_LEAST = 5, ITERS_MOST = 20000, PERIOD = 1021, MIB = 1 << 20, ENDPOINT = 256 };
enum { DONE, WRONG, USAGE, FAILED };
static const double seconds_wanted = 0.3;
static const long bytes_most = 1L << 32;

typedef struct job {
    const char *link;
    long iters, warmups;
    void *context, *socket;
    unsigned char *out; /* what is sent */
    size_t bytes;
    uint32_t trips; /* so many were made; a message begins with its number */
    double *times;  /* seconds */
    long cap;
    zmq_msg_t back; /* what came last */
} job;

static int failed(const char *what)
{
    (void)fprintf(stderr, "zmq_roundtrip: %s: %s\n", what, zmq_strerror(zmq_errno()));
    return FAILED;
}

/* The process that sends back what it gets, until that is empty. */
static int answer(const char *link, int tell)
{
    char wish[ENDPOINT], endpoint[ENDPOINT] = "";
    size_t len = sizeof(endpoint);
    /* Of ipc a name without a file, which would stay behind a process that is killed. */
    (void)snprintf(wish, sizeof(wish), "ipc://@zmq_roundtrip.%ld", (long)getpid());
    void *context = zmq_ctx_new();
    void *socket = context != NULL ? zmq_socket(context, ZMQ_DEALER) : NULL;
    if (socket == NULL ||
        zmq_bind(socket, strcmp(link, "tcp") == 0 ? "tcp://127.0.0.1:*" : wish) != 0 ||
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &len) != 0) {
        return failed("the answering socket");
    }
    if (write(tell, endpoint, sizeof(endpoint)) != (ssize_t)sizeof(endpoint)) {
        return FAILED;
    }
    for (bool more = true; more;) {
        zmq_msg_t message;
        (void)zmq_msg_init(&message);
        if (zmq_msg_recv(&message, socket, 0) < 0) {
            return failed("receiving in the other process");
        }
        more = zmq_msg_size(&message) > 0;
        if (more && zmq_msg_send(&message, socket, 0) < 0) {
            return failed("sending back");
        }
        (void)zmq_msg_close(&message);
    }
    (void)zmq_close(socket);
    (void)zmq_ctx_term(context);
    return DONE;
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One round trip. 0, or the exit status after telling. */
static int trip(job *j, double *ret)
{
    const uint32_t number = ++j->trips;
    (void)memcpy(j->out, &number, sizeof(number));
    const double start = now();
    if (zmq_send(j->socket, j->out, j->bytes, 0) < 0) {
        return failed("sending");
    }
    if (zmq_msg_recv(&j->back, j->socket, 0) < 0) {
        return failed("receiving");
    }
    *ret = now() - start;
    if (zmq_msg_size(&j->back) != j->bytes ||
        memcmp(zmq_msg_data(&j->back), &number, sizeof(number)) != 0) {
        (void)fprintf(stderr, "zmq_roundtrip: another message came back in trip %u\n", number);
        return WRONG;
    }
    return DONE;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Trips first … last - 1. */
static int iterate(job *j, long first, long last)
{
    int bad = DONE;
    for (long i = first; i < last && bad == DONE; i++) {
        bad = trip(j, &j->times[i]);
    }
    return bad;
}

static int iterations(job *j, long *ret)
{
    *ret = j->iters > 0 ? j->iters : ITERS_LEAST;
    int bad = iterate(j, 0, *ret);
    if (bad == DONE && j->iters == 0) {
        double sum = 0.0;
        for (int i = 0; i < ITERS_LEAST; i++) {
            sum += j->times[i];
        }
        const double wanted = seconds_wanted / (sum / ITERS_LEAST);
        *ret = wanted > ITERS_MOST ? ITERS_MOST : wanted < ITERS_LEAST ? ITERS_LEAST : (long)wanted;
        bad = iterate(j, ITERS_LEAST, *ret);
    }
    return bad;
}

static int measure(job *j, size_t bytes)
{
    double ignored = 0.0;
    long n = 0, wrong = 0;
    int bad = DONE;
    j->bytes = bytes;
    for (long i = 0; i < j->warmups && bad == DONE; i++) {
        bad = trip(j, &ignored);
    }
    bad = bad != DONE ? bad : iterations(j, &n);
    if (bad != DONE) {
        return bad;
    }
    const unsigned char *back = zmq_msg_data(&j->back);
    for (size_t i = 0; i < bytes; i++) {
        wrong += back[i] != j->out[i];
    }
    qsort(j->times, (size_t)n, sizeof(*j->times), by_size);
    const double median = (j->times[(n - 1) / 2] + j->times[n / 2]) / 2;
    (void)printf("{\"algo\": \"%s\", \"peers\": 2, \"size\": %zu, \"iters\": %ld, "
                 "\"p50_us\": %.3f, \"min_us\": %.3f, \"wrong\": %ld}\n",
                 j->link, bytes, n, median * 1e6, j->times[0] * 1e6, wrong);
    (void)fflush(stdout);
    return wrong == 0 ? DONE : WRONG;
}

static bool whole(const char *text, long least, long most, long *ret)
{
    char *end = NULL;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < least || value > most) {
        return false;
    }
    *ret = value;
    return true;
}

/* All sizes, from the process that times. */
static int ask(job *j, const char *endpoint, char **sizes, long most)
{
    long bytes = 0;
    int status = DONE;
    j->context = zmq_ctx_new();
    j->socket = j->context != NULL ? zmq_socket(j->context, ZMQ_DEALER) : NULL;
    if (j->socket == NULL || zmq_connect(j->socket, endpoint) != 0) {
        return failed(endpoint);
    }
    j->cap = j->iters > 0 ? j->iters : ITERS_MOST;
    j->times = malloc((size_t)j->cap * sizeof(*j->times));
    j->out = malloc((size_t)most);
    if (j->times == NULL || j->out == NULL) {
        (void)fprintf(stderr, "zmq_roundtrip: no memory for %ld bytes\n", most);
        return FAILED;
    }
    for (long i = 0; i < most; i++) {
        j->out[i] = (unsigned char)(i % PERIOD);
    }
    (void)zmq_msg_init(&j->back);
    for (; *sizes != NULL && status <= WRONG; sizes++) {
        (void)whole(*sizes, sizeof(uint32_t), bytes_most, &bytes);
        const int here = measure(j, (size_t)bytes);
        status = here > status ? here : status;
    }
    (void)zmq_msg_close(&j->back);
    return status;
}

static void release(job *j)
{
    const int linger = 0; /* who would have received it has ended, or will not */
    if (j->socket != NULL) {
        (void)zmq_setsockopt(j->socket, ZMQ_LINGER, &linger, sizeof(linger));
        (void)zmq_close(j->socket);
    }
    if (j->context != NULL) {
        (void)zmq_ctx_term(j->context);
    }
    free(j->times);
    free(j->out);
}

/* The other process is wanted until it is told to end: nothing would come back any more. */
static void left_alone(int signal)
{
    static const char text[] = "zmq_roundtrip: the other process ended\n";
    (void)signal;
    const ssize_t told = write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(told >= 0 ? FAILED : FAILED + 1);
}

static int run(job *j, char **sizes, long most)
{
    const struct sigaction alone = {.sa_handler = left_alone};
    char endpoint[ENDPOINT];
    int ends[2], ended = 0;
    if (sigaction(SIGCHLD, &alone, NULL) != 0 || pipe(ends) != 0) {
        return failed("pipe");
    }
    const pid_t first = getpid(), other = fork();
    if (other == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == first ? answer(j->link, ends[1]) : FAILED);
    }
    if (other < 0) {
        return failed("fork");
    }
    (void)close(ends[1]);
    if (read(ends[0], endpoint, sizeof(endpoint)) != (ssize_t)sizeof(endpoint)) {
        return failed("the other process");
    }
    const int status = ask(j, endpoint, sizes, most);
    if (status > WRONG) {
        return status; /* the other one ends with this one */
    }
    (void)signal(SIGCHLD, SIG_DFL);
    if (zmq_send(j->socket, "", 0, 0) < 0 || waitpid(other, &ended, 0) != other || ended != 0) {
        return failed("the end of the other process");
    }
    return status;
}

static int refuse(const char *what, const char *text)
{
    (void)fprintf(stderr,
                  "zmq_roundtrip: %s '%s'\nusage: zmq_roundtrip [-i ITERS] [-w WARMUPS] tcp|ipc "
                  "BYTES...\n",
                  what, text);
    return USAGE;
}

int main(int argc, char **argv)
{
    job j = {.warmups = 2};
    long most = 0, bytes = 0;
    int at = 1;
    (void)mallopt(M_MMAP_THRESHOLD, 32 * MIB);
    (void)mallopt(M_TRIM_THRESHOLD, 512 * MIB);
    (void)mallopt(M_TOP_PAD, 4 * MIB);
    for (; at < argc && argv[at][0] == '-'; at++) {
        const char *option = argv[at];
        if (strcmp(option, "-i") != 0 && strcmp(option, "-w") != 0) {
            return refuse("unknown option", option);
        }
        if (at + 1 == argc ||
            !whole(argv[++at], 0, 1000000, option[1] == 'i' ? &j.iters : &j.warmups)) {
            return refuse("no number from 0 to 1000000 for", option);
        }
    }
    j.link = at < argc ? argv[at++] : "";
    if (strcmp(j.link, "tcp") != 0 && strcmp(j.link, "ipc") != 0) {
        return refuse("neither tcp nor ipc:", j.link);
    }
    for (int i = at; i < argc; i++) {
        if (!whole(argv[i], sizeof(uint32_t), bytes_most, &bytes)) {
            return refuse("no size", argv[i]);
        }
        most = bytes > most ? bytes : most;
    }
    if (most == 0) {
        return refuse("no size", "");
    }
    const int status = run(&j, argv + at, most);
    release(&j);
    return status;
}
