#!/bin/sh
# usage: pkg_config.sh COMPILER PKG_CONFIG PC_FOLDER VERSION OUT_FOLDER DECODERS: builds and runs
# the consumer programs with the flags of pkg-config. DECODERS are the modules of the picture
# decoders in use: '', or for example ', libjpeg, libwebp'.
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
