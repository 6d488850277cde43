/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_print.h"

#include <weft/info.h>

#include "report.h"

void weft_bench_print_head(const weft_bench_settings *s, const weft_peer *peer, FILE *to)
{
    (void)fprintf(to, "# weft %s: %s, %d peer%s, link %s, codec %s, algorithm %s\n", weft_version(),
                  s->kind->name, peer->size, peer->size == 1 ? "" : "s", peer->launch->link,
                  s->codec, s->coding.algo != NULL ? s->coding.algo : "auto");
    if (s->at_once > 1) {
        (void)fprintf(to, "# %zu operations of the size at once; time, bandwidth%s: of all\n",
                      s->at_once, s->lossy ? " and bytes" : "");
    }
    (void)fprintf(to, "# time: median over the iterations of the slowest peer's\n");
    if (s->inplace) {
        (void)fprintf(to, "#%46s| %-44s | %s\n", "", "out-of-place", "in-place");
    }
    (void)fprintf(to, "#%11s %11s %8s %6s %5s | %10s %10s %7s %7s %6s", "size", "count", "type",
                  "redop", "root", "time", "p99", "algbw", "busbw", "#wrong");
    if (s->inplace) {
        (void)fprintf(to, " | %10s %10s %7s %7s %6s", "time", "p99", "algbw", "busbw", "#wrong");
    }
    if (s->lossy) {
        (void)fprintf(to, " | %11s %7s", "sent/peer", "ratio");
    }
    if (s->rss) {
        (void)fprintf(to, " | %8s", "memory");
    }
    (void)fprintf(to, " | algorithm\n");
    (void)fprintf(to, "#%11s %11s %8s %6s %5s | %10s %10s %7s %7s %6s", "(B)", "(elements)", "", "",
                  "", "(us)", "(us)", "(GB/s)", "(GB/s)", "");
    if (s->inplace) {
        (void)fprintf(to, " | %10s %10s %7s %7s %6s", "(us)", "(us)", "(GB/s)", "(GB/s)", "");
    }
    if (s->lossy) {
        (void)fprintf(to, " | %11s %7s", "(B)", "(dense)");
    }
    if (s->rss) {
        (void)fprintf(to, " | %8s", "(MiB)");
    }
    (void)fprintf(to, " |\n");
    (void)fflush(to);
}

/* Bytes of all operations at once. */
static double all_bytes(const weft_bench_settings *s, const weft_bench_row *row)
{
    return (double)row->bytes * (double)s->at_once;
}

/* GB/s of the size, of all operations at once; 0 when there is no size or no time. */
static double algbw(const weft_bench_settings *s, const weft_bench_row *row,
                    const weft_bench_timing *t)
{
    return t->median > 0.0 ? all_bytes(s, row) / t->median * 1e-9 : 0.0;
}

static void print_timing(FILE *to, const weft_bench_settings *s, const weft_bench_row *row,
                         const weft_bench_timing *t, int peers)
{
    const double alg = algbw(s, row, t);
    (void)fprintf(to, " | %10.2f %10.2f %7.3f %7.3f %6llu", t->median * 1e6, t->p99 * 1e6, alg,
                  alg * weft_kind_bus_factor(s->kind, peers), (unsigned long long)t->wrong);
}

/* Payload of a dense ring over what a peer sent; 0 when nothing was sent. */
static double dense_ratio(const weft_bench_settings *s, const weft_bench_row *row, int peers)
{
    return row->body_mean > 0.0
               ? weft_kind_bus_factor(s->kind, peers) * all_bytes(s, row) / row->body_mean
               : 0.0;
}

static void print_row(const weft_bench_settings *s, const weft_bench_row *row, int peers, FILE *to)
{
    char root[16] = "-1"; /* as nccl-tests says: none */
    if (weft_kind_rooted(s->kind)) {
        (void)snprintf(root, sizeof(root), "%d", s->root);
    }
    weft_progress_end();
    (void)fprintf(to, "%12zu %11zu %8s %6s %5s", row->bytes, row->count,
                  !s->kind->empty ? weft_dtype_name(s->dtype) : "none",
                  s->kind->reduces ? weft_op_name(s->op) : "none", root);
    print_timing(to, s, row, &row->out_of_place, peers);
    if (s->inplace) {
        print_timing(to, s, row, &row->in_place, peers);
    }
    if (s->lossy) {
        (void)fprintf(to, " | %11.0f %7.2f", row->body_mean, dense_ratio(s, row, peers));
    }
    if (s->rss) {
        (void)fprintf(to, " | %8.1f", (double)row->rss_growth * 0x1p-20);
    }
    (void)fprintf(to, " | %s\n", row->receipt.algo);
    (void)fflush(to);
}

static json_t *timing_json(const weft_bench_settings *s, const weft_bench_row *row,
                           const weft_bench_timing *t, int peers)
{
    const double alg = algbw(s, row, t);
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "iters", (json_int_t)t->iters,
                     "p50_us", t->median * 1e6, "p99_us", t->p99 * 1e6, "min_us", t->least * 1e6,
                     "mean_us", t->mean * 1e6, "algbw_gbs", alg, "busbw_gbs",
                     alg * weft_kind_bus_factor(s->kind, peers), "wrong", (json_int_t)t->wrong);
}

static json_t *row_json(const weft_bench_settings *s, const weft_bench_row *row, int peers)
{
    json_t *ret = json_pack(
        "{s:I, s:I, s:s, s:I, s:f, s:f, s:I, s:f, s:o}", "size", (json_int_t)row->bytes, "count",
        (json_int_t)row->count, "algo", row->receipt.algo, "lanes", (json_int_t)row->receipt.lanes,
        "encoded_bytes", row->encoded_mean, "body_bytes_sent", row->body_mean,
        "body_bytes_sent_max", (json_int_t)row->body_max, "wire_bytes_sent", row->wire_mean,
        "out_of_place", timing_json(s, row, &row->out_of_place, peers));
    if (!s->kind->empty) {
        (void)json_object_set_new(ret, "dense_ratio", json_real(dense_ratio(s, row, peers)));
    }
    if (s->inplace) {
        (void)json_object_set_new(ret, "in_place", timing_json(s, row, &row->in_place, peers));
    }
    if (s->rss) {
        (void)json_object_set_new(ret, "peak_rss_growth_bytes",
                                  json_integer((json_int_t)row->rss_growth));
    }
    return ret;
}

void weft_bench_print_row(const weft_bench_settings *s, const weft_bench_row *row, int peers,
                          weft_bench_output *out)
{
    const double factor = weft_kind_bus_factor(s->kind, peers);
    print_row(s, row, peers, out->text);
    (void)json_array_append_new(out->rows, row_json(s, row, peers));
    out->busbw_sum += algbw(s, row, &row->out_of_place) * factor;
    out->busbw_count++;
    if (s->inplace) {
        out->busbw_sum += algbw(s, row, &row->in_place) * factor;
        out->busbw_count++;
    }
}

int weft_bench_print_end(weft_peer *peer, const weft_bench_settings *s, weft_bench_output *out)
{
    const double busbw = out->busbw_count > 0 ? out->busbw_sum / out->busbw_count : 0.0;
    char why[256];
    (void)fprintf(out->text, "# wrong elements       : %llu %s\n", (unsigned long long)out->wrong,
                  out->wrong == 0 ? "OK" : "FAILED");
    if (!s->kind->empty) {
        (void)fprintf(out->text, "# average bus bandwidth: %.3f GB/s\n", busbw);
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:s, s:s, s:I, s:o, s:I, s:f}", "weft",
        weft_version(), "build", weft_build_info(), "collective", s->kind->name, "peers",
        peer->size, "link", peer->launch->link, "dtype", weft_dtype_name(s->dtype), "op",
        weft_op_name(s->op), "root", s->root, "codec", s->codec, "algo",
        s->coding.algo != NULL ? s->coding.algo : "auto", "at_once", (json_int_t)s->at_once, "rows",
        json_incref(out->rows), "wrong", (json_int_t)out->wrong, "busbw_mean_gbs", busbw);
    if (weft_report_json(weft_cli_text(s->cli, "json"), root, why) != 0) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
    }
    return 0;
}
