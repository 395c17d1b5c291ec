#!/bin/sh
# usage: header_weight.sh COMPILER SOURCE_FOLDER: counts the lines of each public header that are
# not blank after preprocessing. Headers of core and kernels have at most 25,000, rae.hpp at most
# 55,000 and all others at most 45,000. The limits are for g++ 12; with another compiler the exit
# status is 77.
set -eu
compiler=$1
cd "$2/include"
case $(echo __clang__ __GNUC__ | "$compiler" -x c++ -E -P -) in
  '__clang__ 12') ;;
  *) echo 'the limits are for g++ 12'; exit 77 ;;
esac
weigh() {
  "$compiler" -std=c++20 -DRAE_LIBRARY=1 -I. -w -x c++ -E -P "$1" | grep -c .
}
find rae -name '*.hpp' ! -path 'rae/interop/*' | sort | {
  status=0 count=0
  while read -r header; do
    case $header in
      rae/core/* | rae/kernels/* | rae/error.hpp | rae/config.hpp | rae/version.hpp) most=25000 ;;
      rae/rae.hpp) most=55000 ;;
      *) most=45000 ;;
    esac
    lines=$(weigh "$header")
    [ "$lines" -le $most ] || { echo "$header: $lines lines, at most $most"; status=1; }
    count=$((count + 1))
  done
  [ $count -gt 50 ] || { echo "only $count headers found"; status=1; }
  exit $status
}
