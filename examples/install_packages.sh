# Installs missing Debian packages; sourced by examples/quickstart.sh and tests/run.sh.
# usage: install_packages NAME...
install_packages() {
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "This script installs packages on Debian and its relatives only. Please install what corresponds to: $*" >&2
    command -v cmake >/dev/null 2>&1 || exit 1
    return 0
  fi
  missing=""
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" = 0 ]; then as_root=""; elif command -v sudo >/dev/null 2>&1; then as_root=sudo; else
    echo "Missing packages:$missing. Install them as root, then start this script again." >&2
    exit 1
  fi
  echo "Installing:$missing"
  $as_root apt-get update -qq
  # Intended word splitting: a list of package names.
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# What the library needs to be built.
rae_build_packages="g++ cmake ninja-build pkg-config libeigen3-dev libstb-dev zlib1g-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev"
