#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# leakguard.sh PROGRAM ARGUMENTS...: runs it under sanitizers and fails when any of its processes
# wrote a report. Criterion passes a test whose process leaked, and a peer that a test started may
# report where nobody looks: so reports go to files, and a file is a failure.
set -u
reports=$(mktemp -d) || exit 99
trap 'rm -rf "$reports"' EXIT
# Freed memory is kept from use for 16 MB of it: at the default, 256, tests that allocate much take twice
# as long, for the pages.
ASAN_OPTIONS="quarantine_size_mb=16:${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$reports/asan:detect_leaks=1"
UBSAN_OPTIONS="${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}log_path=$reports/ubsan:print_stacktrace=1"
export ASAN_OPTIONS UBSAN_OPTIONS
"$@"
status=$?
for report in "$reports"/*; do
    [ -e "$report" ] || continue
    cat "$report" >&2
    status=1
done
exit $status
