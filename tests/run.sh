#!/bin/sh
# Installs what is missing, builds the library and runs every test: sh tests/run.sh [build folder]
# Compiler and options come from the environment: CXX, RAE_CMAKE_ARGS.
set -eu
cd "$(dirname "$0")/.."
. examples/install_packages.sh
install_packages $rae_build_packages libgtest-dev dataset-fashion-mnist

build=${1:-build}
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE="${RAE_BUILD_TYPE:-Release}" -DRAE_BUILD_TESTS=ON ${RAE_CMAKE_ARGS:-} >"$build.configure.log" 2>&1 || {
  cat "$build.configure.log" >&2
  exit 1
}
rm -f "$build.configure.log"
cmake --build "$build"
report="$PWD/$build/tests.xml"
case $build in /*) report="$build/tests.xml" ;; esac
status=0
ctest --test-dir "$build" --output-on-failure --output-junit "$report" >"$report.log" 2>&1 || status=$?
if [ "$status" -ne 0 ]; then cat "$report.log"; fi
count() { sed -n "s/.*[^a-z]$1=\"\([0-9]*\)\".*/\1/p" "$report" | head -n 1; }
tests=$(count tests)
failed=$(count failures)
if [ "${tests:-0}" -eq 0 ]; then
  echo "no test was run" >&2
  status=1
fi
echo "$((${tests:-0} - ${failed:-0})) passed, ${failed:-0} failed"
exit "$status"
