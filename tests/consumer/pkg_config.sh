#!/bin/sh
# usage: pkg_config.sh COMPILER PKG_CONFIG PC_FOLDER VERSION OUT_FOLDER DECODERS C_COMPILER: builds
# and runs the consumer programs with the flags of pkg-config. DECODERS are the modules of the
# picture decoders in use: '', or for example ', libjpeg, libwebp'. C_COMPILER is '' if the
# interface for C was not built.
set -eu
here=$(dirname "$0")
export PKG_CONFIG_PATH="$3"
mkdir -p "$5"
for module in rae rae-kernels; do
  version=$("$2" --modversion $module)
  [ "$version" = "$4" ] || { echo "$module.pc has version $version, expected $4"; exit 1; }
done
private=$("$2" --print-requires-private rae | tr '\n' ' ')
expected="zlib yaml-cpp$(echo "$6" | tr -d ,) "
[ "$private" = "$expected" ] || { echo "rae.pc requires privately: $private"; exit 1; }
build_and_run() {
  # shellcheck disable=SC2046  # flags are separate words
  "$1" $("$2" --cflags "$3") "$here/$4.cpp" -o "$5/$4" $("$2" --libs "$3")
  LD_LIBRARY_PATH=$("$2" --variable=libdir "$3") "$5/$4"
}
build_and_run "$1" "$2" rae rae_consumer "$5"
build_and_run "$1" "$2" rae-kernels kernels_consumer "$5"
if [ -n "$7" ]; then
  version=$("$2" --modversion rae-c)
  [ "$version" = "$4" ] || { echo "rae-c.pc has version $version, expected $4"; exit 1; }
  # shellcheck disable=SC2046  # flags are separate words
  "$7" $("$2" --cflags rae-c) "$here/c_consumer.c" -o "$5/c_consumer" $("$2" --libs rae-c)
  LD_LIBRARY_PATH=$("$2" --variable=libdir rae-c) "$5/c_consumer"
fi
