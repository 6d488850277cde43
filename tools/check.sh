#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check.sh [full|quick|gcc|asan|tsan|lint|fuzz|codecs|valgrind]: install what is missing, build, test.
#   full      what continuous integration runs: everything below but codecs and clang-tidy
#   quick     the inner loop: one build, the suites without real processes
#   gcc       gcc build, every suite
#   asan      clang build with ASan and UBSan: unit, property (one random case in WEFT_TEST_SHARE, 8),
#             optim, and real processes
#   tsan      the stress programs under ThreadSanitizer
#   lint      clang-format and clang-tidy
#   fuzz      replay of the corpus, then FUZZ_SECONDS (5) of fresh input for each target
#   codecs    FUZZ_INPUTS (1000000) of fresh input for each codec
#   valgrind  three real peers under valgrind
# Builds live in build/. The last line says "N passed, N failed"; the exit status is 0 when nothing
# failed.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
mode=${1:-full}
jobs=$(getconf _NPROCESSORS_ONLN)
# A few lengths, from one element to several fragments, are enough to touch every path.
bench_sizes='-b 4 -e 1M -f 64 -i 2 -w 1'
passed=0 failed=0 started=$(date +%s)

say() {
    printf '\n== %s (%s s)\n' "$*" "$(($(date +%s) - started))"
}

finish() {
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

# step NAME COMMAND...: one thing that passes or fails.
step() {
    name=$1
    shift
    say "$name"
    if "$@" </dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        return 1
    fi
}

# build FOLDER MESON-OPTIONS...: configure (the first time) and build build/FOLDER; CC chooses the compiler,
# `targets`, when set, what is built.
build() {
    folder=build/$1
    shift
    if [ ! -f "$folder/build.ninja" ]; then
        meson setup "$folder" -Dwerror=true -Dtests=enabled -Dtools=enabled "$@" \
            >"build/setup.log" 2>&1 || {
            cat build/setup.log
            return 1
        }
    fi
    if [ -n "${targets:-}" ]; then
        ninja -C "$folder" --quiet build.ninja || return 1 # configured anew if sources came
        wanted=$(ninja -C "$folder" -t targets all | sed -n "s,^\($targets[a-z0-9_]*\):.*,\1,p")
        [ -n "$wanted" ] || {
            echo "$folder: no target $targets*"
            return 1
        }
    else
        wanted=all
    fi
    ninja -C "$folder" --quiet $wanted
}

# suites FOLDER WORKERS MESON-TEST-ARGUMENTS...: run tests; each counts as one.
suites() {
    folder=build/$1 workers=$2
    shift 2
    say "meson test in $folder: $*"
    rm -f "$folder"/meson-logs/check*.json # a setup puts its name behind check
    meson test -C "$folder" --no-rebuild --num-processes "$workers" --print-errorlogs \
        --logbase check "$@" </dev/null
    status=$?
    good=$(cat "$folder"/meson-logs/check*.json | grep -cE '"result": "(OK|EXPECTEDFAIL)"')
    bad=$(cat "$folder"/meson-logs/check*.json |
        grep -cE '"result": "(FAIL|TIMEOUT|ERROR|INTERRUPT|UNEXPECTEDPASS)"')
    # Ended badly without a failed test, or without any test: that is a failure of its own.
    if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$good" -eq 0 ]; }; then
        bad=1
        echo "FAILED: meson test in $folder: $*"
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

sources() {
    find include src collectives tools tests examples -name '*.[ch]' | sort
}

check_gcc() {
    CC=gcc step 'gcc build, warnings are errors' build gcc || return
    suites gcc "$jobs" --suite unit --suite property --suite conventions --suite headers \
        --suite fuzz --suite link --suite optim --suite laws --suite train
    # Real processes with deadlines: two tests at a time, and peers twice as patient.
    patience=${WEFT_TEST_PATIENCE-}
    export WEFT_TEST_PATIENCE="${patience:-2}"
    suites gcc 2 --suite integration --suite cli --suite stress
    export WEFT_TEST_PATIENCE="$patience"
}

check_quick() {
    CC=gcc step 'gcc build, warnings are errors' build gcc || return
    suites gcc "$jobs" --suite unit --suite property --suite conventions --suite headers \
        --suite fuzz
}

check_asan() {
    CC=clang step 'clang build with ASan and UBSan, warnings are errors' build clang \
        -Db_sanitize=address,undefined -Db_lundef=false || return
    share=${WEFT_TEST_SHARE-}
    export WEFT_TEST_SHARE="${share:-8}"
    suites clang "$jobs" --setup asan --suite unit --suite property --suite optim --suite fuzz
    export WEFT_TEST_SHARE="$share"
    # Buffers that their owner frees the moment a timeout hands them back.
    suites clang 1 --setup asan test_buffers
    step 'three peers under ASan and UBSan' sh tests/support/leakguard.sh \
        build/clang/tools/weft bench allreduce -n 3 --link tcp $bench_sizes
    step 'three peers under ASan and UBSan, ternary' sh tests/support/leakguard.sh \
        build/clang/tools/weft bench allreduce -n 3 --link ipc $bench_sizes \
        --codec qsgd:levels=1,bucket=64
}

check_tsan() {
    targets=tests/stress/ CC=clang step 'stress programs with ThreadSanitizer' build tsan \
        -Db_sanitize=thread -Db_lundef=false || return
    suites tsan 1 --setup tsan --suite stress
}

# fuzz_one PROGRAM: fresh input for one target; what it prints goes to build/fuzz/NAME.log, its exit
# status to NAME.status.
fuzz_one() {
    name=${1##*/fuzz_}
    fresh=build/fuzz/corpus/$name
    mkdir -p "$fresh"
    # Without entropic: keeping its frequencies took four fifths of the time.
    "$1" -entropic=0 -max_total_time="${FUZZ_SECONDS:-5}" -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="build/fuzz/crash-$name-" "$fresh" \
        "tests/fuzz/corpus/$name" </dev/null >"build/fuzz/$name.log" 2>&1
    echo $? >"build/fuzz/$name.status"
}

fuzz_told() {
    tail -n 200 "build/fuzz/$1.log" | grep -v -e '^"' -e NEW_FUNC # not the words found useful
    [ "$(cat "build/fuzz/$1.status")" -eq 0 ]
}

build_fuzz() {
    targets=tests/fuzz/fuzz_ CC=clang step 'fuzz targets with libFuzzer' build fuzz \
        -Dfuzz=libfuzzer -Db_sanitize=address,undefined -Db_lundef=false
}

# fuzz_codec NAME: until FUZZ_INPUTS inputs have gone into it; the parameters of others do not fit
# together. What it prints goes to build/fuzz/codec_NAME.log, its exit status to codec_NAME.status.
fuzz_codec() {
    name=codec_$1 reached=0 round=1 bad=0
    fresh=build/fuzz/corpus/$name
    mkdir -p "$fresh"
    : >"build/fuzz/$name.log"
    rm -f "build/fuzz/$name.status"
    seed=$(date +%s)
    while [ "$bad" -eq 0 ] && [ "$reached" -lt "${FUZZ_INPUTS:-1000000}" ]; do
        FUZZ_CODEC=$1 build/fuzz/tests/fuzz/fuzz_codec -entropic=0 -seed=$((seed + round)) -timeout=10 \
            -rss_limit_mb=2048 -runs=100000 -verbosity=0 -artifact_prefix="build/fuzz/crash-$name-" \
            "$fresh" tests/fuzz/corpus/codec </dev/null >"build/fuzz/$name.last" 2>&1 || bad=1
        more=$(sed -n 's/^\([0-9]*\) inputs reached the codec.*/\1/p' "build/fuzz/$name.last")
        [ "$bad" -ne 0 ] || [ "${more:-0}" -gt 0 ] || bad=1
        echo "seed $((seed + round))" >>"build/fuzz/$name.log"
        cat "build/fuzz/$name.last" >>"build/fuzz/$name.log"
        reached=$((reached + ${more:-0})) round=$((round + 1))
    done
    echo "$reached inputs reached the codec" >>"build/fuzz/$name.log"
    echo $bad >"build/fuzz/$name.status"
}

check_codecs() {
    build_fuzz || return
    names="vote $(sed -n 's/^X(\([a-z0-9]*\)).*/\1/p' src/codec/codecs.def)"
    say "fuzzing of codecs, $jobs at a time"
    worker=0
    while [ "$worker" -lt "$jobs" ]; do
        (
            turn=0
            for codec in $names; do
                [ $((turn % jobs)) -ne "$worker" ] || fuzz_codec "$codec"
                turn=$((turn + 1))
            done
        ) &
        worker=$((worker + 1))
    done
    wait
    for codec in $names; do
        step "fuzz $codec" fuzz_told "codec_$codec"
    done
}

check_fuzz() {
    build_fuzz || return
    running=0 names=
    say "fuzzing, $jobs targets at a time"
    for target in build/fuzz/tests/fuzz/fuzz_*; do
        [ -f "$target" ] && [ -x "$target" ] || continue
        rm -f "build/fuzz/${target##*/fuzz_}.status"
        names="$names ${target##*/fuzz_}"
        fuzz_one "$target" &
        running=$((running + 1))
        if [ $((running % jobs)) -eq 0 ]; then
            wait
        fi
    done
    wait
    for name in $names; do
        step "fuzz $name for ${FUZZ_SECONDS:-5} s" fuzz_told "$name"
    done
}

# What is built here: a rival of tools/compare may be missing.
tidy() {
    find src collectives tools -name '*.c' | sort | while read -r file; do
        ! grep -q "/$file\"" build/clang/compile_commands.json || echo "$file"
    done |
        xargs -P "$jobs" -n 4 clang-tidy --quiet -p build/clang 2>build/tidy.log
}

check_format() {
    step 'clang-format' sh -c 'clang-format --dry-run -Werror "$@"' sh $(sources)
}

check_lint() {
    check_format
    [ -f build/clang/compile_commands.json ] || CC=clang step 'clang configuration' \
        meson setup build/clang -Db_sanitize=address,undefined -Db_lundef=false || return
    step 'clang-tidy' tidy
}

check_valgrind() {
    CC=gcc step 'gcc build for valgrind' build gcc || return
    step 'three peers under valgrind' valgrind --quiet --trace-children=yes --error-exitcode=99 \
        --leak-check=full --errors-for-leak-kinds=definite \
        build/gcc/tools/weft bench allreduce -n 3 --link tcp $bench_sizes
}

mkdir -p build
say dependencies
sh tools/deps.sh check || {
    failed=1
    finish
}
export OPENBLAS_NUM_THREADS=1
case $mode in
full)
    check_gcc
    check_asan
    check_tsan
    check_valgrind
    check_fuzz
    check_format
    ;;
quick) check_quick ;;
gcc) check_gcc ;;
asan) check_asan ;;
tsan) check_tsan ;;
lint) check_lint ;;
fuzz) check_fuzz ;;
codecs) check_codecs ;;
valgrind) check_valgrind ;;
*)
    sed -n '3,15s/^# //p' "$root/tools/check.sh" >&2
    exit 2
    ;;
esac
finish
