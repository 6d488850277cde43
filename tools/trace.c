/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include <math.h>
#include <stdlib.h>

#include "report.h"

bool weft_trace_add(weft_trace *trace, const weft_trace_point *point)
{
    if (trace->count == trace->cap) {
        const size_t cap = trace->cap == 0 ? 128 : trace->cap * 2;
        weft_trace_point *bigger = realloc(trace->points, cap * sizeof(*bigger));

        if (bigger == NULL)
            return false;
        trace->points = bigger;
        trace->cap = cap;
    }
    trace->points[trace->count++] = *point;
    return true;
}

void weft_trace_free(weft_trace *trace)
{
    free(trace->points);
    *trace = (weft_trace){0};
}

const weft_trace_point *weft_trace_reached(const weft_trace *trace, double gap)
{
    for (size_t i = 0; i < trace->count; i++) {
        if (trace->points[i].gap <= gap)
            return &trace->points[i];
    }
    return NULL;
}

const weft_trace_point *weft_trace_last(const weft_trace *trace)
{
    return trace->count == 0 ? NULL : &trace->points[trace->count - 1];
}

/* A count as a whole number where it is one: a mean over peers need not be. */
static json_t *count_json(double value)
{
    return value == floor(value) && fabs(value) < 0x1p53 ? json_integer((json_int_t)value)
                                                         : weft_report_real(value);
}

json_t *weft_trace_json(const weft_trace *trace)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < trace->count; i++) {
        const weft_trace_point *p = &trace->points[i];
        json_t *one = json_object();
        int bad = 0;

        bad |= json_object_set_new(one, "step", json_integer((json_int_t)p->step));
        bad |= json_object_set_new(one, "f", weft_report_real(p->f));
        bad |= json_object_set_new(one, "gap", weft_report_real(p->gap));
        bad |= json_object_set_new(one, "grad_norm", weft_report_real(p->grad_norm));
        if (!isnan(p->test_loss))
            bad |= json_object_set_new(one, "test_loss", weft_report_real(p->test_loss));
        if (!isnan(p->accuracy))
            bad |= json_object_set_new(one, "accuracy", weft_report_real(p->accuracy));
        bad |= json_object_set_new(one, "up_bits", count_json(p->up_bits));
        bad |= json_object_set_new(one, "sent_bits", count_json(p->sent_bits));
        bad |= json_object_set_new(one, "sent_bits_max", count_json(p->sent_bits_max));
        bad |= json_object_set_new(one, "wire_bytes", count_json(p->wire_bytes));
        bad |= json_object_set_new(one, "seconds", weft_report_real(p->seconds));
        bad |= json_object_set_new(one, "gradient_seconds", weft_report_real(p->gradient_seconds));
        bad |=
            json_object_set_new(one, "operation_seconds", weft_report_real(p->operation_seconds));
        bad |= json_object_set_new(one, "wait_seconds", weft_report_real(p->wait_seconds));
        if (bad != 0 || json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
