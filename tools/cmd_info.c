/* SPDX-License-Identifier: Apache-2.0 */
/* weft info: what this build holds. */
#include <stdio.h>
#include <string.h>

#include <weft/info.h>

#include "cli.h"
#include "report.h"

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "markdown", .kind = WEFT_CLI_FLAG, .help = "tables as the documentation holds them"},
    WEFT_REPORT_OPTIONS,
    {0}};
/* clang-format on */

/* "1 … 32767", "1, 2, max" or "text of 1 … 480 bytes". */
static void range_text(const weft_param *p, char *ret, size_t cap)
{
    if (p->text) {
        (void)snprintf(ret, cap, "text of %.0f … %.0f bytes", p->min, p->max);
        return;
    }
    if (p->choices == NULL) {
        (void)snprintf(ret, cap, "%.10g … %.10g", p->min, p->max);
        return;
    }
    size_t at = 0;
    for (const char *c = p->choices; *c != '\0' && at + 3 < cap; c++) {
        ret[at++] = *c == '|' ? ',' : *c;
        if (*c == '|') {
            ret[at++] = ' ';
        }
    }
    ret[at] = '\0';
}

/* "ring", or for algorithms "allreduce ring". */
static void name_text(const weft_info *info, char *ret, size_t cap)
{
    (void)snprintf(ret, cap, "%s%s%s", info->scope, info->scope[0] != '\0' ? " " : "", info->name);
}

static json_t *param_json(const weft_param *p)
{
    json_t *ret = json_pack("{s:s, s:s?, s:s}", "key", p->key, "default", p->value, "help",
                            p->help != NULL ? p->help : "");
    if (p->choices != NULL) {
        (void)json_object_set_new(ret, "choices", json_string(p->choices));
    } else {
        (void)json_object_set_new(ret, "min", weft_report_real(p->min));
        (void)json_object_set_new(ret, "max", weft_report_real(p->max));
        (void)json_object_set_new(ret, "integer", json_boolean(p->integer));
        (void)json_object_set_new(ret, "text", json_boolean(p->text));
    }
    return ret;
}

/* Families of a word on the command line: first to last. */
typedef struct span {
    int first, last;
} span;

static json_t *all_json(span which)
{
    json_t *root = json_pack("{s:s, s:s}", "weft", weft_version(), "build", weft_build_info());
    for (int f = which.first; f <= which.last; f++) {
        json_t *members = json_array();
        weft_info info;
        for (int i = 0; weft_info_get((weft_family)f, i, &info); i++) {
            json_t *params = json_array();
            for (const weft_param *p = info.params; p->key != NULL; p++) {
                (void)json_array_append_new(params, param_json(p));
            }
            (void)json_array_append_new(
                members,
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "name", info.name, "scope",
                          info.scope, "summary", info.summary, "source", info.source, "cost",
                          info.cost, "promise", info.promise, "params", params));
        }
        (void)json_object_set_new(root, weft_family_name((weft_family)f), members);
    }
    return root;
}

static void print_text(FILE *to, span which)
{
    (void)fprintf(to, "weft %s\n%s\n", weft_version(), weft_build_info());
    for (int f = which.first; f <= which.last; f++) {
        weft_info info;
        (void)fprintf(to, "\n%s\n", weft_family_name((weft_family)f));
        for (int i = 0; weft_info_get((weft_family)f, i, &info); i++) {
            char name[96];
            name_text(&info, name, sizeof(name));
            (void)fprintf(to, "  %-25s %s\n", name, info.summary);
            if (info.cost[0] != '\0') {
                (void)fprintf(to, "  %-25s cost: %s\n", "", info.cost);
            }
            if (info.promise[0] != '\0') {
                (void)fprintf(to, "  %-25s promise: %s\n", "", info.promise);
            }
            if (info.source[0] != '\0') {
                (void)fprintf(to, "  %-25s source: %s\n", "", info.source);
            }
            for (const weft_param *p = info.params; p->key != NULL; p++) {
                char range[160];
                range_text(p, range, sizeof(range));
                (void)fprintf(to, "  %-25s %s=%s: %s (%s)\n", "", p->key,
                              p->value != NULL ? p->value : "", p->help != NULL ? p->help : "",
                              range);
            }
        }
    }
}

static void print_markdown(FILE *to, span which)
{
    static const char *const heads[] = {"<Name", "<What it is", "<Cost", "<Source", NULL};
    static const char *const promising[] = {"<Name",   "<What it is", "<Cost", "<What it promises",
                                            "<Source", NULL};
    static const char *const param_heads[] = {"<Of",     "<Key",        "<Default",
                                              "<Values", "<What it is", NULL};
    for (int f = which.first; f <= which.last; f++) {
        const bool promises = f == WEFT_FAMILY_OPTIM;
        weft_table *members = weft_table_new(promises ? promising : heads),
                   *params = weft_table_new(param_heads);
        weft_info info;
        int param_count = 0;
        for (int i = 0; weft_info_get((weft_family)f, i, &info); i++) {
            char name[96], range[160];
            name_text(&info, name, sizeof(name));
            weft_table_cell(members, "`%s`", name);
            weft_table_cell(members, "%s", info.summary);
            weft_table_cell(members, "%s", info.cost);
            if (promises) {
                weft_table_cell(members, "%s", info.promise);
            }
            weft_table_cell(members, "%s", info.source);
            for (const weft_param *p = info.params; p->key != NULL; p++, param_count++) {
                range_text(p, range, sizeof(range));
                weft_table_cell(params, "`%s`", name);
                weft_table_cell(params, "`%s`", p->key);
                weft_table_cell(params, "%s", p->value != NULL ? p->value : "");
                weft_table_cell(params, "%s", range);
                weft_table_cell(params, "%s", p->help != NULL ? p->help : "");
            }
        }
        (void)fprintf(to, "%s### %s\n\n", f > which.first ? "\n" : "",
                      weft_family_name((weft_family)f));
        weft_table_markdown(members, to);
        if (param_count > 0) {
            (void)fputc('\n', to);
            weft_table_markdown(params, to);
        }
        weft_table_free(members);
        weft_table_free(params);
    }
}

/* The family that the word names; all without one. false: told. */
static bool read_families(const weft_cli *cli, span *ret)
{
    const char *names[WEFT_FAMILY_COUNT + 1] = {NULL};
    const char *word = weft_cli_args(cli)[0];
    *ret = (span){0, WEFT_FAMILY_COUNT - 1};
    for (int f = 0; f < WEFT_FAMILY_COUNT && word != NULL; f++) {
        names[f] = weft_family_name((weft_family)f);
        if (strcmp(names[f], word) == 0) {
            *ret = (span){f, f};
            return true;
        }
    }
    if (word != NULL) {
        (void)weft_cli_refuse(cli, "unknown family '%s'; nearest: %s", word,
                              weft_cli_nearest(word, names));
    }
    return word == NULL;
}

static int run(const weft_cli *cli)
{
    const char *path = weft_cli_text(cli, "json");
    char why[256];
    span which;
    FILE *to = weft_report_text(path);
    if (!read_families(cli, &which)) {
        return WEFT_EXIT_USAGE;
    }
    if (weft_cli_flag(cli, "markdown") && path != NULL) {
        return weft_cli_refuse(cli, "--markdown and --json do not go together");
    }
    if (weft_cli_flag(cli, "markdown")) {
        print_markdown(to, which);
    } else if (path == NULL || strcmp(path, "-") != 0) {
        print_text(to, which);
    }
    if (path != NULL && weft_report_json(path, all_json(which), why) != 0) {
        return weft_cli_refuse(cli, "%s", why);
    }
    return WEFT_EXIT_DONE;
}

const weft_command weft_cmd_info = {
    .name = "info",
    .summary = "version, build, and every codec, algorithm, topology, optimizer, finder, link",
    .usage = "[FAMILY] [OPTIONS]",
    .about = "FAMILY is codecs, algorithms, topologies, optimizers, finders or links; "
             "without it, all.\n",
    .example = "weft info --json - | jq '.codecs[].name'",
    .options = options,
    .args_max = 1,
    .run = run};
