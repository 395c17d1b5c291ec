#!/bin/sh
# threads.sh [ROUNDS] [ROWS]: compares the backends of parallel loops on an idle and a busy machine.
#
# Builds the library with both backends (build/threads, build/openmp; they share a compiler cache)
# and prints a table. Each round measures every column once, in turn. The table has the medians of
# the rounds, and the medians of the ratios to the first column within a round, which slow changes
# of the machine do not affect. "beside" runs one busy loop per processor at the same time. There,
# OpenMP with active waiting takes up to ninety times as long, so it is measured in the first round
# only. ROWS is a shell pattern for the names of the rows to run, for example "alone*". The
# environment variables THREADS_BUILD and OPENMP_BUILD name folders of existing builds.
set -eu
cd "$(dirname "$0")/../.."
rounds=${1:-9}
rows=${2:-*}
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

# The first value of a member in a JSON file: number MEMBER FILE
number() { sed -n "s/.*\"$1\": \([0-9.e+-]*\).*/\1/p" "$2" | head -n 1; }

# The measured cases. Each is called with a build folder and a number of threads, 0 for the default,
# and prints seconds.
generate() { # the whole command for 8 pictures of the built-in model
  begin=$(date +%s%N)
  "$1/rae" generate --class 0,1,2,3,4,5,6,7 --steps 50 --out "$work/a.npz" -t "$2" >/dev/null
  echo "$begin $(date +%s%N)" | awk '{ print ($2 - $1) / 1e9 }'
}
network() { # DTYPE NETWORK FOLDER THREADS: the median of three or more forward passes
  "$3/rae" bench --models "$2" --dtype "$1" --rounds 3 -t "$4" --json "$work/bench.json" >/dev/null
  number seconds "$work/bench.json"
}
dinov2() { network f32 dinov2-b "$1" "$2"; }
builtin_dit() { network f32 builtin-dit "$1" "$2"; }
training() { # LAYERS BATCH STEPS FOLDER THREADS: the median of the steps
  threads=$5
  [ "$threads" -gt 0 ] || threads=$processors
  "$4/tests/bench_train_step" --layers "$1" --batch "$2" --steps "$3" --threads "$threads" \
    --type f32 --json >"$work/train.json"
  echo "$2 $(number images_per_second "$work/train.json")" | awk '{ print $1 / $2 }'
}
small_steps() { training 2 2 60 "$1" "$2"; }
large_steps() { training 4 16 4 "$1" "$2"; }

measure() { # NAME FUNCTION: one line of the table
  # shellcheck disable=SC2254  # the pattern is intended
  case $1 in $rows) ;; *) return 0 ;; esac
  round=0
  : >"$work/times"
  while [ "$round" -lt "$rounds" ]; do
    a=$("$2" "$ours" 0)
    case $1-$round in
      alone*|*-0) b=$(export OMP_WAIT_POLICY=active && "$2" "$openmp" 0) ;;
      *) b=none ;;
    esac
    c=$(export OMP_WAIT_POLICY=passive && "$2" "$openmp" 0)
    d=$("$2" "$ours" 1)
    echo "$a $b $c $d" >>"$work/times"
    round=$((round + 1))
  done
  awk -v name="$1" '
    function median(x, count,   i, j, swap) {
      for (i = 2; i <= count; ++i) for (j = i; j > 1 && x[j] < x[j - 1]; --j) {
        swap = x[j]; x[j] = x[j - 1]; x[j - 1] = swap
      }
      return count % 2 ? x[(count + 1) / 2] : (x[count / 2] + x[count / 2 + 1]) / 2
    }
    { for (c = 1; c <= 4; ++c) if ($c != "none") { t[c, ++n[c]] = $c; r[c, n[c]] = $c / $1 } }
    END {
      printf "| %s |", name
      for (c = 1; c <= 4; ++c) {
        for (i = 1; i <= n[c]; ++i) { times[i] = t[c, i]; ratios[i] = r[c, i] }
        printf " %.2f ms", 1e3 * median(times, n[c])
        printf(c == 1 ? " |" : " (%.3fx) |", median(ratios, n[c]))
      }
      print ""
    }' "$work/times"
}

table() { # alone or beside
  measure "$1: rae generate, 8 pictures" generate
  measure "$1: DiT of the built-in model, f32" builtin_dit
  measure "$1: DINOv2-B, f32" dinov2
  measure "$1: training step, 2 layers, 2 pictures" small_steps
  measure "$1: training step, 4 layers, 16 pictures" large_steps
}

average=$(cut -d " " -f 1 /proc/loadavg 2>/dev/null || echo unknown)
echo "$processors processors, load average $average, $rounds rounds"
for folder in "$ours" "$openmp"; do "$folder/tests/bench_parallel"; done
echo
echo "| case | threads | openmp, active | openmp, passive | threads, -t 1 |"
echo "|---|---|---|---|---|"
table alone
i=0
while [ "$i" -lt "$processors" ]; do
  # Ends when this script ends, for whatever reason.
  sh -c 'while kill -0 "$1"; do i=0; while [ $i -lt 9999 ]; do i=$((i + 1)); done; done' sh $$ \
    >/dev/null 2>&1 &
  load="$load $!"
  i=$((i + 1))
done
table beside
