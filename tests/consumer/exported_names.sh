#!/bin/sh
# usage: exported_names.sh NM LIBRARY...: checks that a shared library exports only names of
# namespace rae, including the exceptions that its users catch.
set -eu
nm=$1
shift
for library in "$@"; do
  names=$("$nm" -D --defined-only "$library" | awk '{ print $NF }')
  foreign=$(echo "$names" | grep -v '^_ZG\{0,1\}[A-Za-z]*N*[A-Za-z]*3rae' || true)
  [ -z "$foreign" ] || { echo "$library exports:"; echo "$foreign"; exit 1; }
  [ "$(echo "$names" | wc -l)" -gt 20 ] || { echo "$library exports too little"; exit 1; }
done
echo "$names" | grep -q '^_ZTIN3rae10ShapeErrorE$' || { echo 'ShapeError is not exported'; exit 1; }
