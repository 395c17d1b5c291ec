#!/bin/sh
# usage: summary.sh JUNIT_FILE, a report written by ctest: prints "N passed, N failed", followed by
# ", N skipped" if there are any. The exit status is 0 if no test failed and at least one passed.
# A test counts as skipped if it ran and said so (GTEST_SKIP). A test that did not run (disabled,
# program missing, fixture failed) counts as failed.
# missing, fixture failed) has failed.
set -eu
[ -f "$1" ] || { echo '0 passed, 1 failed'; exit 1; }
# Each attribute of <testsuite> has a line of its own; the first occurrence is the total.
count() { sed -n "s/^[[:space:]]*$1=\"\([0-9]*\)\".*/\1/p" "$2" | head -n 1; }
total=$(count tests "$1")
failures=$(count failures "$1") disabled=$(count disabled "$1") not_run=$(count skipped "$1")
passed=$((total - failures - disabled - not_run))
skipped=$(grep -c '^[[:space:]]*<skipped message="SKIP_RE' "$1") || true
failed=$((total - passed - skipped))
printf '%d passed, %d failed' "$passed" "$failed"
if [ "$skipped" -gt 0 ]; then printf ', %d skipped' "$skipped"; fi
echo
[ "$passed" -gt 0 ] && [ "$failed" -eq 0 ]
