#!/bin/sh
# usage: summary.sh JUNIT_FILE: prints "N passed, N failed". A test that did not run has not passed.
set -eu
[ -f "$1" ] || { echo '0 passed, 1 failed'; exit 1; }
# The attributes of <testsuite> stand on lines of their own; the first occurrence of each is the total.
count() { sed -n "s/^[[:space:]]*$1=\"\([0-9]*\)\".*/\1/p" "$2" | head -n 1; }
total=$(count tests "$1")
passed=$((total - $(count failures "$1") - $(count disabled "$1") - $(count skipped "$1")))
echo "$passed passed, $((total - passed)) failed"
[ "$passed" -gt 0 ] && [ "$passed" -eq "$total" ]
