#!/bin/sh
# Makes ./configure from configure.ac. Needed after a git clone, not for a release tarball.
set -e
cd "$(dirname "$0")"
for tool in autoreconf automake libtoolize pkg-config; do
    command -v $tool >/dev/null || {
        echo "autogen.sh: $tool is missing: install autoconf automake libtool pkgconf" >&2
        exit 1
    }
done
mkdir -p m4
exec autoreconf --install --warnings=no-portability
