/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "roster/address.h"
#include "roster/host.h"
#include "roster/roster.h"

Test(address, private_ranges_are_known)
{
    static const char *const yes[] = {
        "tcp://10.1.2.3:4",  "tcp://172.16.0.1:4",  "tcp://172.31.9.9:4", "tcp://192.168.0.1:4",
        "tcp://127.0.1.1:4", "tcp://169.254.1.1:4", "tcp://[::1]:4",      "tcp://[fe80::1]:4",
        "tcp://[fd00::2]:4", "tcp://localhost:4",   "ipc://@weft-1",      "mem:3"};
    static const char *const no[] = {"tcp://11.1.2.3:4",    "tcp://172.15.0.1:4",
                                     "tcp://172.32.0.1:4",  "tcp://192.169.0.1:4",
                                     "tcp://8.8.8.8:4",     "tcp://[2001:db8::1]:4",
                                     "tcp://example.org:4", "tcp://:4",
                                     "http://10.0.0.1:4",   "tcp://10.0.0.1.evil.org:4"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        cr_assert(weft_address_private(yes[i]), "%s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        cr_assert_not(weft_address_private(no[i]), "%s", no[i]);
}

static void places(const char *meet, int count, const char *last_host, int last_port)
{
    weft_seed_place p = {.port = 0};
    int got, n = 0;
    for (const char *at = meet; (got = weft_seed_place_next(&at, &p)) > 0;)
        n++;
    cr_assert_eq(got, 0, "%s: %s", meet, weft_last_error()->message);
    cr_assert_eq(n, count, "%s has %d places", meet, n);
    cr_assert_str_eq(p.host, last_host);
    cr_assert_eq(p.port, last_port);
}

Test(address, seed_lists_are_cut_into_places)
{
    places("tcp://alpha:7000", 1, "alpha", 7000);
    places("tcp://alpha:7000,tcp://10.0.0.2:65535", 2, "10.0.0.2", 65535);
    places("tcp://a:1,tcp://b:2,tcp://[fd00::2]:3", 3, "fd00::2", 3);
}

Test(address, malformed_seeds_are_refused_with_the_text)
{
    static const char *const bad[] = {"tcp://",
                                      "tcp://a",
                                      "tcp://a:",
                                      "tcp://a:0",
                                      "tcp://a:65536",
                                      "tcp://a:7x",
                                      "tcp://:7000",
                                      "tcp://*:7000",
                                      "tcp://0.0.0.0:7",
                                      "tcp://[::]:7",
                                      "tcp://fd00::2:3",
                                      "tcp://a:7,",
                                      "udp://a:7",
                                      "a:7",
                                      "tcp://a:-7",
                                      "tcp://a:7,b:8",
                                      "tcp://a:7,,tcp://b:8",
                                      "tcp://a:*"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        weft_seed_place p;
        int got;
        for (const char *at = bad[i]; (got = weft_seed_place_next(&at, &p)) > 0;)
            ;
        cr_assert_eq(got, WEFT_EINVAL, "%s is taken", bad[i]);
        cr_assert_not_null(strstr(weft_last_error()->message, "tcp://HOST:PORT"));
    }
}

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage a = {.ss_family = AF_INET};
    cr_assert_eq(inet_pton(AF_INET, text, &((struct sockaddr_in *)&a)->sin_addr), 1);
    return a;
}

Test(address, own_addresses_are_told_from_others)
{
    struct sockaddr_storage own = address_of("127.0.1.1"), other = address_of("203.0.113.9");
    cr_assert(weft_address_local(&own));
    cr_assert(weft_address_loopback(&own));
    cr_assert_not(weft_address_local(&other));
}

Test(address, a_host_whose_name_is_loopback_knows_itself)
{
    struct sockaddr_storage loop = address_of("127.0.1.1"), other = address_of("203.0.113.9");
    cr_assert(weft_address_own_name(&(weft_seed_place){.host = "alpha"}, &loop));
    cr_assert_not(weft_address_own_name(&(weft_seed_place){.host = "localhost"}, &loop));
    cr_assert_not(weft_address_own_name(&(weft_seed_place){.host = "127.0.1.1"}, &loop));
    cr_assert_not(weft_address_own_name(&(weft_seed_place){.host = "alpha"}, &other));
}

Test(address, names_that_do_not_resolve_say_so)
{
    struct sockaddr_storage a;
    weft_seed_place p = {.host = "no-such-host.invalid", .port = 1};
    cr_assert_eq(weft_address_resolve(&p, &a), WEFT_EIO);
    cr_assert_not_null(strstr(weft_last_error()->message, "no-such-host.invalid"));
}

static void chooses(const char *meet, const char *ifname, const char *expected)
{
    weft_meeting m = {.peers = 2, .deadline_ns = WEFT_NEVER};
    char out[64] = "";
    snprintf(m.meet, sizeof(m.meet), "%s", meet);
    cr_assert_eq(weft_address_choose(&m, ifname, out), WEFT_OK, "%s", weft_last_error()->message);
    cr_assert_str_eq(out, expected);
}

Test(address, the_one_that_leads_to_the_seed_is_chosen)
{
    chooses("tcp://127.0.0.1:7000", NULL, "127.0.0.1");
    chooses("tcp://no-such-host.invalid:7000,tcp://127.0.0.1:7000", NULL, "127.0.0.1");
    chooses("tcp://[::1]:7000", "", "[::1]");
}

Test(address, interfaces_are_chosen_by_prefix_and_exact_name)
{
    chooses("file:///x", "lo", "127.0.0.1");
    chooses("file:///x", "=lo", "127.0.0.1");
    chooses("file:///x", "nothing,l", "127.0.0.1");
    chooses("tcp://203.0.113.9:1", "lo", "127.0.0.1");
}

Test(address, an_interface_that_is_not_there_is_an_error_listing_those_that_are)
{
    static const char *const none[] = {"nothing", "=l", "^lo,e,w,i,d,b,v,t", "="};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        weft_meeting m = {.peers = 2, .meet = "file:///x"};
        char out[64];
        int status = weft_address_choose(&m, none[i], out);
        cr_assert_eq(status, WEFT_EINVAL, "%s gives %s", none[i], out);
        cr_assert_not_null(strstr(weft_last_error()->message, "lo"));
        cr_assert_not_null(strstr(weft_last_error()->message, none[i]));
    }
}

Test(address, a_folder_meeting_prefers_what_is_not_loopback)
{
    weft_meeting m = {.peers = 2, .meet = "file:///x"};
    char any[64], except[64];
    cr_assert_eq(weft_address_choose(&m, NULL, any), WEFT_OK);
    if (weft_address_choose(&m, "^lo", except) == WEFT_OK)
        cr_assert_str_eq(any, except);
    else
        cr_assert_str_eq(any, "127.0.0.1");
}

Test(host, id_is_the_same_in_every_process)
{
    uint8_t own[16], child[16];
    int pipes[2];
    cr_assert_eq(weft_host_id(own), WEFT_OK);
    cr_assert_eq(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        uint8_t id[16] = {0};
        int status = weft_host_id(id);
        _exit(status == WEFT_OK && write(pipes[1], id, 16) == 16 ? 0 : 1);
    }
    cr_assert_eq(read(pipes[0], child, 16), 16);
    cr_assert_arr_eq(own, child, 16);
    waitpid(pid, NULL, 0);
}

Test(host, a_process_counts_as_dead_only_when_it_is)
{
    weft_process self = weft_process_self();
    cr_assert_eq(self.pid, getpid());
    cr_assert_neq(self.born, 0);
    cr_assert_not(weft_process_dead(&self));
    weft_process later = self;
    later.born++; /* the pid was used again */
    cr_assert(weft_process_dead(&later));
    later.space++; /* of another pid namespace: nothing is known */
    cr_assert_not(weft_process_dead(&later));
    int pipes[2];
    weft_process child;
    cr_assert_eq(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        weft_process p = weft_process_self();
        _exit(write(pipes[1], &p, sizeof(p)) == sizeof(p) ? 0 : 1);
    }
    cr_assert_eq(read(pipes[0], &child, sizeof(child)), sizeof(child));
    waitpid(pid, NULL, 0);
    cr_assert(weft_process_dead(&child));
}

Test(host, ancestors_are_found_by_name)
{
    weft_process p;
    cr_assert_not(weft_process_ancestor("no-such-command", &p));
    char path[64], command[32] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)getppid());
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f);
    cr_assert_not_null(fgets(command, sizeof(command), f));
    fclose(f);
    command[strcspn(command, "\n")] = '\0';
    cr_assert(weft_process_ancestor(command, &p));
    cr_assert_eq(p.pid, getppid());
}
