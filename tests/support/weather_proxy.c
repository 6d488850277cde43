/* SPDX-License-Identifier: Apache-2.0 */
/* Bad weather in front of a peer: the peer binds WEFT_LISTEN, the others are told WEFT_ADVERTISE,
 * and this program relays from the second to the first. docs/lab.md shows it. */
#include "support/weather.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { USAGE = 2, ADDRESS = 300 };

static const char usage[] =
    "usage: weather_proxy --listen HOST:PORT --to HOST:PORT [OPTIONS]\n"
    "Relay TCP connections, in bad weather. Port 0: a free one; the first line printed tells it.\n"
    "  --delay MS        a packet of 1448 bytes takes so long, each way (0)\n"
    "  --jitter MS       and up to so much longer (0)\n"
    "  --loss P          chance of a packet to come a retransmission later, 0 to 1 (0)\n"
    "  --resend MS       how much later (200)\n"
    "  --rate MBIT       megabits a second, each way of each connection (any)\n"
    "  --cut-after B     close each connection once B bytes have passed one way (never)\n"
    "  --mute-after B    once B bytes have passed one way of one, pass nothing more at all "
    "(never)\n"
    "  --seed S          what happens to a packet depends on it, the connection's number and the\n"
    "                    packet's only (1)\n"
    "It ends by SIGTERM or SIGINT and tells on stderr what it did.\n";

static atomic_int stop;

static void on_signal(int number)
{
    atomic_store(&stop, number);
}

static int refuse(const char *option, const char *text, const char *want)
{
    fprintf(stderr, "weather_proxy: --%s '%s': expected %s\n", option, text, want);
    return USAGE;
}

static bool real(const char *text, double most, double *ret)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0.0 && value <= most)) {
        return false;
    }
    *ret = value;
    return true;
}

/* HOST:PORT, IPv4. */
static bool address(const char *text, struct sockaddr_in *ret)
{
    char host[ADDRESS];
    const char *colon = strrchr(text, ':');
    const struct addrinfo want = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(host)) {
        return false;
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    if (colon[1] < '0' || colon[1] > '9' || strlen(colon + 1) > 5 || atoi(colon + 1) > 65535 ||
        getaddrinfo(host, colon + 1, &want, &found) != 0) {
        return false;
    }
    memcpy(ret, found->ai_addr, sizeof(*ret));
    freeaddrinfo(found);
    return true;
}

/* The options that are numbers. */
static bool set_number(weather *w, char letter, const char *text)
{
    double value = 0.0;
    const double most = letter == 'p' ? 1.0 : letter == 's' ? 0x1p53 : letter < 'a' ? 1e15 : 1e5;
    if (!real(text, most, &value)) {
        return false;
    }
    switch (letter) {
    case 'd':
        w->delay_ns = (int64_t)(value * 1e6);
        return true;
    case 'j':
        w->jitter_ns = (int64_t)(value * 1e6);
        return true;
    case 'p':
        w->loss = value;
        return true;
    case 'r':
        w->resend_ns = (int64_t)(value * 1e6);
        return true;
    case 'm':
        w->rate = value * 1e6 / 8;
        return value > 0.0;
    case 's':
        w->seed = (uint64_t)value;
        return value == floor(value);
    case 'C':
        w->cut_after = (uint64_t)value;
        return value >= 1.0 && value == floor(value);
    default:
        w->mute_after = (uint64_t)value;
        return value >= 1.0 && value == floor(value);
    }
}

static int run(const weather *w, struct sockaddr_in *here, const struct sockaddr_in *to)
{
    static weather_counts counts;
    const struct sigaction act = {.sa_handler = on_signal};
    const int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    socklen_t len = sizeof(*here);
    char text[2][INET_ADDRSTRLEN];
    if (listening < 0 || setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(listening, (struct sockaddr *)here, sizeof(*here)) != 0 ||
        listen(listening, 128) != 0 || getsockname(listening, (struct sockaddr *)here, &len) != 0) {
        fprintf(stderr, "weather_proxy: cannot listen: %s\n", strerror(errno));
        return 1;
    }
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    inet_ntop(AF_INET, &here->sin_addr, text[0], sizeof(text[0]));
    inet_ntop(AF_INET, &to->sin_addr, text[1], sizeof(text[1]));
    printf("tcp://%s:%d leads to %s:%d\n", text[0], ntohs(here->sin_port), text[1],
           ntohs(to->sin_port));
    fflush(stdout);
    const int error = weather_serve(w, listening, to, &counts, &stop);
    close(listening);
    fprintf(stderr, "weather_proxy: %llu connections, %llu packets, %llu lost, %llu cuts%s\n",
            atomic_load(&counts.connections), atomic_load(&counts.packets),
            atomic_load(&counts.lost), atomic_load(&counts.cuts),
            atomic_load(&counts.muted) != 0 ? ", then mute" : "");
    if (error != 0) {
        fprintf(stderr, "weather_proxy: %s\n", strerror(error));
    }
    return error != 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"listen", required_argument, NULL, 'L'},
                                            {"to", required_argument, NULL, 'T'},
                                            {"delay", required_argument, NULL, 'd'},
                                            {"jitter", required_argument, NULL, 'j'},
                                            {"loss", required_argument, NULL, 'p'},
                                            {"resend", required_argument, NULL, 'r'},
                                            {"rate", required_argument, NULL, 'm'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"cut-after", required_argument, NULL, 'C'},
                                            {"mute-after", required_argument, NULL, 'M'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    weather w = {.seed = 1, .resend_ns = 200000000};
    struct sockaddr_in here, to;
    bool has_here = false, has_to = false;
    int index = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, &index)) != -1;) {
        switch (c) {
        case 'h':
            fputs(usage, stdout);
            return 0;
        case '?':
            return USAGE; /* it was told */
        case 'L':
        case 'T':
            if (!address(optarg, c == 'L' ? &here : &to)) {
                return refuse(options[index].name, optarg, "HOST:PORT");
            }
            has_here = has_here || c == 'L';
            has_to = has_to || c == 'T';
            break;
        default:
            if (!set_number(&w, (char)c, optarg)) {
                return refuse(options[index].name, optarg, "a number in its range, see --help");
            }
        }
    }
    if (!has_here || !has_to || optind < argc) {
        fputs(usage, stderr);
        return USAGE;
    }
    return run(&w, &here, &to);
}
