#!/bin/sh
# Builds the Debian packages, installs them in an empty Debian, uses them there, and removes them:
# sh tests/packages/debian.sh [FOLDER]. Needs root, for chroot. Takes some ten minutes.
set -eu
cd "$(dirname "$0")/../.."
. examples/install_packages.sh
install_packages debootstrap:debootstrap
out=${1:-build/debian}
[ -n "$(ls "$out"/*.deb 2>/dev/null)" ] || sh examples/packages/debian.sh "$out"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
site=$(apt-get indextargets --format '$(SITE)' "Codename: $codename" | head -n 1)
debootstrap --variant=minbase "$codename" "$root" "$site" >"$out/debootstrap.log"
cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
mkdir "$root/packages"
cp "$out"/*.deb "$root/packages"
cat >"$root/packages/app.cpp" <<'END'
#include <rae/generate/generator.hpp>
int main() {
  const auto generator = rae::Generator::builtin();
  generator.sample({.labels = {8}, .steps = 2}).front().save_png("/packages/app.png");
}
END

inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
inside apt-get update -qq
# The command needs neither a compiler nor headers.
inside sh -c 'apt-get install -y -qq --no-install-recommends /packages/rae_*.deb \
  /packages/librae0.1_*.deb /packages/rae-models_*.deb' >"$out/install.log"
inside rae --version
inside rae generate --class Bag --count 1 --steps 2 --out /packages/bag.png
inside test -s /packages/bag.png
inside test -s /usr/share/bash-completion/completions/rae
inside test -s /usr/share/rae/models/fashion-mnist.safetensors
# A program with the headers.
inside sh -c 'apt-get install -y -qq --no-install-recommends g++ pkg-config \
  /packages/librae-dev_*.deb' >>"$out/install.log"
inside sh -c 'cd /packages && g++ -std=c++20 app.cpp -o app $(pkg-config --cflags --libs rae)'
inside /packages/app
inside test -s /packages/app.png
inside sh -c 'apt-get purge -y -qq rae librae-dev librae0.1 rae-models' >>"$out/install.log"
left=$(inside find /usr -name '*rae*' -newer /packages/app.cpp | grep -v -e /usr/share/doc || true)
[ -z "$left" ] || { printf 'left after the removal:\n%s\n' "$left"; exit 1; }
echo 'built, installed, used and removed'
