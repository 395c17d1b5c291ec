#!/bin/sh
# usage: sh tests/run.sh [BUILD_FOLDER]
# Installs missing packages (Debian, Ubuntu), builds everything and runs all tests.
# Environment variables: CXX, RAE_BUILD_TYPE, RAE_CMAKE_ARGS (arguments for configuring),
# RAE_TARGETS (default: all) and RAE_CTEST_ARGS.
# The last line is "N passed, N failed", followed by ", N skipped" if tests were skipped because
# this processor lacks the instruction set that they test.
set -eu
cd "$(dirname "$0")/.."
. examples/install_packages.sh
# shellcheck disable=SC2086  # lists of words
install_packages $rae_build_packages $rae_test_packages || { echo '0 passed, 1 failed'; exit 1; }
install_optional_packages

build=${1:-build/release}
jobs=$(nproc)
# shellcheck disable=SC2086
{
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE="${RAE_BUILD_TYPE:-Release}" \
    -DRAE_BUILD_TESTS=ON -DRAE_BUILD_EXAMPLES=ON ${RAE_CMAKE_ARGS:-} &&
    cmake --build "$build" -j "$jobs" --target ${RAE_TARGETS:-all}
} || { echo '0 passed, 1 failed'; exit 1; }

status=0
rm -f "$build/tests.xml"
# shellcheck disable=SC2086
ctest --test-dir "$build" --output-on-failure -j "$jobs" --no-tests=error --output-junit tests.xml \
  ${RAE_CTEST_ARGS:-} || status=$?
sh tests/summary.sh "$build/tests.xml" || status=1
exit "$status"
