/* SPDX-License-Identifier: Apache-2.0 */
#include "svg.h"

#include <math.h>
#include <stdarg.h>

static const char *const style =
    "text{font-family:Helvetica,Arial,'DejaVu Sans',sans-serif;fill:#2b2f36}"
    ".title{font-size:22px;font-weight:600}.sub{font-size:13.5px;fill:#5b6270}"
    ".note{font-size:12px;fill:#5b6270}.rank{font-size:12.5px;font-weight:600}"
    ".round{font-size:12px;fill:#7a8190}.small{font-size:9.5px;fill:#5b6270}";

static void put_escaped(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            (void)fputs("&amp;", to);
            break;
        case '<':
            (void)fputs("&lt;", to);
            break;
        case '>':
            (void)fputs("&gt;", to);
            break;
        default:
            (void)fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
        }
    }
}

void weft_svg_begin(FILE *to, double width, double height, const char *title)
{
    (void)fprintf(to,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
                  "width=\"%.0f\" height=\"%.0f\">\n<title>",
                  width, height, width, height);
    put_escaped(to, title);
    (void)fprintf(to, "</title>\n<style>%s</style>\n", style);
    (void)fprintf(to, "<rect width=\"%.0f\" height=\"%.0f\" fill=\"#ffffff\"/>\n", width, height);
}

void weft_svg_end(FILE *to)
{
    (void)fputs("</svg>\n", to);
}

void weft_svg_text(FILE *to, double x, double y, const char *anchor, const char *class,
                   const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor,
                  class);
    put_escaped(to, text);
    (void)fputs("</text>\n", to);
}

static int to_byte(double linear)
{
    const double in = linear < 0.0 ? 0.0 : linear > 1.0 ? 1.0 : linear;
    const double out = in <= 0.0031308 ? 12.92 * in : 1.055 * pow(in, 1 / 2.4) - 0.055;
    return (int)(out * 255.0 + 0.5);
}

/* OKLCH to sRGB: Ottosson, A perceptual color space for image processing, 2020. */
void weft_svg_color(double place, char ret[8])
{
    const double light = 0.66, chroma = 0.145, hue = (20.0 + 315.0 * place) * M_PI / 180.0;
    const double a = chroma * cos(hue), b = chroma * sin(hue);
    const double l = pow(light + 0.3963377774 * a + 0.2158037573 * b, 3);
    const double m = pow(light - 0.1055613458 * a - 0.0638541728 * b, 3);
    const double s = pow(light - 0.0894841775 * a - 1.2914855480 * b, 3);
    (void)snprintf(ret, 8, "#%02x%02x%02x",
                   to_byte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s) & 0xff,
                   to_byte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s) & 0xff,
                   to_byte(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s) & 0xff);
}

void weft_svg_arrow(FILE *to, double x0, double y0, double x1, double y1, const char *color,
                    double width, int dash)
{
    const double head = 4.0 + 1.6 * width, bend = (x1 - x0) * 0.45, end = x1 - head * 0.8;
    (void)fprintf(to,
                  "<path d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\" fill=\"none\" "
                  "stroke=\"%s\" stroke-width=\"%.1f\"%s/>\n",
                  x0, y0, x0 + bend, y0, end - bend, y1, end, y1, color, width,
                  dash ? " stroke-dasharray=\"5 2.5\"" : "");
    (void)fprintf(to, "<path d=\"M%.1f %.1fl%.1f %.1fv%.1fz\" fill=\"%s\"/>\n", x1, y1, -head,
                  -head * 0.45, head * 0.9, color);
}
