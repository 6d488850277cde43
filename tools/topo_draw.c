/* SPDX-License-Identifier: Apache-2.0 */
/* weft topo draw: an algorithm's messages round by round, in words or as a picture. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw_picture.h"
#include "draw_story.h"
#include "outfile.h"
#include "report.h"
#include "topo.h"

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "collective", .letter = 'c', .kind = WEFT_CLI_TEXT, .metavar = "C",
     .value = "allreduce", .help = "what the algorithm is of"},
    WEFT_TOPO_PEERS_OPTION("8"),
    {.name = "out", .letter = 'o', .kind = WEFT_CLI_TEXT, .metavar = "FILE.svg",
     .help = "draw a picture; without it the messages are listed"},
    WEFT_TOPO_QUERY_OPTIONS,
    WEFT_REPORT_OPTIONS,
    {0}};
/* clang-format on */

enum { EACH = 64 }; /* elements for every peer: parts are even where they can be */

static int ends_with_svg(const char *path)
{
    const char *tail = strrchr(path, '.');
    return tail != NULL && strcmp(tail, ".svg") == 0;
}

/* Summary and formula of what is drawn. */
static void find_words(const weft_query *q, const weft_story *story, weft_picture_words *ret)
{
    weft_explain *e = NULL;
    weft_candidate c = {.size = sizeof(c)};
    if (weft_explain_open(&e, q) == WEFT_OK) {
        for (int i = 0; weft_explain_get(e, i, &c); i++) {
            if (strcmp(c.algo, story->algo) == 0) {
                ret->summary = c.summary;
                ret->formula = c.formula;
            }
        }
        weft_explain_close(&e);
    }
}

static int put_picture(const weft_cli *cli, const weft_query *q, const weft_story *story)
{
    const char *path = weft_cli_text(cli, "out");
    char title[256];
    weft_picture_words words = {
        .title = title, .summary = "", .formula = "", .hosts = q->hosts, .root = q->root};
    weft_outfile *out = NULL;
    (void)snprintf(title, sizeof(title), "%s · %s · %d peer%s", q->collective, story->algo,
                   q->peers, q->peers == 1 ? "" : "s");
    find_words(q, story, &words);
    int error = weft_outfile_open(&out, path);
    if (error == 0) {
        weft_picture_put(story, &words, weft_outfile_stream(out));
        error = ferror(weft_outfile_stream(out)) != 0 ? EIO : weft_outfile_commit(&out);
    }
    weft_outfile_drop(&out);
    return error == 0 ? 0 : weft_cli_refuse(cli, "-o %s: %s", path, strerror(error));
}

static void put_words(const weft_query *q, const weft_story *story, FILE *to)
{
    int last = 0;
    (void)fprintf(to, "# %s %s, %d peers: %d rounds, %d messages\n", q->collective, story->algo,
                  q->peers, story->rounds, story->message_count);
    for (int i = 0; i < story->message_count; i++) {
        const weft_story_message *m = &story->messages[i];
        if (m->round != last) {
            (void)fprintf(to, "round %d\n", m->round);
            last = m->round;
        }
        (void)fprintf(to, "  %4d -> %-4d", m->from, m->to);
        for (int k = 0; k < m->count; k++) {
            const weft_story_part *p = &story->parts[m->first + k];
            (void)fprintf(to, " %5.1f..%.1f%%", p->from * 100.0, p->to * 100.0);
        }
        (void)fprintf(to, "%s\n", m->reduces ? "  combined" : "");
    }
}

static json_t *story_json(const weft_query *q, const weft_story *story)
{
    json_t *messages = json_array();
    for (int i = 0; i < story->message_count; i++) {
        const weft_story_message *m = &story->messages[i];
        json_t *parts = json_array();
        for (int k = 0; k < m->count; k++) {
            const weft_story_part *p = &story->parts[m->first + k];
            (void)json_array_append_new(parts, json_pack("[f, f]", p->from, p->to));
        }
        (void)json_array_append_new(messages, json_pack("{s:i, s:i, s:i, s:I, s:b, s:o}", "round",
                                                        m->round, "from", m->from, "to", m->to,
                                                        "bytes", (json_int_t)m->bytes, "combined",
                                                        m->reduces, "parts", parts));
    }
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:o}", "weft", weft_version(), "collective",
                     q->collective, "algo", story->algo, "peers", q->peers, "rounds", story->rounds,
                     "count", (json_int_t)q->count, "messages", messages);
}

static int draw(const weft_cli *cli, const weft_query *q)
{
    const char *json = weft_cli_text(cli, "json");
    weft_story story;
    char why[256];
    const int rc = weft_story_open(&story, q);
    if (rc != WEFT_OK) {
        (void)weft_cli_refuse(cli, "%s",
                              rc == WEFT_ENOMEM ? "out of memory" : weft_last_error()->message);
        return weft_exit_of(rc);
    }
    int status = 0;
    if (weft_cli_given(cli, "out")) {
        status = put_picture(cli, q, &story);
    } else {
        put_words(q, &story, weft_report_text(json));
    }
    if (status == 0 && weft_report_json(json, story_json(q, &story), why) != 0) {
        status = weft_cli_refuse(cli, "%s", why);
    }
    weft_story_close(&story);
    return status;
}

static int run(const weft_cli *cli)
{
    const char *collective = weft_cli_text(cli, "collective");
    const char *out = weft_cli_text(cli, "out");
    weft_topo_query t;
    if (!weft_topo_collective(cli, collective) || !weft_topo_query_read(cli, collective, &t)) {
        return WEFT_EXIT_USAGE;
    }
    int status = 0;
    if (t.q.peers > WEFT_STORY_PEERS) {
        status = weft_cli_refuse(cli, "%d peers: a picture of more than %d shows nothing",
                                 t.q.peers, (int)WEFT_STORY_PEERS);
    } else if (out != NULL && !ends_with_svg(out)) {
        status =
            weft_cli_refuse(cli, "-o %s: an SVG file is drawn: the name must end in .svg", out);
    } else {
        const bool none = strcmp(collective, "barrier") == 0;
        const bool blocks = weft_topo_has_blocks(collective);
        t.q.algo = weft_cli_args(cli)[0];
        t.q.count = none ? 0 : blocks ? EACH : (uint64_t)EACH * (uint64_t)t.q.peers;
        t.q.lane = t.q.lane > 0 && t.q.lane < t.q.count ? t.q.lane : t.q.count + (t.q.count == 0);
        status = draw(cli, &t.q);
    }
    weft_topo_query_free(&t);
    return status;
}

const weft_command weft_topo_draw = {
    .name = "topo draw",
    .summary = "an algorithm's messages round by round, in words or as a picture",
    .usage = "ALGO [OPTIONS]",
    .about = "The picture has who talks to whom on the left, and a row a peer with rounds to the "
             "right: the bars show what\na peer holds, the arrows what goes from one to another.\n",
    .example = "weft topo draw ring -n 8 -o ring.svg",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run};
