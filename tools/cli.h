/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines: one constant table of options a subcommand gives parsing, ranges, defaults and
 * --help. A command line that does not fit is told on stderr with the nearest valid name, exit 2.
 *
 *     static const weft_cli_option options[] = {
 *         WEFT_LAUNCH_OPTIONS,                                    (peers.h: -n --link --timeout …)
 *         {.name = "begin", .letter = 'b', .kind = WEFT_CLI_SIZE, .metavar = "BYTES",
 *          .value = "1K", .min = 0, .max = 1e12, .help = "smallest size"},
 *         {0}};
 *     const weft_command weft_cmd_bench = {.name = "bench", …, .options = options, .run = run};
 */
#ifndef WEFT_TOOLS_CLI_H
#define WEFT_TOOLS_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the process returns. */
enum weft_exit {
    WEFT_EXIT_DONE = 0,  /* done and right */
    WEFT_EXIT_WRONG = 1, /* ran; the result is wrong or a check failed */
    WEFT_EXIT_USAGE = 2, /* usage or bad input */
    WEFT_EXIT_LOST = 3   /* a peer was lost or a deadline passed */
};

/* What an option's value is. */
enum weft_cli_kind {
    WEFT_CLI_FLAG,  /* no value */
    WEFT_CLI_TEXT,  /* anything: a SPEC, a file; with choices: one of them */
    WEFT_CLI_LIST,  /* anything, may be given more than once */
    WEFT_CLI_WHOLE, /* whole number in min … max */
    WEFT_CLI_REAL,  /* number in min … max */
    WEFT_CLI_SIZE   /* bytes in min … max: 512, 4K, 1M, 2G (powers of 1024) */
};

typedef struct weft_cli_option {
    const char *name; /* long name without dashes; NULL ends a table */
    char letter;      /* short name, 0: none */
    enum weft_cli_kind kind;
    const char *metavar; /* shown for the value; NULL for flags */
    const char *value;   /* the default, as it would be typed; NULL: none */
    const char *choices; /* "tcp|ipc|mem", NULL: free */
    double min, max;     /* range of numbers and sizes, both ends in */
    const char *help;    /* one line */
} weft_cli_option;

typedef struct weft_cli weft_cli; /* a parsed command line */

/* A subcommand. */
typedef struct weft_command weft_command;
struct weft_command {
    const char *name;               /* "bench"; of a part "bench matrix" */
    const char *summary;            /* one line for `weft --help` */
    const char *usage;              /* "COLLECTIVE [OPTIONS]" behind the name */
    const char *about;              /* more lines of --help, each ending in \n; NULL: none */
    const char *example;            /* one whole command line */
    const weft_cli_option *options; /* ends with name NULL; --help is added */
    int args_min, args_max;         /* words that are no options; max -1: no limit */
    bool rest;     /* the first word ends the options: the rest belongs to another program */
    bool computes; /* runs peers in its own processes: one BLAS thread each unless the user said */
    /* Commands of their own, with options of their own, where their word comes right behind this
     * one's; ends with NULL. NULL: there are none. */
    const weft_command *const *parts;
    int (*run)(const weft_cli *cli); /* returns an exit status */
};

extern const weft_command weft_cmd_run, weft_cmd_train, weft_cmd_bench, weft_cmd_call,
    weft_cmd_codec, weft_cmd_topo, weft_cmd_info;

/* The part that a word names; NULL: none. */
const weft_command *weft_cli_part(const weft_command *command, const char *word);

/* Parse argv (argv[0] is the last word of the subcommand's name; the others and the program's name
 * stand before it). 0: *ret holds the parsed line; else *ret is NULL, help or an error was printed
 * and *ret_exit is the exit status. */
int weft_cli_parse(const weft_command *command, int argc, char **argv, weft_cli **ret,
                   int *ret_exit);
void weft_cli_free(weft_cli *cli);

/* Values by long name; a name that is not in the table is a bug (assert). Without a default and
 * not given: NULL, 0, false. */
bool weft_cli_given(const weft_cli *cli, const char *name); /* the user typed it */
/* The option for messages: as the user typed it, "-n", else "--peers". */
const char *weft_cli_name(const weft_cli *cli, const char *name);
bool weft_cli_flag(const weft_cli *cli, const char *name);
const char *weft_cli_text(const weft_cli *cli, const char *name);
int64_t weft_cli_whole(const weft_cli *cli, const char *name);
double weft_cli_real(const weft_cli *cli, const char *name);
size_t weft_cli_size(const weft_cli *cli, const char *name);
int weft_cli_list_count(const weft_cli *cli, const char *name);
const char *weft_cli_list_get(const weft_cli *cli, const char *name, int index);

/* Words that are no options, and how many. argv style: ends with NULL. */
int weft_cli_arg_count(const weft_cli *cli);
char *const *weft_cli_args(const weft_cli *cli);
/* The whole command line as it was typed, from "weft" on, ends with NULL. */
char *const *weft_cli_argv(const weft_cli *cli);
const char *weft_cli_command(const weft_cli *cli); /* "bench" */

/* Print "weft COMMAND: text" on stderr and return WEFT_EXIT_USAGE. */
int weft_cli_refuse(const weft_cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The entry of a NULL-ended list that is nearest to word by edit distance. NULL: empty list. */
const char *weft_cli_nearest(const char *word, const char *const *names);

/* Numbers by themselves, for words inside other strings (--run). false: text is none, or is out of
 * min … max; *ret is untouched then. */
bool weft_cli_read_whole(const char *text, double min, double max, int64_t *ret);
bool weft_cli_read_real(const char *text, double min, double max, double *ret);
bool weft_cli_read_size(const char *text, double min, double max, size_t *ret);

/* The exit status for a code of enum weft_status: lost for EPEER, ETIMEDOUT, EBROKEN, ECANCELED;
 * usage for EINVAL, EMISMATCH, ENOTSUP, ENONFINITE, EDUPLICATE; else wrong. */
int weft_exit_of(int status);

#endif
