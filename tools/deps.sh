#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh [build|demo|check]: install the Debian packages that are missing, up to that use (default
# build). Asks nothing; needs root, or sudo without a password, only when something is missing.
set -eu
here=$(dirname "$0")
case ${1:-build} in
build) uses='build' ;;
demo) uses='build demo' ;;
check) uses='build demo check' ;;
*)
    echo "usage: sh tools/deps.sh [build|demo|check]" >&2
    exit 2
    ;;
esac

wanted=$(awk -v uses="$uses" '
    BEGIN { split(uses, list, " "); for (i in list) use[list[i]] = 1 }
    /^[^#]/ && NF > 0 && ($2 in use || (NF == 1 && "check" in use)) { print $1 }
' "$here/packages.txt")

if ! command -v dpkg-query >/dev/null; then
    echo "deps.sh: not a Debian system; needed are the equivalents of:" $wanted >&2
    exit 0
fi
missing=
for package in $wanted; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "deps.sh: installing$missing"
if [ "$(id -u)" -eq 0 ]; then
    as_root=env
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root='sudo env'
else
    echo "deps.sh: neither root nor sudo without a password; as root, run:" >&2
    echo "    apt-get install$missing" >&2
    exit 1
fi
$as_root DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null
$as_root DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing \
    </dev/null >/dev/null
