/* SPDX-License-Identifier: Apache-2.0 */
/* weft topo list: algorithms and topologies with their needs and costs. */
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

static void list_algorithms(const char *collective, FILE *to, json_t *root)
{
    static const char *const heads[] = {"<collective", "<algorithm", "<needs",
                                        "<cost",       "<how",       NULL};
    weft_table *table = weft_table_new(heads);
    json_t *all = json_array();
    weft_info info;
    for (int i = 0; weft_info_get(WEFT_FAMILY_ALGO, i, &info); i++) {
        char params[256];
        if (collective != NULL && strcmp(collective, info.scope) != 0) {
            continue;
        }
        const char *needs = weft_topo_needs(&info);
        params_text(info.params, params, sizeof(params));
        weft_table_cell(table, "%s", info.scope);
        weft_table_cell(table, "%s%s%s", info.name, params[0] != '\0' ? ":" : "", params);
        weft_table_cell(table, "%s", needs);
        weft_table_cell(table, "%s", info.cost);
        weft_table_cell(table, "%s", info.summary);
        json_t *one = info_json(&info);
        (void)json_object_set_new(one, "collective", json_string(info.scope));
        (void)json_object_set_new(one, "needs", json_string(needs));
        (void)json_array_append_new(all, one);
    }
    weft_table_print(table, to);
    weft_table_free(table);
    (void)fprintf(
        to, "\nP peers, n elements of the vector (of a block where there are blocks), w bytes "
            "of an\nencoded element, e of an element, lg logarithm to base 2, [x] 1 where x "
            "holds, else 0.\nBytes are those of the peer that sends most.\n");
    (void)json_object_set_new(root, "algorithms", all);
}

static void list_topologies(FILE *to, json_t *root)
{
    static const char *const heads[] = {"<topology", "<degree and diameter", "<what it is", NULL};
    weft_table *table = weft_table_new(heads);
    json_t *all = json_array();
    weft_info info;
    for (int i = 0; weft_topo_topology_at(i, &info); i++) {
        char params[256];
        params_text(info.params, params, sizeof(params));
        weft_table_cell(table, "%s%s%s", info.name, params[0] != '\0' ? ":" : "", params);
        weft_table_cell(table, "%s", info.cost);
        weft_table_cell(table, "%s", info.summary);
        (void)json_array_append_new(all, info_json(&info));
    }
    (void)fputc('\n', to);
    weft_table_print(table, to);
    weft_table_free(table);
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
