#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes ./configure from configure.ac.  Needs autoconf, automake, pkg-config.
set -e
cd "$(dirname "$0")"

missing=
command -v autoconf >/dev/null || missing="$missing autoconf"
command -v aclocal >/dev/null || missing="$missing automake"
# configure.ac uses pkg.m4, which comes with pkg-config.
command -v pkg-config >/dev/null || missing="$missing pkg-config"
if [ -n "$missing" ]; then
    echo "autogen.sh: cannot make ./configure" >&2
    echo "  because: these Debian packages are missing:$missing" >&2
    echo "  try:     apt-get install$missing" >&2
    exit 1
fi
autoreconf --install --force "$@"
