#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# header_alone.sh LANGUAGE STANDARD HEADER COMPILER...: HEADER twice, and nothing else, compiles.
set -eu
language=$1 standard=$2 header=$3
shift 3
printf '#include <%s>\n#include <%s>\ntypedef int something;\n' "$header" "$header" |
    "$@" -x "$language" -std="$standard" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -
