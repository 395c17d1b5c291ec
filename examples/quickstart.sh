#!/bin/sh
# Builds the rae command and makes pictures with the built-in model: samples.png. Installs what is missing (Debian, Ubuntu).
set -eu
cd "$(dirname "$0")/.."
. examples/install_packages.sh
# shellcheck disable=SC2086  # package names are words
install_packages $rae_build_packages

build=build/release
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DRAE_BUILD_TESTS=OFF -DRAE_BUILD_EXAMPLES=OFF
cmake --build $build --target rae_tool -j "$(nproc)"
$build/rae generate --model builtin --count 80 --grid --out samples.png
echo "samples.png: 80 pictures that the built-in model drew, eight of each class."
