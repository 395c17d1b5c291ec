#!/bin/sh
# threads.sh [ROUNDS] [ROWS]: what the backends of parallel loops cost, alone and on a busy machine.
#
# Builds the library with both backends (build/threads, build/openmp; they share a compiler cache)
# and prints a table. Each round runs every way once, one after another; given are the medians of
# the rounds and the median of the ratios to the first column within rounds, which noise that lasts
# longer than a round does not touch. "beside" runs one busy loop for each processor at the same
# time. ROWS: a part of the names of rows, to run only those. Environment: THREADS_BUILD and
# OPENMP_BUILD, folders of builds that exist.
set -eu
cd "$(dirname "$0")/../.."
rounds=${1:-9}
rows=${2:-}
ours=${THREADS_BUILD:-build/threads}
openmp=${OPENMP_BUILD:-build/openmp}
processors=$(nproc)
work=$(mktemp -d)
load=
stop_load() {
  for pid in $load; do kill "$pid" 2>/dev/null || true; done
  load=
}
trap 'stop_load; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

build() { # FOLDER BACKEND
  [ -f "$1/CMakeCache.txt" ] || cmake -S . -B "$1" -DCMAKE_BUILD_TYPE=Release -DRAE_PARALLEL="$2" \
    -DRAE_BUILD_BENCH=ON -DRAE_BUILD_TESTS=OFF -DRAE_BUILD_EXAMPLES=OFF
  cmake --build "$1" --parallel --target rae_tool bench_parallel bench_train_step
}
[ -n "${THREADS_BUILD:-}" ] || build "$ours" threads
[ -n "${OPENMP_BUILD:-}" ] || build "$openmp" openmp

# Seconds that a command takes.
seconds() {
  begin=$(date +%s%N)
  "$@" >/dev/null 2>&1 || { echo "failed: $*" >&2; exit 1; }
  echo "$begin $(date +%s%N)" | awk '{ printf "%.4f\n", ($2 - $1) / 1e9 }'
}

# measure NAME THREADS-OPTION COMMAND...: one line of the table. COMMAND begins with a path inside a
# build folder.
measure() {
  name=$1 option=$2 program=$3
  shift 3
  case $name in *"$rows"*) ;; *) return 0 ;; esac
  round=0
  : >"$work/times"
  while [ "$round" -lt "$rounds" ]; do
    a=$(seconds "$ours/$program" "$@")
    b=$(seconds env OMP_WAIT_POLICY=active "$openmp/$program" "$@")
    c=$(seconds env OMP_WAIT_POLICY=passive "$openmp/$program" "$@")
    d=$(seconds "$ours/$program" "$@" "$option" 1)
    echo "$a $b $c $d" >>"$work/times"
    round=$((round + 1))
  done
  awk -v name="$name" '
    function median(x, n,   i, j, t) {
      for (i = 2; i <= n; ++i) for (j = i; j > 1 && x[j] < x[j - 1]; --j) {
        t = x[j]; x[j] = x[j - 1]; x[j - 1] = t
      }
      return n % 2 ? x[(n + 1) / 2] : (x[n / 2] + x[n / 2 + 1]) / 2
    }
    { for (c = 1; c <= 4; ++c) { time[c, NR] = $c; ratio[c, NR] = $c / $1 } }
    END {
      printf "| %s |", name
      for (c = 1; c <= 4; ++c) {
        for (i = 1; i <= NR; ++i) { t[i] = time[c, i]; r[i] = ratio[c, i] }
        printf " %.3f s", median(t, NR)
        printf c > 1 ? " (%.3fx) |" : " |", median(r, NR)
      }
      print ""
    }' "$work/times"
}

table() { # PLACE
  measure "$1: rae generate" -t rae generate --class 0-7 --steps 50 --batch 1 --out "$work/a.npz"
  measure "$1: rae bench dinov2-b" -t rae bench --models dinov2-b --dtype bf16 --rounds 3
  measure "$1: small training steps" --threads tests/bench_train_step --layers 2 --batch 2 \
    --type f32 --steps 60
  measure "$1: training steps" --threads tests/bench_train_step --layers 4 --batch 16 --type f32 \
    --steps 4
}

average=$(cut -d " " -f 1 /proc/loadavg 2>/dev/null || echo unknown)
echo "$processors processors, load average $average, $rounds rounds"
for build in "$ours" "$openmp"; do "$build/tests/bench_parallel"; done
echo
echo "| what | threads | openmp, active | openmp, passive | threads, -t 1 |"
echo "|---|---|---|---|---|"
table alone
i=0
while [ "$i" -lt "$processors" ]; do
  sh -c 'while :; do :; done' &
  load="$load $!"
  i=$((i + 1))
done
table beside
