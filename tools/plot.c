/* SPDX-License-Identifier: Apache-2.0 */
#include "plot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "outfile.h"

#define LABEL_MAX 60    /* bytes of a run's name in the key */
#define LOOKS 8         /* colors and marks, then they come again */
#define KEY_ROW 24.0    /* height of a line of the key */
#define GAP_FLOOR 1e-16 /* smallest gap drawn: below, f - f* is rounding */

/* In px: the picture's width, a row of panels, and what is above and below the rows. */
#define WIDTH 1320
#define ROW 440.0
#define HEAD 40.0
#define FOOT 22.0

extern char **environ;

/* Distinct in hue and lightness, also for color-blind eyes (Okabe & Ito 2008, darker yellow). */
static const char *const colors[LOOKS] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                          "#56B4E9", "#E69F00", "#555555", "#8B6D00"};
/* Marks tell lines apart where they cross and in black and white. */
static const int marks[LOOKS] = {7, 5, 9, 13, 6, 4, 8, 12};

static int fail(char *why, size_t cap, const char *path, const char *reason)
{
    snprintf(why, cap, "--plot %s: %s", path, reason);
    return -1;
}

/* Is there a program of that name on PATH? */
static bool installed(const char *program)
{
    const char *path = getenv("PATH");
    char *copy = strdup(path != NULL ? path : "/usr/bin:/bin");
    char *rest = NULL;
    bool found = false;

    if (copy == NULL)
        return false;
    for (char *dir = strtok_r(copy, ":", &rest); dir != NULL && !found;
         dir = strtok_r(NULL, ":", &rest)) {
        char name[4096];

        snprintf(name, sizeof(name), "%s/%s", dir, program);
        found = access(name, X_OK) == 0;
    }
    free(copy);
    return found;
}

int weft_plot_check(const char *path, char *why, size_t cap)
{
    const char *tail = strrchr(path, '.');
    int error;

    if (tail == NULL || strcmp(tail, ".svg") != 0)
        return fail(why, cap, path, "an SVG file is drawn: the name must end in .svg");
    if (!installed("gnuplot"))
        return fail(why, cap, path,
                    "gnuplot draws it and is not installed (Debian: apt-get install gnuplot-nox)");
    error = weft_outfile_check(path);
    return error == 0 ? 0 : fail(why, cap, path, strerror(error));
}

/* A gnuplot string: in single quotes, one inside is doubled, what is not printable is a blank. A
 * text that is too long is cut, at the start of an UTF-8 character. */
static void put_text(FILE *to, const char *text)
{
    size_t len = strlen(text);
    const bool cut = len > LABEL_MAX;

    if (cut) {
        len = LABEL_MAX - 3;
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
            len--;
    }
    fputc('\'', to);
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];

        if (c == '\'')
            fputc('\'', to);
        fputc(c < 32 || c == 127 ? ' ' : c, to);
    }
    fputs(cut ? "…'" : "'", to);
}

/* What is drawn: the gap, or f where f* is not known. */
static double height_of(const weft_trace_point *p)
{
    return isnan(p->gap) ? p->f : p->gap;
}

/* Is it f? One answer for all runs: they have one problem. */
static bool draws_f(const weft_plot_line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (lines[i].trace->count > 0 && isnan(lines[i].trace->points[0].gap))
            return true;
    }
    return false;
}

/* Is there test data with classes? */
static bool draws_accuracy(const weft_plot_line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (lines[i].trace->count > 0 && !isnan(lines[i].trace->points[0].accuracy))
            return true;
    }
    return false;
}

/* Points as "$d0 << EOD … EOD": step, megabits, seconds, gap or f, and accuracy in percent (0:
 * none). A run that diverged ends before that. */
static void put_data(FILE *to, const weft_plot_line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const weft_trace *t = lines[i].trace;

        fprintf(to, "$d%zu << EOD\n", i);
        for (size_t k = 0; k < t->count; k++) {
            const weft_trace_point *p = &t->points[k];

            if (isfinite(height_of(p)))
                fprintf(to, "%llu %.9g %.9g %.9g %.9g\n", (unsigned long long)p->step,
                        p->sent_bits / 1e6, p->seconds, fmax(height_of(p), GAP_FLOOR),
                        isnan(p->accuracy) ? 0.0 : 100 * p->accuracy);
        }
        fputs("EOD\n", to);
    }
}

/* One panel: a curve for each run, with about twelve marks on it. */
static void put_panel(FILE *to, const weft_plot_line *lines, size_t count, const char *columns)
{
    fputs("plot ", to);
    for (size_t i = 0; i < count; i++) {
        const size_t points = lines[i].trace->count;
        const size_t look = i % LOOKS;

        fprintf(to,
                "%s$d%zu using %s with linespoints lc rgb '%s' lw 2 pt %d ps 0.55 pi %zu notitle",
                i == 0 ? "" : ", \\\n     ", i, columns, colors[look], marks[look],
                points > 24 ? points / 12 : 1);
    }
    fputs("\n", to);
}

/* How many names fit beside each other below the panels. */
static size_t key_columns(const weft_plot_line *lines, size_t count)
{
    size_t longest = 0;

    for (size_t i = 0; i < count; i++) {
        const size_t len = strlen(lines[i].name);

        longest = len > longest ? len : longest;
    }
    return longest <= 18 ? 5 : longest <= 38 ? 3 : 2;
}

/* The key, by hand: gnuplot's own gives up columns when a name is long. height: of the picture. */
static void put_key(FILE *to, const weft_plot_line *lines, size_t count, double height)
{
    const size_t columns = key_columns(lines, count);
    const size_t rows = (count + columns - 1) / columns;

    for (size_t i = 0; i < count; i++) {
        const double x = 0.07 + 0.91 * (double)(i % columns) / (double)columns;
        const size_t below = rows - 1 - i / columns;
        const double y = (14 + KEY_ROW * (double)below) / height;
        const size_t look = i % LOOKS;

        fprintf(to,
                "set arrow %zu from screen %.4f,%.4f to screen %.4f,%.4f nohead lc rgb '%s' lw 2\n"
                "set label %zu ' ' at screen %.4f,%.4f point pt %d ps 0.7 lc rgb '%s'\n"
                "set label %zu ",
                i + 1, x, y, x + 0.03, y, colors[look], 2 * i + 2, x + 0.015, y, marks[look],
                colors[look], 2 * i + 3);
        put_text(to, lines[i].name);
        fprintf(to, " at screen %.4f,%.4f left noenhanced textcolor rgb '#222222'\n", x + 0.037, y);
    }
}

/* What the longest run spent. */
static void most_spent(const weft_plot_line *lines, size_t count, double *ret_bits,
                       double *ret_seconds)
{
    *ret_bits = *ret_seconds = 0;
    for (size_t i = 0; i < count; i++) {
        const weft_trace_point *last = weft_trace_last(lines[i].trace);

        *ret_bits = last != NULL ? fmax(*ret_bits, last->sent_bits) : *ret_bits;
        *ret_seconds = last != NULL ? fmax(*ret_seconds, last->seconds) : *ret_seconds;
    }
}

/* From where the first run starts, which may be a checkpoint, to some step behind it. */
static void put_steps_range(FILE *to, const weft_plot_line *lines, size_t count)
{
    uint64_t first = UINT64_MAX, last = 0;

    for (size_t i = 0; i < count; i++) {
        const weft_trace *t = lines[i].trace;

        if (t->count > 0) {
            first = t->points[0].step < first ? t->points[0].step : first;
            last = t->points[t->count - 1].step > last ? t->points[t->count - 1].step : last;
        }
    }
    first = first > last ? 0 : first;
    fprintf(to, "set xrange [%llu:%llu]\n", (unsigned long long)first,
            (unsigned long long)(last > first ? last : first + 1));
}

/* Accuracy in percent, with room above and below: all may be equal. */
static void put_accuracy_range(FILE *to, const weft_plot_line *lines, size_t count)
{
    double least = 100, most = 0;

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < lines[i].trace->count; k++) {
            const double a = 100 * lines[i].trace->points[k].accuracy;

            least = fmin(least, a);
            most = fmax(most, a);
        }
    }
    fprintf(to, "set yrange [%.4g:%.4g]\n", fmax(least - 1, 0), fmin(most + 1, 100));
}

/* The top of the first axis: a run that blows up must not press the others flat. */
static double highest(const weft_plot_line *lines, size_t count)
{
    double top = GAP_FLOOR;

    for (size_t i = 0; i < count; i++) {
        if (lines[i].trace->count > 0 && isfinite(height_of(&lines[i].trace->points[0])))
            top = fmax(top, height_of(&lines[i].trace->points[0]));
    }
    return draws_f(lines, count) ? 1.5 * top : 10 * pow(10, ceil(log10(top)));
}

/* A row of three panels with one y axis: against steps, bits and seconds. */
static void put_row(FILE *to, const weft_plot_line *lines, size_t count, int y, const char *label)
{
    static const char *const across[] = {"steps", "Mbit sent by a peer (mean)", "seconds"};
    double most[3] = {0};

    most_spent(lines, count, &most[1], &most[2]);
    for (int x = 0; x < 3; x++) {
        char columns[16];

        fprintf(to, "set lmargin screen %.3f\nset rmargin screen %.3f\nset xlabel '%s'\n",
                0.06 + 0.32 * x, 0.335 + 0.32 * x, across[x]);
        fprintf(to, x == 0 ? "set ylabel '%s' offset 1,0\n" : "unset ylabel\n", label);
        if (x == 0)
            put_steps_range(to, lines, count);
        else
            /* Nothing sent, or no time taken: an empty range would be an error. */
            fputs(most[x] > 0 ? "set xrange [0:*]\n" : "set xrange [0:1]\n", to);
        snprintf(columns, sizeof(columns), "%d:%d", x + 1, y);
        put_panel(to, lines, count, columns);
        /* Title and key are drawn once, with the first panel. */
        fputs("unset label\nunset arrow\n", to);
    }
}

static void put_script(FILE *to, const char *title, const weft_plot_line *lines, size_t count)
{
    const size_t columns = key_columns(lines, count);
    const size_t rows = (count + columns - 1) / columns;
    const bool accuracy = draws_accuracy(lines, count);
    const double below = FOOT + KEY_ROW * (double)rows;
    const double height = HEAD + ROW * (accuracy ? 2 : 1) + below;

    put_data(to, lines, count);
    fprintf(to,
            "set terminal svg size %d,%.0f dynamic background rgb 'white' font "
            "'Helvetica,Arial,sans-serif,13' enhanced linewidth 1\n",
            WIDTH, height);
    fputs("set encoding utf8\nset multiplot\nset logscale y\nset format y '10^{%L}'\n"
          "set grid ytics xtics lc rgb '#E2E2E2' lw 0.7\nset border 3 lc rgb '#555555'\n"
          "set tics nomirror out scale 0.6 textcolor rgb '#333333'\nset mytics 1\nunset key\n"
          "set label 1 ",
          to);
    put_text(to, title);
    fprintf(to, " at screen 0.06,%.4f left noenhanced font ',16' textcolor rgb '#111111'\n",
            1 - 24 / height);
    put_key(to, lines, count, height);
    fprintf(to, "set yrange [*:%.3g]\nset bmargin screen %.4f\nset tmargin screen %.4f\n",
            highest(lines, count), 1 - (HEAD + ROW - 50) / height, 1 - (HEAD + 8) / height);
    put_row(to, lines, count, 4, draws_f(lines, count) ? "objective f" : "gap f − f*");
    if (accuracy) {
        fprintf(to,
                "unset logscale y\nset format y '%%g'\n"
                "set bmargin screen %.4f\nset tmargin screen %.4f\n",
                1 - (HEAD + 2 * ROW - 50) / height, 1 - (HEAD + ROW + 8) / height);
        put_accuracy_range(to, lines, count);
        put_row(to, lines, count, 5, "accuracy on the test data, %");
    }
    fputs("unset multiplot\n", to);
}

/* Start gnuplot with its standard input on a pipe and its output in the file. Returns the pipe's
 * end, -1 on failure with the reason in *ret_error. */
static int start(int out, pid_t *ret_pid, int *ret_error)
{
    char *const argv[] = {"gnuplot", "-", NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        *ret_error = errno;
        return -1;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    *ret_error = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    if (*ret_error != 0) {
        close(ends[1]);
        return -1;
    }
    return ends[1];
}

/* Write it all; a gnuplot that died early is an error here, not a signal. */
static bool feed(int pipe_end, const char *script, size_t len)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    size_t done = 0;

    sigaction(SIGPIPE, &ignore, &before);
    while (done < len) {
        const ssize_t n = write(pipe_end, script + done, len - done);

        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    sigaction(SIGPIPE, &before, NULL);
    return done == len;
}

int weft_plot_draw(const char *path, const char *title, const weft_plot_line *lines, size_t count,
                   char *why, size_t cap)
{
    char *script = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&script, &len);
    weft_outfile *file = NULL;
    int pipe_end, status = 0, error = 0;
    pid_t pid = -1;
    bool fed;

    if (memory == NULL)
        return fail(why, cap, path, "out of memory");
    put_script(memory, title, lines, count);
    if (fclose(memory) != 0) {
        free(script);
        return fail(why, cap, path, "out of memory");
    }
    error = weft_outfile_open(&file, path);
    if (error != 0) {
        free(script);
        return fail(why, cap, path, strerror(error));
    }
    pipe_end = start(fileno(weft_outfile_stream(file)), &pid, &error);
    if (pipe_end < 0) {
        free(script);
        weft_outfile_drop(&file);
        return fail(why, cap, path,
                    error == ENOENT ? "gnuplot draws it and is not installed" : strerror(error));
    }
    fed = feed(pipe_end, script, len);
    close(pipe_end);
    free(script);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!fed || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        weft_outfile_drop(&file);
        return fail(why, cap, path, "gnuplot failed");
    }
    error = weft_outfile_commit(&file);
    return error == 0 ? 0 : fail(why, cap, path, strerror(error));
}
