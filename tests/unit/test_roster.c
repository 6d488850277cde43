/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "roster/finder.h"

static weft_known peer(int number, int rank)
{
    weft_known k = {.stamp = 1, .state = WEFT_KNOWN_HERE};
    memset(k.entry.uuid, number, 16);
    memset(k.entry.host, 7, 16);
    k.entry.rank = rank;
    k.entry.arrival = 1;
    snprintf(k.entry.endpoint[0], WEFT_ENDPOINT_TEXT, "tcp://10.0.0.%d:%d", number, 1000 + number);
    snprintf(k.entry.endpoint[1], WEFT_ENDPOINT_TEXT, "ipc://@weft-%d", number);
    k.process = (weft_process){.pid = 1, .born = 2, .space = 3};
    return k;
}

static weft_meeting meeting(int peers)
{
    return (weft_meeting){.peers = peers, .rank = -1, .job = "job", .meet = "file:///x"};
}

/* No call comes to it: every place is refused before. */
static const weft_link_type no_calls = {.scheme = "none"};
static weft_link nowhere = {.type = &no_calls};

Test(roster, one_peer_meets_alone)
{
    weft_meeting m = meeting(1);
    weft_roster r = {0};
    weft_known self = peer(1, -1);
    m.meet[0] = '\0';
    cr_assert_eq(weft_roster_meet(&r, &m, &self.entry, NULL), WEFT_OK, "%s",
                 weft_last_error()->message);
    cr_assert_eq(r.size, 1);
    cr_assert_eq(r.rank, 0);
    cr_assert_null(r.seed);
    cr_assert_null(r.file);
    cr_assert_eq(r.entries[0].uuid[0], 1);
    weft_roster_free(&r);
    cr_assert_null(r.entries);
}

Test(roster, a_place_of_no_finder_is_an_error_naming_the_forms)
{
    static const char *const bad[] = {"",         "/mnt/x", "udp://a:1", "file://relative",
                                      "file:///", "tcp://a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        weft_meeting m = meeting(2);
        weft_roster r;
        weft_known self = peer(1, -1);
        snprintf(m.meet, sizeof(m.meet), "%s", bad[i]);
        cr_assert_eq(weft_roster_meet(&r, &m, &self.entry, &nowhere), WEFT_EINVAL, "%s", bad[i]);
        cr_assert(strstr(weft_last_error()->message, "file://") ||
                  strstr(weft_last_error()->message, "tcp://HOST:PORT"));
    }
}

Test(roster, a_rank_out_of_range_is_an_error)
{
    weft_meeting m = meeting(2);
    weft_roster r;
    weft_known self = peer(1, 2);
    cr_assert_eq(weft_roster_meet(&r, &m, &self.entry, NULL), WEFT_EINVAL);
}

Test(roster, finders_are_listed)
{
    cr_assert_str_eq(weft_finder_type_at(0)->name, "file");
    cr_assert_str_eq(weft_finder_type_at(1)->name, "seed");
    cr_assert_null(weft_finder_type_at(2));
    cr_assert_null(weft_finder_type_at(-1));
}
