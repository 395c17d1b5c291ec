#!/bin/sh
# The direction of dependencies: a header or source of a folder may include only the folders listed for it. Also: no third-party
# header in a public one outside interop, no file of more than 600 lines, no unfinished marks.
set -u
cd "$(dirname "$0")/../.."
status=0

allowed() {
  case $1 in
    core) echo "core" ;;
    kernels) echo "core kernels" ;;
    diffusion) echo "core kernels diffusion" ;;
    io) echo "core kernels io" ;;
    metrics) echo "core kernels io metrics" ;;
    autograd) echo "core kernels autograd" ;;
    nn) echo "core kernels autograd nn" ;;
    models) echo "core kernels autograd nn models" ;;
    train) echo "core kernels autograd nn models diffusion io metrics train" ;;
    pipeline) echo "core kernels autograd nn models diffusion io metrics pipeline" ;;
    *) echo "" ;;
  esac
}

for folder in core kernels diffusion io metrics autograd nn models train pipeline; do
  for file in $(find include/rae/$folder src/$folder -type f 2>/dev/null); do
    for target in $(sed -n 's/^#include "rae\/\([a-z]*\)\/.*/\1/p' "$file" | sort -u); do
      case " $(allowed $folder) " in
        *" $target "*) ;;
        *) echo "$file: $folder may not include $target"; status=1 ;;
      esac
    done
  done
done

third=$(grep -rnE '#include *[<"](Eigen|hwy|nlohmann|yaml-cpp|CLI|stb|zlib)' include | grep -v '^include/rae/interop/')
[ -z "$third" ] || { echo "third-party header in a public one: $third"; status=1; }

for file in $(git ls-files include src tests examples | grep -E '\.(hpp|cpp|inl)$'); do
  [ -f "$file" ] || continue
  lines=$(wc -l <"$file")
  [ "$lines" -le 600 ] || { echo "$file: $lines lines, at most 600"; status=1; }
done

marks=$(grep -rnE '\b(TODO|FIXME|XXX|HACK)\b' include src)
[ -z "$marks" ] || { echo "unfinished marks: $marks"; status=1; }
exit $status
