/* SPDX-License-Identifier: Apache-2.0 */
/* weft topo list: algorithms and topologies with their needs and costs. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <weft/info.h>

#include "report.h"
#include "topo.h"

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "collective", .letter = 'c', .kind = WEFT_CLI_TEXT, .metavar = "C",
     .help = "only the algorithms of this one"},
    WEFT_REPORT_OPTIONS,
    {0}};
/* clang-format on */

/* All with commas; "": none. */
static void params_text(const weft_param *params, char *ret, size_t cap)
{
    size_t len = 0;
    ret[0] = '\0';
    for (const weft_param *p = params; p->key != NULL && len < cap; p++) {
        char one[160];
        weft_topo_param_text(p, one, sizeof(one));
        const int got = snprintf(ret + len, cap - len, "%s%s", len > 0 ? ", " : "", one);
        len += got > 0 ? (size_t)got : 0;
    }
}

static json_t *params_json(const weft_param *params)
{
    json_t *ret = json_array();
    for (const weft_param *p = params; p->key != NULL; p++) {
        (void)json_array_append_new(ret, json_pack("{s:s, s:s?, s:s?}", "key", p->key, "default",
                                                   p->value, "help", p->help));
    }
    return ret;
}

static json_t *info_json(const weft_info *info)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", info->name, "summary", info->summary,
                     "cost", info->cost, "source", info->source, "params",
                     params_json(info->params));
}

enum { INDENT = 21, WIDTH = 100 }; /* columns: before what is told of a name, of all */

/* Word by word, in as many lines as it takes; the first one begins behind `at` columns. */
static void print_words(FILE *to, size_t at, const char *text)
{
    for (const char *word = text; *word != '\0';) {
        const size_t len = strcspn(word, " ");
        size_t columns = 0;
        for (size_t i = 0; i < len; i++) {
            columns += ((unsigned char)word[i] & 0xC0) != 0x80; /* bytes that begin a character */
        }
        const bool fits = word == text || at + 1 + columns <= WIDTH;
        (void)fprintf(to, "%s%*s%.*s", fits ? "" : "\n",
                      word == text ? 0
                      : fits       ? 1
                                   : INDENT,
                      "", (int)len, word);
        at = (fits ? at + (word != text) : INDENT) + columns;
        word += len + strspn(word + len, " ");
    }
    (void)fputc('\n', to);
}

/* A line below the name; nothing of an empty text. */
static void print_more(FILE *to, const char *label, const char *text)
{
    if (text[0] != '\0') {
        (void)fprintf(to, "%*s%s", INDENT, "", label);
        print_words(to, INDENT + strlen(label), text);
    }
}

static void print_member(FILE *to, const weft_info *info)
{
    (void)fprintf(to, "  %-*s ", INDENT - 3, info->name);
    print_words(to, INDENT, info->summary);
}

static void print_params(FILE *to, const weft_info *info)
{
    char params[256], spec[320];
    params_text(info->params, params, sizeof(params));
    (void)snprintf(spec, sizeof(spec), "%s:%s", info->name, params);
    print_more(to, "SPEC: ", params[0] != '\0' ? spec : "");
}

static void print_collective(FILE *to, const char *collective)
{
    weft_info info;
    (void)fprintf(to, "%s\n", collective);
    for (int i = 0; weft_info_get(WEFT_FAMILY_ALGO, i, &info); i++) {
        if (strcmp(collective, info.scope) == 0) {
            print_member(to, &info);
            print_more(to, "cost: ", info.cost);
            print_more(to, "needs: ", weft_topo_needs(&info));
            print_params(to, &info);
        }
    }
    (void)fputc('\n', to);
}

static void list_algorithms(const char *collective, FILE *to, json_t *root)
{
    json_t *all = json_array();
    const char *name;
    weft_info info;
    for (int i = 0; (name = weft_topo_collective_at(i)) != NULL; i++) {
        if (collective == NULL || strcmp(collective, name) == 0) {
            print_collective(to, name);
        }
    }
    (void)fprintf(to,
                  "P peers, n elements of the vector (of a block where there are blocks), w bytes "
                  "of an\nencoded element, e of an element, lg logarithm to base 2, [x] 1 where x "
                  "holds, else 0.\nBytes are those of the peer that sends most.\n");
    for (int i = 0; weft_info_get(WEFT_FAMILY_ALGO, i, &info); i++) {
        if (collective == NULL || strcmp(collective, info.scope) == 0) {
            json_t *one = info_json(&info);
            (void)json_object_set_new(one, "collective", json_string(info.scope));
            (void)json_object_set_new(one, "needs", json_string(weft_topo_needs(&info)));
            (void)json_array_append_new(all, one);
        }
    }
    (void)json_object_set_new(root, "algorithms", all);
}

static void list_topologies(FILE *to, json_t *root)
{
    json_t *all = json_array();
    weft_info info;
    (void)fprintf(to, "\ntopologies\n");
    for (int i = 0; weft_topo_topology_at(i, &info); i++) {
        print_member(to, &info);
        print_more(to, "", info.cost);
        print_params(to, &info);
        (void)json_array_append_new(all, info_json(&info));
    }
    (void)json_object_set_new(root, "topologies", all);
}

static int run(const weft_cli *cli)
{
    const char *collective = weft_cli_text(cli, "collective");
    const char *path = weft_cli_text(cli, "json");
    FILE *to = weft_report_text(path);
    char why[256];
    if (collective != NULL && !weft_topo_collective(cli, collective)) {
        return WEFT_EXIT_USAGE;
    }
    json_t *root = json_pack("{s:s}", "weft", weft_version());
    list_algorithms(collective, to, root);
    if (collective == NULL) {
        list_topologies(to, root);
    }
    return weft_report_json(path, root, why) == 0 ? WEFT_EXIT_DONE
                                                  : weft_cli_refuse(cli, "%s", why);
}

const weft_command weft_topo_list = {.name = "topo list",
                                     .summary = "algorithms and topologies, needs and costs",
                                     .usage = "[OPTIONS]",
                                     .example = "weft topo list --collective allreduce",
                                     .options = options,
                                     .args_max = 0,
                                     .run = run};
