#!/bin/sh
# usage: sh tests/serve/schemathesis.sh RAE BUILD_FOLDER
# Sends generated requests to `rae serve` and compares its answers with its description,
# /openapi.json, by schemathesis, which is installed into an environment in BUILD_FOLDER. The last
# line is "N passed, N failed", with ", N skipped" if PyPI cannot be reached.
set -eu
rae=$1 build=$2
environment=$build/environment
mkdir -p "$build"
python3 -m venv "$environment"
"$environment/bin/pip" install --quiet --disable-pip-version-check 'schemathesis>=4' || {
  echo 'schemathesis cannot be installed from PyPI, so the description is not checked.'
  echo '0 passed, 0 failed, 1 skipped'
  exit 0
}
rm -f "$build/address"
"$rae" serve --port 0 --most-steps 20 --most-count 4 >"$build/address" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
for _ in $(seq 300); do
  [ -s "$build/address" ] && break
  sleep 0.1
done
# Not checked: that every request that fits the schemas is accepted. Names of models and files of
# pictures cannot be described by a schema.
status=0
(cd "$build" && "environment/bin/schemathesis" run "$(cat address)/openapi.json" --checks all \
  --exclude-checks positive_data_acceptance --phases examples,coverage,fuzzing \
  --max-examples 100 --seed 1) || status=1
trap - EXIT
kill -TERM $server || echo 'The server has ended by itself.'
code=0
wait $server || code=$?
[ $code -eq 0 ] || { echo "The server ended with status $code."; status=1; }
if [ $status -eq 0 ]; then echo '1 passed, 0 failed'; else echo '0 passed, 1 failed'; fi
exit $status
