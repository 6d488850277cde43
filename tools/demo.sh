#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# demo.sh [DATA]: install what is missing, build, and train with 4 real peer processes over TCP:
# dense gradient descent, QSGD, TernGrad and DIANA on the same data; a table and a plot.
# DATA: a LIBSVM file with two classes (.gz and .xz too); default: heart_scale of Debian's
# liblinear-tools. Asks nothing; needs root, or sudo without a password, only when a package is
# missing. Everything it makes is in build/demo.
set -eu
case ${1:-} in
-*)
    sed -n '3,7s/^# //p' "$0"
    [ "$1" = -h ] || [ "$1" = --help ] && exit 0
    exit 2
    ;;
esac
data=
if [ $# -gt 0 ]; then
    [ -r "$1" ] || {
        echo "demo.sh: cannot read $1" >&2
        exit 2
    }
    data=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
fi
cd "$(dirname "$0")/.."
build=build/demo
mkdir -p "$build"

sh tools/deps.sh demo

# quietly LOG COMMAND...: its output goes to a file, and is shown when it fails.
quietly() {
    log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null || {
        cat "$log" >&2
        echo "demo.sh: failed: $*" >&2
        exit 1
    }
}

echo "building in $build"
[ -f "$build/build.ninja" ] ||
    quietly build/demo-setup.log meson setup "$build" -Dbuildtype=release -Dtests=disabled \
        -Dtools=enabled
quietly build/demo-build.log ninja -C "$build"

# An image may drop /usr/share/doc: then the file comes out of the package itself.
unpack_heart_scale() {
    (
        cd "$build"
        apt-get download liblinear-tools || {
            [ "$(id -u)" -eq 0 ] && apt-get -qq update && apt-get download liblinear-tools
        }
        for package in liblinear-tools_*.deb; do
            dpkg -x "$package" liblinear-tools
        done
    )
}

examples=usr/share/doc/liblinear-tools/examples
if [ -z "$data" ]; then
    for file in "/$examples/heart_scale" "/$examples/heart_scale.gz" \
        "$build/liblinear-tools/$examples/heart_scale" \
        "$build/liblinear-tools/$examples/heart_scale.gz"; do
        [ -n "$data" ] || [ ! -r "$file" ] || data=$file
    done
    if [ -z "$data" ]; then
        quietly build/demo-data.log unpack_heart_scale
        data=$(find "$build/liblinear-tools" -name 'heart_scale*' | head -n 1)
    fi
    [ -n "$data" ] || {
        echo "demo.sh: liblinear-tools holds no heart_scale; give a LIBSVM file" >&2
        exit 1
    }
fi

# show COMMAND...: run it, after printing it so that it can be pasted into a shell.
show() {
    line=
    for word; do
        case $word in
        '' | *[!A-Za-z0-9_./:,=+-]*) # single quotes around it, those inside as '\''
            word=\'$(printf '%s\n' "$word" | sed "s/'/'\\\\''/g")\'
            ;;
        esac
        line="$line${line:+ }$word"
    done
    printf '%s\n' "$line" >&2
    "$@"
}

show "$build/tools/weft" train --data "$data" -n 4 --link tcp --l2 auto --steps 2000 --every 5 \
    --plot "$build/weft-demo.svg" --json "$build/weft-demo.json" \
    --run 'name=GD optimizer=gd algo=ring' \
    --run 'name=QSGD optimizer=sgd codec=qsgd:levels=7,bucket=512,norm=2' \
    --run 'name=TernGrad optimizer=sgd codec=qsgd:levels=1,bucket=0,norm=max' \
    --run 'name=DIANA optimizer=diana codec=qsgd:levels=1,bucket=16,norm=max' \
    --run 'name=DIANAx8 optimizer=diana codec=qsgd:levels=1,bucket=16,norm=max lr=theory*8'
