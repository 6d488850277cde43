/* SPDX-License-Identifier: Apache-2.0 */
#include "draw_picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "draw_places.h"
#include "svg.h"

/* Units of the picture. */
static const double margin = 36, panel = 320, gap = 40, labels = 30, above = 26, below = 26;
static const double finest = 1.0 / 16; /* part of a bar whose color changes */
enum {
    LINE_ROUNDS = 8,   /* in a line, at most */
    ROUNDS_WHOLE = 34, /* more are cut: */
    ROUNDS_FIRST = 24,
    ROUNDS_LAST = 8,
    LINES_MOST = 8,
    STRIPES = 4, /* of a message of several parts */
    TEXT_WIDTH = 118
};

/* Rounds side by side, like a line of music; bars before the first and behind each. */
typedef struct line {
    int first, count; /* rounds */
    double top;       /* of the first peer's row */
    bool after_cut;   /* rounds were left out before it */
} line;

/* Where things are. */
typedef struct frame {
    const weft_story *t;
    const weft_picture_words *w;
    FILE *to;
    double row, bar, way; /* height of a row, width of a bar and of the arrows behind it */
    double left, head;    /* of the first bar, below the titles */
    double width, height; /* of the picture */
    line lines[LINES_MOST];
    int line_count;
    bool reduces, keeps; /* among the messages there are such */
} frame;

static double bar_x(const frame *f, int column)
{
    return f->left + column * (f->bar + f->way);
}

static double row_y(const frame *f, const line *l, int rank)
{
    return l->top + f->row * (rank + 0.5);
}

/* Rounds first … first + count - 1 in lines of about the same length. */
static void add_lines(frame *f, int first, int count, bool after_cut)
{
    const int lines = (count + LINE_ROUNDS - 1) / LINE_ROUNDS;
    for (int i = 0; i < lines && f->line_count < LINES_MOST; i++) {
        const int from = count * i / lines, to = count * (i + 1) / lines;
        f->lines[f->line_count++] =
            (line){.first = first + from, .count = to - from, .after_cut = after_cut && i == 0};
    }
}

static int formula_lines(const frame *f)
{
    return strlen(f->w->formula) > TEXT_WIDTH ? 2 : f->w->formula[0] != '\0';
}

static frame lay_out(const weft_story *t, const weft_picture_words *w, FILE *to)
{
    frame f = {.t = t, .w = w, .to = to};
    const int n = t->peers;
    int longest = 1;
    if (t->rounds > ROUNDS_WHOLE) {
        add_lines(&f, 1, ROUNDS_FIRST, false);
        add_lines(&f, t->rounds - ROUNDS_LAST + 1, ROUNDS_LAST, true);
    } else if (t->rounds > 0) {
        add_lines(&f, 1, t->rounds, false);
    } else {
        f.lines[f.line_count++] = (line){.first = 1};
    }
    for (int i = 0; i < t->message_count; i++) {
        f.keeps = f.keeps || !t->messages[i].reduces;
        f.reduces = f.reduces || t->messages[i].reduces;
    }
    f.row = n <= 8 ? 40 : n <= 16 ? 29 : n <= 32 ? 18 : 11;
    f.bar = t->cell_count == 0 ? 8 : n <= 8 ? 54 : n <= 16 ? 60 : 44;
    f.way = n <= 8 ? 66 : n <= 16 ? 70 : 84;
    f.way *= t->rounds <= 2 ? 2.4 : t->rounds <= 4 ? 1.4 : 1.0;
    f.head = 104 + 19 * formula_lines(&f);
    f.left = margin + panel + gap + labels;
    double y = f.head;
    for (int i = 0; i < f.line_count; i++) {
        line *l = &f.lines[i];
        longest = l->count > longest ? l->count : longest;
        y += above + (l->after_cut ? 24 : 0);
        l->top = y;
        y += f.row * n + (i + 1 < f.line_count ? below : 0);
    }
    f.width = bar_x(&f, longest) + f.bar + margin;
    f.width = f.width > 960 ? f.width : 960;
    const double circle = f.head + panel + 16;
    f.height = (y > circle ? y : circle) + 84;
    return f;
}

static void put_titles(const frame *f)
{
    const weft_story *t = f->t;
    const char *formula = f->w->formula;
    int most = 0, *sent = calloc((size_t)t->peers, sizeof(*sent));
    for (int i = 0; sent != NULL && i < t->message_count; i++) {
        const int n = ++sent[t->messages[i].from];
        most = n > most ? n : most;
    }
    free(sent);
    weft_svg_text(f->to, margin, 46, "start", "title", "%s", f->w->title);
    weft_svg_text(f->to, margin, 70, "start", "sub", "%s", f->w->summary);
    weft_svg_text(f->to, margin, 90, "start", "sub",
                  "%d round%s · %d message%s, at most %d from one peer", t->rounds,
                  t->rounds == 1 ? "" : "s", t->message_count, t->message_count == 1 ? "" : "s",
                  most);
    if (formula_lines(f) > 1) {
        int cut = TEXT_WIDTH;
        while (cut > 1 && formula[cut] != ' ') {
            cut--;
        }
        weft_svg_text(f->to, margin, 109, "start", "note", "%.*s", cut, formula);
        weft_svg_text(f->to, margin, 127, "start", "note", "%s", formula + cut + 1);
    } else {
        weft_svg_text(f->to, margin, 109, "start", "note", "%s", formula);
    }
}

/* Bands behind every other round, with the round's number above. */
static void put_rounds(const frame *f, const line *l)
{
    for (int i = 0; i < l->count; i++) {
        const double x = bar_x(f, i) + f->bar;
        const int round = l->first + i;
        if (round % 2 == 1) {
            (void)fprintf(f->to,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"6\" "
                          "fill=\"#f4f5f8\"/>\n",
                          x, l->top, f->way, f->row * f->t->peers);
        }
        weft_svg_text(f->to, x + f->way / 2, l->top - 8, "middle", "round",
                      i == 0 ? "round %d" : "%d", round);
    }
    if (l->after_cut) {
        weft_svg_text(f->to, f->left, l->top - above - 4, "start", "round",
                      "… rounds %d to %d are left out …", ROUNDS_FIRST + 1, l->first - 1);
    }
}

/* Of a place in the whole; of everything, dark. */
static void color_of(double from, double to, char ret[8])
{
    if (to - from >= 0.999) {
        (void)snprintf(ret, 8, "#3d4a63");
    } else {
        weft_svg_color((from + to) / 2, ret);
    }
}

static void put_bar(const frame *f, const line *l, int column, int round, int rank)
{
    const weft_story *t = f->t;
    const double x = bar_x(f, column), y = row_y(f, l, rank);
    const double high = f->row * (f->row > 20 ? 0.5 : 0.66);
    (void)fprintf(f->to,
                  "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\" "
                  "fill=\"#ffffff\" stroke=\"#b9bfca\" stroke-width=\"0.8\"/>\n",
                  x, y - high / 2, f->bar, high);
    for (int c = 0, next; c < t->cell_count; c = next) {
        const double held = (double)weft_story_held(t, round, rank, c);
        const double from = t->cells[c].from;
        char color[8];
        /* Cells side by side that are alike are one, as long as their colors are. */
        for (next = c + 1; next < t->cell_count && t->cells[next].to - from <= finest &&
                           (double)weft_story_held(t, round, rank, next) == held;) {
            next++;
        }
        const double to = t->cells[next - 1].to;
        if (held <= 0.0 || to <= from) {
            continue;
        }
        color_of(from, to, color);
        /* A part of a sum is as high as what is in it, and lighter. */
        const double part = held >= 1.0 ? high : 2.0 + (high - 4.0) * held;
        (void)fprintf(
            f->to, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"%s/>\n",
            x + f->bar * from, y + high / 2 - part, f->bar * (to - from) + 0.1, part, color,
            held >= 1.0 ? "" : " fill-opacity=\"0.5\"");
    }
}

static void put_peers(const frame *f, const line *l)
{
    const weft_story *t = f->t;
    for (int rank = 0; rank < t->peers; rank++) {
        const double y = row_y(f, l, rank);
        (void)fprintf(f->to, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#dfe2e9\"/>\n", f->left - 6, y,
                      bar_x(f, l->count));
        weft_svg_text(f->to, f->left - 14, y + 4, "end", f->row >= 18 ? "rank" : "small", "%d",
                      rank);
        for (int column = 0; column <= l->count; column++) {
            if (t->cell_count > 0) {
                put_bar(f, l, column, l->first - 1 + column, rank);
            } else {
                (void)fprintf(f->to, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2\" fill=\"#9aa1ae\"/>\n",
                              bar_x(f, column) + f->bar / 2, y);
            }
        }
    }
}

static void put_messages(const frame *f, const line *l)
{
    const weft_story *t = f->t;
    const double width = t->peers <= 8 ? 1.9 : t->peers <= 16 ? 1.5 : t->peers <= 32 ? 1.1 : 0.8;
    for (int i = 0; i < t->message_count; i++) {
        const weft_story_message *m = &t->messages[i];
        const int column = m->round - l->first;
        if (column < 0 || column >= l->count) {
            continue;
        }
        const double x0 = bar_x(f, column) + f->bar + 3, x1 = bar_x(f, column + 1) - 3;
        const double y0 = row_y(f, l, m->from), y1 = row_y(f, l, m->to);
        const int stripes = m->count < STRIPES ? m->count : STRIPES;
        for (int k = 0; k < stripes; k++) {
            char color[8];
            const double off = (k - (stripes - 1) / 2.0) * (width + 0.7);
            const weft_story_part *p = &t->parts[m->first + k * m->count / stripes];
            color_of(p->from, m->elements > 0 ? p->to : p->from + 1.0, color);
            weft_svg_arrow(f->to, x0, y0 + off, x1, y1 + off, color, width,
                           f->reduces && !m->reduces);
        }
    }
}

/* Where a tree hangs: at the root of the collective, else where all sums go. */
static int find_root(const frame *f)
{
    const weft_story *t = f->t;
    int root = f->w->root, found = 0;
    for (int r = 0; r < t->peers && f->reduces && root == 0; r++) {
        bool sends = false;
        for (int i = 0; i < t->message_count && !sends; i++) {
            sends = t->messages[i].from == r && t->messages[i].reduces;
        }
        if (!sends && found++ == 0) {
            root = r;
        }
    }
    return found > 1 ? f->w->root : root;
}

/* Who talks to whom at all. */
static void put_pairs(const frame *f)
{
    const weft_story *t = f->t;
    const size_t n = (size_t)t->peers;
    double *bytes = calloc(n * n, sizeof(*bytes)), most = 1.0;
    weft_place *places = calloc(n, sizeof(*places));
    if (bytes != NULL && places != NULL) {
        for (int i = 0; i < t->message_count; i++) {
            double *b = &bytes[(size_t)t->messages[i].from * n + (size_t)t->messages[i].to];
            *b += (double)t->messages[i].bytes + 1.0;
            most = *b > most ? *b : most;
        }
        const double radius = n <= 16 ? 13.0 : n <= 32 ? 9.0 : n <= 64 ? 6.0 : 4.0;
        const weft_places_box box = {margin + 4, f->head + 10, panel - 8, panel - 8, radius};
        weft_places_find(bytes, t->peers, find_root(f), &box, places);
        weft_places_put(f->to, bytes, most, t->peers, &box, places, f->w->hosts);
    }
    free(bytes);
    free(places);
}

static void put_legend(const frame *f)
{
    const double y = f->height - 40;
    double x = margin;
    if (f->keeps && f->reduces) { /* else there is nothing to tell apart */
        weft_svg_arrow(f->to, x, y, x + 40, y, "#3d4a63", 1.9, 0);
        weft_svg_text(f->to, x + 48, y + 4, "start", "note", "combined with what is there");
        weft_svg_arrow(f->to, x + 230, y, x + 270, y, "#3d4a63", 1.9, 1);
        weft_svg_text(f->to, x + 278, y + 4, "start", "note", "kept, or passed on");
        x += 420;
    }
    for (int i = 0; i < 24 && f->t->cell_count > 0; i++) {
        char color[8];
        weft_svg_color((i + 0.5) / 24, color);
        (void)fprintf(f->to,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"2.6\" height=\"12\" fill=\"%s\"/>\n",
                      x + i * 2.5, y - 6, color);
    }
    if (f->t->cell_count > 0) {
        weft_svg_text(f->to, x + 70, y + 4, "start", "note", "%s%s", f->t->holds,
                      f->w->hosts != NULL ? "; on the left, a color a host" : "");
    }
    weft_svg_text(f->to, f->width - margin, f->height - 16, "end", "small", "weft topo draw");
}

void weft_picture_put(const weft_story *story, const weft_picture_words *words, FILE *to)
{
    const frame f = lay_out(story, words, to);
    weft_svg_begin(to, f.width, f.height, words->title);
    put_titles(&f);
    for (int i = 0; i < f.line_count; i++) {
        put_rounds(&f, &f.lines[i]);
        put_peers(&f, &f.lines[i]);
        put_messages(&f, &f.lines[i]);
    }
    put_pairs(&f);
    put_legend(&f);
    weft_svg_end(to);
}
