/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cli_value {
    const char *text; /* as typed, or the default; NULL: neither */
    char name[40];    /* the option as typed, "-n" or "--peers" */
    bool given;
    int64_t whole;
    double real;
    size_t size;
} cli_value;

struct weft_cli {
    const weft_command *command;
    char **argv;         /* the process's, from "weft" on */
    cli_value *values;   /* one for each option */
    const char **list;   /* values of LIST options, in order */
    size_t *list_option; /* whose */
    size_t list_count;
    char **args; /* words that are no options, then NULL */
    int arg_count;
};

static size_t option_count(const weft_command *command)
{
    size_t n = 0;
    while (command->options[n].name != NULL) {
        n++;
    }
    return n;
}

static size_t find(const weft_cli *cli, const char *name)
{
    size_t i = 0;
    while (cli->command->options[i].name != NULL &&
           strcmp(cli->command->options[i].name, name) != 0) {
        i++;
    }
    assert(cli->command->options[i].name != NULL);
    return i;
}

__attribute__((format(printf, 2, 0))) static void complain(const char *command, const char *format,
                                                           va_list args)
{
    char text[1024];
    (void)vsnprintf(text, sizeof(text), format, args);
    (void)fprintf(stderr, "weft %s: %s\n", command, text);
}

int weft_cli_refuse(const weft_cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(cli->command->name, format, args);
    va_end(args);
    return WEFT_EXIT_USAGE;
}

static void help_option(const weft_cli_option *o)
{
    char left[64];
    (void)snprintf(left, sizeof(left), "  %c%c%s--%s%s%s", o->letter ? '-' : ' ',
                   o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
                   o->metavar ? " " : "", o->metavar ? o->metavar : "");
    printf("%-28s%s%s", left, strlen(left) > 27 ? "\n                            " : "", o->help);
    if (o->choices != NULL) {
        printf("; %s", o->choices);
    }
    if (o->value != NULL) {
        printf(" (default %s)", o->value);
    }
    printf("\n");
}

static void help(const weft_command *command)
{
    static const weft_cli_option self = {
        .name = "help", .letter = 'h', .kind = WEFT_CLI_FLAG, .help = "show this text"};
    printf("usage: weft %s %s\n\n%c%s.\n", command->name, command->usage,
           toupper((unsigned char)command->summary[0]), command->summary + 1);
    if (command->about != NULL) {
        printf("\n%s", command->about);
    }
    printf("\noptions:\n");
    for (const weft_cli_option *o = command->options; o->name != NULL; o++) {
        help_option(o);
    }
    help_option(&self);
    printf("\nexample:\n  %s\n", command->example);
}

/* Is text one of the words of "a|b|c"? */
static bool is_choice(const char *text, const char *choices)
{
    const size_t len = strlen(text);
    for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, text, len) == 0 && (at[len] == '|' || at[len] == '\0') && len > 0) {
            return true;
        }
    }
    return false;
}

static void refuse_choice(const weft_cli *cli, const weft_cli_option *o, const char *name,
                          const char *text)
{
    char words[256];
    const char *names[17] = {NULL};
    size_t n = 0;
    (void)snprintf(words, sizeof(words), "%s", o->choices);
    char *rest = words;
    for (char *word; (word = strsep(&rest, "|")) != NULL && n < 16; n++) {
        names[n] = word;
    }
    (void)weft_cli_refuse(cli, "%s '%s' is none of %s; nearest: %s", name, text, o->choices,
                          weft_cli_nearest(text, names));
}

/* Check text and keep it as the option's value. */
static bool take(weft_cli *cli, size_t i, const char *text)
{
    const weft_cli_option *o = &cli->command->options[i];
    cli_value *v = &cli->values[i];
    bool ok = true;
    switch (o->kind) {
    case WEFT_CLI_FLAG:
        break;
    case WEFT_CLI_TEXT:
        if (o->choices != NULL && !is_choice(text, o->choices)) {
            refuse_choice(cli, o, v->name, text);
            return false;
        }
        break;
    case WEFT_CLI_LIST:
        cli->list[cli->list_count] = text;
        cli->list_option[cli->list_count++] = i;
        break;
    case WEFT_CLI_WHOLE:
        ok = weft_cli_read_whole(text, o->min, o->max, &v->whole);
        break;
    case WEFT_CLI_REAL:
        ok = weft_cli_read_real(text, o->min, o->max, &v->real);
        break;
    case WEFT_CLI_SIZE:
        ok = weft_cli_read_size(text, o->min, o->max, &v->size);
        break;
    }
    if (!ok) {
        (void)weft_cli_refuse(cli, "%s '%s': not a %s in %.16g … %.16g", v->name, text,
                              o->kind == WEFT_CLI_WHOLE  ? "whole number"
                              : o->kind == WEFT_CLI_SIZE ? "size like 512, 4K or 1M"
                                                         : "number",
                              o->min, o->max);
        return false;
    }
    v->text = text;
    return true;
}

/* Find the option that a word like "--codec=raw", "-n4" or "-n" names, and where in the word its
 * value begins (NULL: not in the word). */
static bool match(const weft_cli *cli, const char *word, size_t *ret_index, const char **ret_value)
{
    const weft_cli_option *options = cli->command->options;
    const bool is_long = word[1] == '-';
    const size_t len = is_long ? strcspn(word + 2, "=") : 1;
    for (size_t i = 0; options[i].name != NULL; i++) {
        if (is_long ? strlen(options[i].name) == len && strncmp(word + 2, options[i].name, len) == 0
                    : options[i].letter == word[1]) {
            const char *after = word + (is_long ? 2 : 1) + len;
            *ret_index = i;
            *ret_value = *after == '\0' ? NULL : is_long ? after + 1 : after;
            return true;
        }
    }
    return false;
}

static void refuse_unknown(const weft_cli *cli, const char *word)
{
    const weft_cli_option *options = cli->command->options;
    const size_t n = option_count(cli->command);
    const char **names = calloc(n + 2, sizeof(*names));
    const char *nearest = "help";
    if (names != NULL) {
        for (size_t i = 0; i < n; i++) {
            names[i] = options[i].name;
        }
        names[n] = "help";
        char bare[64];
        (void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(word + 1 + (word[1] == '-'), "="),
                       word + 1 + (word[1] == '-'));
        nearest = weft_cli_nearest(bare, names);
    }
    (void)weft_cli_refuse(cli, "unknown option '%s'; nearest: --%s (weft %s --help lists all)",
                          word, nearest, cli->command->name);
    free(names);
}

/* Take the option that argv[*at] names. */
static bool parse_option(weft_cli *cli, int argc, char **argv, int *at)
{
    size_t i = 0;
    const char *value = NULL, *word = argv[*at];
    if (!match(cli, word, &i, &value)) {
        refuse_unknown(cli, word);
        return false;
    }
    const weft_cli_option *o = &cli->command->options[i];
    char *name = cli->values[i].name;
    (void)snprintf(name, sizeof(cli->values[i].name), word[1] == '-' ? "--%s" : "-%.1s",
                   word[1] == '-' ? o->name : word + 1);
    if (o->kind == WEFT_CLI_FLAG && value != NULL) {
        (void)weft_cli_refuse(cli, "%s takes no value", name);
        return false;
    }
    if (o->kind != WEFT_CLI_FLAG && value == NULL) {
        if (*at + 1 >= argc) {
            (void)weft_cli_refuse(cli, "%s needs %s", name, o->metavar);
            return false;
        }
        value = argv[++*at];
    }
    if (cli->values[i].given && o->kind != WEFT_CLI_LIST && o->kind != WEFT_CLI_FLAG &&
        strcmp(cli->values[i].text, value) != 0) {
        (void)weft_cli_refuse(cli, "%s is given twice: '%s' and '%s'", name, cli->values[i].text,
                              value);
        return false;
    }
    if (!take(cli, i, value)) {
        return false;
    }
    cli->values[i].given = true;
    return true;
}

/* Walk the words. -1: go on; else the exit status. */
static int parse(weft_cli *cli, int argc, char **argv)
{
    bool words_only = false;
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        if (words_only || word[0] != '-' || word[1] == '\0') {
            cli->args[cli->arg_count++] = argv[at];
            words_only |= cli->command->rest;
        } else if (strcmp(word, "--") == 0) {
            words_only = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            help(cli->command);
            return fflush(stdout) == 0 ? WEFT_EXIT_DONE : WEFT_EXIT_WRONG;
        } else if (!parse_option(cli, argc, argv, &at)) {
            return WEFT_EXIT_USAGE;
        }
    }
    const weft_command *c = cli->command;
    if (cli->arg_count < c->args_min) {
        return weft_cli_refuse(cli, "too few words; usage: weft %s %s", c->name, c->usage);
    }
    if (c->args_max >= 0 && cli->arg_count > c->args_max) {
        return weft_cli_refuse(cli, "unexpected word '%s'; usage: weft %s %s",
                               cli->args[c->args_max], c->name, c->usage);
    }
    return -1;
}

const weft_command *weft_cli_part(const weft_command *command, const char *word)
{
    for (const weft_command *const *part = command->parts; part != NULL && *part != NULL; part++) {
        if (strcmp(strchr((*part)->name, ' ') + 1, word) == 0) {
            return *part;
        }
    }
    return NULL;
}

int weft_cli_parse(const weft_command *command, int argc, char **argv, weft_cli **ret,
                   int *ret_exit)
{
    const size_t n = option_count(command);
    const size_t words = (size_t)argc + 1;
    weft_cli *cli = calloc(1, sizeof(*cli));
    *ret = NULL;
    *ret_exit = WEFT_EXIT_WRONG;
    if (cli == NULL) {
        return -1;
    }
    cli->command = command;
    cli->argv = argv - (strchr(command->name, ' ') != NULL ? 2 : 1);
    cli->values = calloc(n + 1, sizeof(*cli->values));
    cli->list = calloc(words, sizeof(*cli->list));
    cli->list_option = calloc(words, sizeof(*cli->list_option));
    cli->args = calloc(words, sizeof(*cli->args));
    if (cli->values == NULL || cli->list == NULL || cli->list_option == NULL || cli->args == NULL) {
        (void)fprintf(stderr, "weft %s: out of memory\n", command->name);
        weft_cli_free(cli);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(cli->values[i].name, sizeof(cli->values[i].name), "--%s",
                       command->options[i].name);
        if (command->options[i].value != NULL && command->options[i].kind != WEFT_CLI_LIST) {
            const bool ok = take(cli, i, command->options[i].value);
            assert(ok);
            (void)ok;
        }
    }
    *ret_exit = parse(cli, argc, argv);
    if (*ret_exit >= 0) {
        weft_cli_free(cli);
        return -1;
    }
    *ret = cli;
    return 0;
}

void weft_cli_free(weft_cli *cli)
{
    if (cli != NULL) {
        free(cli->values);
        free(cli->list);
        free(cli->list_option);
        free(cli->args);
        free(cli);
    }
}

bool weft_cli_given(const weft_cli *cli, const char *name)
{
    return cli->values[find(cli, name)].given;
}

const char *weft_cli_name(const weft_cli *cli, const char *name)
{
    return cli->values[find(cli, name)].name;
}

bool weft_cli_flag(const weft_cli *cli, const char *name)
{
    return cli->values[find(cli, name)].given;
}

const char *weft_cli_text(const weft_cli *cli, const char *name)
{
    return cli->values[find(cli, name)].text;
}

int64_t weft_cli_whole(const weft_cli *cli, const char *name)
{
    return cli->values[find(cli, name)].whole;
}

double weft_cli_real(const weft_cli *cli, const char *name)
{
    return cli->values[find(cli, name)].real;
}

size_t weft_cli_size(const weft_cli *cli, const char *name)
{
    return cli->values[find(cli, name)].size;
}

int weft_cli_list_count(const weft_cli *cli, const char *name)
{
    const size_t i = find(cli, name);
    int n = 0;
    for (size_t k = 0; k < cli->list_count; k++) {
        n += cli->list_option[k] == i;
    }
    return n;
}

const char *weft_cli_list_get(const weft_cli *cli, const char *name, int index)
{
    const size_t i = find(cli, name);
    for (size_t k = 0; k < cli->list_count; k++) {
        if (cli->list_option[k] == i && index-- == 0) {
            return cli->list[k];
        }
    }
    return NULL;
}

int weft_cli_arg_count(const weft_cli *cli)
{
    return cli->arg_count;
}

char *const *weft_cli_args(const weft_cli *cli)
{
    return cli->args;
}

char *const *weft_cli_argv(const weft_cli *cli)
{
    return cli->argv;
}

const char *weft_cli_command(const weft_cli *cli)
{
    return cli->command->name;
}
