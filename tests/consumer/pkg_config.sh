#!/bin/sh
# usage: pkg_config.sh COMPILER PKG_CONFIG PC_FOLDER VERSION OUT_FOLDER: builds and runs the consumer with pkg-config's flags.
set -eu
here=$(dirname "$0")
export PKG_CONFIG_PATH="$3"
[ "$("$2" --modversion rae)" = "$4" ] || { echo "rae.pc has version $("$2" --modversion rae), expected $4"; exit 1; }
mkdir -p "$5"
# shellcheck disable=SC2046  # flags are words
"$1" $("$2" --cflags rae) "$here/consumer.cpp" -o "$5/consumer" $("$2" --libs rae)
LD_LIBRARY_PATH=$("$2" --variable=libdir rae) "$5/consumer"
