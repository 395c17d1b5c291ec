# Installs the Debian packages that a build needs. Sourced by the scripts of this repository.
# shellcheck shell=sh

# Packages of every build. NAME installs a package; NAME:COMMAND installs it only if the command is
# missing, so that a newer cmake or compiler from another source is used.
rae_build_packages='g++:g++ cmake:cmake ninja-build:ninja libeigen3-dev libstb-dev zlib1g-dev'
rae_build_packages="$rae_build_packages nlohmann-json3-dev libyaml-cpp-dev libcli11-dev"
# The decoders of pictures, MPI, and the HTTP library of the server. A build works without them.
rae_optional_packages='libjpeg-dev libwebp-dev libopenmpi-dev openmpi-bin libcpp-httplib-dev'
rae_test_packages='libgtest-dev pkg-config:pkg-config dataset-fashion-mnist'

# install_packages NAME[:COMMAND]...: installs missing packages, as root or by sudo. On systems
# other than Debian and its descendants, prints their names and fails.
install_packages() {
  missing=
  for item in "$@"; do
    package=${item%%:*}
    case $item in
      *:*) command -v "${item#*:}" >/dev/null 2>&1 && continue ;;
    esac
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = 'install ok installed' ] || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "This system has no apt-get. Please install the equivalents of these Debian packages," \
      "then build with CMake:$missing" >&2
    return 1
  fi
  sudo=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo \
      "Installing these packages needs root or sudo:$missing" >&2; return 1; }
    sudo=sudo
  fi
  echo "Installing:$missing"
  # shellcheck disable=SC2086  # a list of words
  $sudo apt-get update -qq </dev/null &&
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      $missing </dev/null
}

# install_optional_packages: installs the missing ones of rae_optional_packages if that is possible.
install_optional_packages() {
  # shellcheck disable=SC2086  # a list of words
  install_packages $rae_optional_packages || echo 'Continuing without the optional packages' \
    "$rae_optional_packages: without them, stb decodes JPEG, WebP cannot be read, training uses" \
    'one process, and there is no server' >&2
}
