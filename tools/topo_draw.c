/* SPDX-License-Identifier: Apache-2.0 */
/* weft topo draw: an algorithm's messages round by round, or a topology, in words or as a picture.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw_graph.h"
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
     .help = "draw a picture; without it messages or neighbours are listed"},
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

/* A picture of either. */
typedef struct canvas {
    const weft_cli *cli;
    const weft_query *q;
    const weft_story *story;       /* NULL: a topology */
    const weft_graph_facts *facts; /* of it */
    const char *summary;
} canvas;

static int put_on(const canvas *c, FILE *to)
{
    char title[512];
    weft_picture_words words = {
        .title = title, .summary = "", .formula = "", .hosts = c->q->hosts, .root = c->q->root};
    if (c->story == NULL) {
        return weft_graph_put(c->q->topology, c->facts, c->summary, c->q->hosts, to);
    }
    (void)snprintf(title, sizeof(title), "%s · %s · %d peer%s%s%s", c->q->collective,
                   c->story->algo, c->q->peers, c->q->peers == 1 ? "" : "s",
                   c->q->topology != NULL ? " · along " : "",
                   c->q->topology != NULL ? weft_topology_spec(c->q->topology) : "");
    find_words(c->q, c->story, &words);
    weft_picture_put(c->story, &words, to);
    return 0;
}

static int put_picture(const canvas *c)
{
    const char *path = weft_cli_text(c->cli, "out");
    weft_outfile *out = NULL;
    int error = weft_outfile_open(&out, path);
    if (error == 0) {
        error = put_on(c, weft_outfile_stream(out)) != 0 ? ENOMEM : 0;
        error = error == 0 && ferror(weft_outfile_stream(out)) != 0 ? EIO : error;
        error = error == 0 ? weft_outfile_commit(&out) : error;
    }
    weft_outfile_drop(&out);
    return error == 0 ? 0 : weft_cli_refuse(c->cli, "-o %s: %s", path, strerror(error));
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
        const canvas c = {.cli = cli, .q = q, .story = &story};
        status = put_picture(&c);
    } else {
        put_words(q, &story, weft_report_text(json));
    }
    if (status == 0 && weft_report_json(json, story_json(q, &story), why) != 0) {
        status = weft_cli_refuse(cli, "%s", why);
    }
    weft_story_close(&story);
    return status;
}

static json_t *graph_json(const weft_topology *t, const weft_graph_facts *f)
{
    json_t *edges = json_array();
    for (int a = 0; a < weft_topology_size(t); a++) {
        int count = 0;
        const int *peers = weft_topology_neighbors(t, a, &count);
        for (int i = 0; i < count; i++) {
            if (a < peers[i]) {
                (void)json_array_append_new(edges, json_pack("[i, i]", a, peers[i]));
            }
        }
    }
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:o}", "weft", weft_version(), "topology",
                     weft_topology_spec(t), "peers", weft_topology_size(t), "degree_min",
                     f->degree_min, "degree_max", f->degree_max, "diameter", f->diameter,
                     "spectral_gap", f->gap, "edges", edges);
}

static void list_neighbours(const weft_topology *t, const weft_graph_facts *f, FILE *to)
{
    (void)fprintf(to,
                  "# %s, %d peers: %zu edges, degree %d to %d, diameter %d, spectral gap %.6g\n",
                  weft_topology_spec(t), weft_topology_size(t), f->edges, f->degree_min,
                  f->degree_max, f->diameter, f->gap);
    for (int a = 0; a < weft_topology_size(t); a++) {
        int count = 0;
        const int *peers = weft_topology_neighbors(t, a, &count);
        (void)fprintf(to, "%5d:", a);
        for (int i = 0; i < count; i++) {
            (void)fprintf(to, " %d", peers[i]);
        }
        (void)fputc('\n', to);
    }
}

static int draw_graph(const weft_cli *cli, const weft_query *q)
{
    const char *json = weft_cli_text(cli, "json"), *spec = weft_topology_spec(q->topology);
    weft_graph_facts facts;
    weft_info info;
    char why[256];
    canvas c = {.cli = cli, .q = q, .facts = &facts, .summary = ""};
    int status = 0;
    if (weft_graph_facts_get(q->topology, &facts) != WEFT_OK) {
        return weft_cli_refuse(cli, "%s", weft_last_error()->message);
    }
    for (int i = 0; weft_topo_topology_at(i, &info); i++) {
        const size_t len = strlen(info.name);
        if (strncmp(info.name, spec, len) == 0 && (spec[len] == ':' || spec[len] == '\0')) {
            c.summary = info.summary;
        }
    }
    if (weft_cli_given(cli, "out")) {
        status = put_picture(&c);
    } else {
        list_neighbours(q->topology, &facts, weft_report_text(json));
    }
    if (status == 0 && weft_report_json(json, graph_json(q->topology, &facts), why) != 0) {
        status = weft_cli_refuse(cli, "%s", why);
    }
    return status;
}

/* Is the word a topology, and no algorithm of the collective? */
static bool is_topology(const char *word, const char *collective)
{
    const size_t len = strcspn(word, ":");
    bool found = false;
    weft_info info;
    for (int i = 0; weft_info_get(WEFT_FAMILY_ALGO, i, &info); i++) {
        if (strcmp(info.scope, collective) == 0 && strlen(info.name) == len &&
            strncmp(info.name, word, len) == 0) {
            return false;
        }
    }
    for (int i = 0; weft_topo_topology_at(i, &info); i++) {
        found = found || (strlen(info.name) == len && strncmp(info.name, word, len) == 0);
    }
    return found;
}

static int draw_algorithm(const weft_cli *cli, const char *algo, weft_query *q)
{
    const bool none = strcmp(q->collective, "barrier") == 0;
    const bool blocks = weft_topo_has_blocks(q->collective);
    q->algo = algo;
    q->count = none ? 0 : blocks ? EACH : (uint64_t)EACH * (uint64_t)q->peers;
    q->lane = q->lane > 0 && q->lane < q->count ? q->lane : q->count + (q->count == 0);
    return draw(cli, q);
}

static int run(const weft_cli *cli)
{
    const char *collective = weft_cli_text(cli, "collective");
    const char *out = weft_cli_text(cli, "out"), *word = weft_cli_args(cli)[0];
    weft_topo_query t;
    int status = 0;
    if (out != NULL && !ends_with_svg(out)) {
        return weft_cli_refuse(cli, "-o %s: an SVG file is drawn: the name must end in .svg", out);
    }
    if (word == NULL && !weft_cli_given(cli, "topology")) {
        return weft_cli_refuse(cli, "nothing to draw: neither ALGO nor --topology is given");
    }
    if (!weft_topo_collective(cli, collective) || !weft_topo_query_read(cli, collective, &t)) {
        return WEFT_EXIT_USAGE;
    }
    const bool graph = word == NULL || is_topology(word, collective);
    const int most = graph ? (int)WEFT_GRAPH_PEERS : (int)WEFT_STORY_PEERS;
    if (word != NULL && graph && t.topology != NULL) {
        status = weft_cli_refuse(cli, "%s is a topology, and so is --topology", word);
    } else if (word != NULL && graph && weft_topology_open(&t.topology, word, t.q.peers) != 0) {
        status = weft_cli_refuse(cli, "%s", weft_last_error()->message);
    } else if (t.q.peers > most) {
        status = weft_cli_refuse(cli, "%d peers: a picture of more than %d shows nothing",
                                 t.q.peers, most);
    } else {
        t.q.topology = t.topology;
        status = graph ? draw_graph(cli, &t.q) : draw_algorithm(cli, word, &t.q);
    }
    weft_topo_query_free(&t);
    return status;
}

const weft_command weft_topo_draw = {
    .name = "topo draw",
    .summary = "an algorithm round by round, or a topology, in words or as a picture",
    .usage = "[ALGO | TOPOLOGY] [OPTIONS]",
    .about = "The picture has who talks to whom on the left, and a row a peer with rounds to the "
             "right: the bars show what\na peer holds, the arrows what goes from one to another. "
             "With --topology an algorithm goes along its edges;\nwithout ALGO the topology itself "
             "is drawn.\n",
    .example = "weft topo draw ring -n 8 -o ring.svg",
    .options = options,
    .args_max = 1,
    .run = run};
