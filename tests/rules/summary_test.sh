#!/bin/sh
# usage: summary_test.sh CTEST FOLDER: tests tests/summary.sh on reports of ctest with tests that
# pass, fail, are skipped, or do not run.
set -eu
ctest=$1 work=$2
script=$(cd "$(dirname "$0")/.." && pwd)/summary.sh
rm -rf "$work"
mkdir -p "$work"
cd "$work"

# check NAME EXPECTED_LINE EXPECTED_STATUS: runs ctest on the tests that are declared on standard
# input.
check() {
  mkdir "$1"
  cat >"$1/CTestTestfile.cmake"
  "$ctest" --test-dir "$1" --output-junit junit.xml >"$1/log" 2>&1 || true
  status=0
  line=$(sh "$script" "$1/junit.xml") || status=$?
  [ "$line" = "$2" ] && [ "$status" -eq "$3" ] && return
  echo "$1: expected '$2' and exit status $3, got '$line' and $status"
  exit 1
}

check passes '2 passed, 0 failed' 0 <<'EOF'
add_test(one true)
add_test(two echo "<skipped message=\"SKIP_REGULAR_EXPRESSION_MATCHED\"/>")
EOF

check skips '1 passed, 0 failed, 2 skipped' 0 <<'EOF'
add_test(one true)
add_test(two echo "[  SKIPPED ] two")
add_test(three echo "[  SKIPPED ] three")
set_tests_properties(two three PROPERTIES SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
EOF

check fails '1 passed, 5 failed, 1 skipped' 1 <<'EOF'
add_test(passes true)
add_test(skips false)
set_tests_properties(skips PROPERTIES SKIP_RETURN_CODE 1)
add_test(fails false)
add_test(missing /no/such/program)
add_test(disabled true)
set_tests_properties(disabled PROPERTIES DISABLED ON)
add_test(setup false)
set_tests_properties(setup PROPERTIES FIXTURES_SETUP fixture)
add_test(needs true)
set_tests_properties(needs PROPERTIES FIXTURES_REQUIRED fixture)
EOF

check only_skips '0 passed, 0 failed, 1 skipped' 1 <<'EOF'
add_test(one false)
set_tests_properties(one PROPERTIES SKIP_RETURN_CODE 1)
EOF

status=0
line=$(sh "$script" missing.xml) || status=$?
[ "$line" = '0 passed, 1 failed' ] && [ "$status" -eq 1 ]
