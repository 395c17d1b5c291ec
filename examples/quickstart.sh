#!/bin/sh
# Builds the rae command and makes pictures with the built-in model: samples.png. Installs what is
# missing (Debian, Ubuntu).
set -eu
cd "$(dirname "$0")/.."
. examples/install_packages.sh
# shellcheck disable=SC2086  # package names are words
install_packages $rae_build_packages

build=build/release
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DRAE_BUILD_TESTS=OFF \
  -DRAE_BUILD_EXAMPLES=OFF
cmake --build $build --target rae_tool -j "$(nproc)"
$build/rae generate --model builtin --count 80 --grid --out samples.png
cat <<END
samples.png shows 80 pictures of 28 x 28 pixels, drawn from noise by the built-in model. A column
for each class of Fashion-MNIST, from left to right: T-shirt, trouser, pullover, dress, coat,
sandal, shirt, sneaker, bag, ankle boot.
More: $build/rae generate --help, and docs/01_first_picture.md for C++.
END
