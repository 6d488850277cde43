#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# nightly.sh: what check.sh does, then the same kinds of tests for longer. Hours, not minutes:
#   lint      clang-tidy too
#   asan      a third of the random cases of the properties, and the laws; freed memory is kept longer
#   fuzz      FUZZ_SECONDS (1800) of fresh input for each target
#             and FUZZ_INPUTS (1000000) for each codec
#   repeat    the suites of real processes REPEAT (20) times, with the machine idle and loaded
#   valgrind  every unit test
#   codecs    statistics of every random codec, all parameters
#   topo      every plan for 1 to 64 peers; simulations of thousands
# The last line says "N passed, N failed", a part counting as one.
set -u
cd "$(dirname "$0")/.." || exit 1
jobs=$(getconf _NPROCESSORS_ONLN)
passed=0 failed=0

part() {
    name=$1
    shift
    printf '\n==== %s\n' "$name"
    if "$@" </dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
    fi
}

# As many at a time: peers' patience grows with how many share a core.
repeat() {
    WEFT_TEST_PATIENCE=$((($1 + jobs - 1) / jobs)) meson test -C build/gcc --no-rebuild \
        --num-processes "$1" --repeat "${REPEAT:-20}" --print-errorlogs --quiet \
        --suite link --suite integration --suite stress
}

addresses() {
    ASAN_OPTIONS=quarantine_size_mb=256 WEFT_TEST_SHARE=3 meson test -C build/clang \
        --no-rebuild --num-processes "$jobs" --setup asan --print-errorlogs --quiet --suite property --suite laws
}

memory() {
    meson test -C build/gcc --no-rebuild --num-processes "$jobs" --timeout-multiplier 20 \
        --print-errorlogs --quiet --suite unit --wrap "valgrind --quiet --trace-children=yes \
        --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite"
}

part 'check.sh' sh tools/check.sh
part 'lint' sh tools/check.sh lint
part 'ASan and UBSan, more cases' addresses
part 'fuzz' env FUZZ_SECONDS="${FUZZ_SECONDS:-1800}" sh tools/check.sh fuzz
part 'fuzz, each codec' sh tools/check.sh codecs
part 'repeat, one at a time' repeat 1
part 'repeat, four times more than cores' repeat $((4 * jobs))
part 'unit tests under valgrind' memory
part 'statistics of codecs' meson test -C build/gcc --no-rebuild --print-errorlogs --quiet --suite nightly
part 'plans of 1 to 64 peers' build/gcc/tools/weft topo verify -n 1..64
part 'simulations of thousands of peers' python3 tests/cli/topo_sizes.py build/gcc/tools/weft
printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
