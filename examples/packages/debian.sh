#!/bin/sh
# Builds the Debian packages of this tree: sh examples/packages/debian.sh [FOLDER]
# They are written to FOLDER (build/debian by default): libraries, headers, command, and models.
set -eu
cd "$(dirname "$0")/../.."
. examples/install_packages.sh
# shellcheck disable=SC2086  # a list of words
install_packages $rae_build_packages libjpeg-dev libwebp-dev libcpp-httplib-dev pkg-config \
  debhelper dpkg-dev:dpkg-buildpackage git:git
out=$(mkdir -p "${1:-build/debian}" && cd "${1:-build/debian}" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/rae"
git ls-files -z | xargs -0 cp --parents -t "$tree/rae"
cp -r examples/packages/debian "$tree/rae/debian"
(cd "$tree/rae" && dpkg-buildpackage --build=binary --no-sign)
cp "$tree"/*.deb "$out"
ls -l "$out"/*.deb
