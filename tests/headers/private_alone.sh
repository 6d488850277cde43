#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# private_alone.sh ROOT COMPILER...: every private header compiles by itself.
set -u
root=$1
shift
failed=0
cd "$root" || exit 1
for header in src/*/*.h collectives/*.h; do
    printf '#include "%s"\ntypedef int something;\n' "${header#src/}" |
        "$@" -x c -std=c17 -D_GNU_SOURCE -I. -Iinclude -Isrc -Wall -Wextra -Wpedantic -Werror \
            -fsyntax-only - || {
        echo "$header does not compile by itself"
        failed=1
    }
done
exit $failed
