#!/bin/sh
# usage: symbols.sh NM LIBRARY HEADER: the library of the C interface exports the names in
# symbols.txt and no others, and the header declares the same. A name that was ever released is
# never removed from the list.
set -eu
export LC_ALL=C
list=$(dirname "$0")/symbols.txt
status=0
"$1" -D --defined-only "$2" | awk '{ print $NF }' | sort | diff "$list" - ||
  { echo "$2: exported names (>) differ from $list (<)"; status=1; }
grep -o '\brae_[a-z_]*(' "$3" | tr -d '(' | sort -u | diff "$list" - ||
  { echo "$3: declared names (>) differ from $list (<)"; status=1; }
exit $status
