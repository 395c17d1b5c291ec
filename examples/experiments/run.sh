#!/bin/sh
# usage: sh examples/experiments/run.sh NAME [--quick] [--data DIR] [--model FILE]...
#          [--classifier FILE] [--out DIR] [--docs DIR] [--points N]
#        sh examples/experiments/run.sh --list
# Builds and runs an experiment, and writes its plot and table into docs/findings.md. An experiment
# that was interrupted continues after its last point. --quick is a reduced version with synthetic
# pictures, which writes into its own folder; --points N stops after N new points; --model takes the
# encoder of a model or of a folder; --classifier takes the classifier of 'rae evaluate' to judge
# pictures; --list shows the names with their minutes on two cores.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
list=$root/examples/experiments/list.txt

usage() {
  sed -n '2,4s/^# //p' "$0"
  echo "experiments:"
  sed -n 's/^\([a-z][a-z]*\) \([0-9][0-9]*\) \(.*\)$/  \1, \2 min: \3/p' "$list"
}

name=${1:-}
case $name in
  --list | --help | -h) usage; exit 0 ;;
  '') usage >&2; exit 2 ;;
esac
shift
if ! grep -q "^$name [0-9]" "$list"; then
  echo "there is no experiment '$name'" >&2
  usage >&2
  exit 2
fi

docs=$root/docs
for argument in "$@"; do
  case $argument in
    --quick | --docs) docs= ;;
  esac
done
[ -z "$docs" ] || set -- "$@" --docs "$docs"

. "$root/examples/install_packages.sh"
# shellcheck disable=SC2086  # a list of words
install_packages $rae_build_packages
install_optional_packages
build=${RAE_BUILD:-$root/build/experiments}
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DRAE_BUILD_TESTS=OFF \
  -DRAE_BUILD_TOOL=OFF -DRAE_BUILD_EXAMPLES=ON
cmake --build "$build" --target "experiment_$name" -j "$(nproc)"
exec "$build/examples/experiments/experiment_$name" "$@"
