#!/bin/sh
# measure.sh [BUILD]: builds and runs all benchmarks and writes their tables and the plot into
# docs/. This takes less than half an hour on an idle machine; on a busy machine the figures are
# worthless. BUILD is the build folder (default: build/bench). Environment variables: GGML, a built
# checkout of ggml, adds that peer (see tests/bench/peers/ggml_dit.cpp); PYTHON is an interpreter
# with PyTorch (default: /usr/bin/python3).
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build/bench}
python=${PYTHON:-/usr/bin/python3}
out=$build/measured
first= kernels=
if nice -n -15 true 2>/dev/null; then first="nice -n -15"; fi

# RAE_ISA=avx2 measures the kernels for processors without AVX-512; the peers are limited likewise.
if [ "${RAE_ISA:-}" = avx2 ] || [ "${RAE_ISA:-}" = avx2_vnni ]; then
  export DNNL_MAX_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell \
    ATEN_CPU_CAPABILITY=avx2
fi

load=$(cut -d " " -f 1 /proc/loadavg 2>/dev/null || echo unknown)
echo "load average $load: other programs that run now falsify the figures"
[ -f "$build/CMakeCache.txt" ] || cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release \
  -DRAE_BUILD_BENCH=ON -DRAE_BUILD_TESTS=OFF \
  -DRAE_BUILD_EXAMPLES=OFF
cmake --build "$build" --parallel --target rae_tool bench_packed_gemm bench_gemv bench_gemm \
  bench_attention bench_ladder bench_train_step \
  bench_picture bench_load bench_models_plot
# Only where Google Benchmark is installed.
if cmake --build "$build" --target help | grep -q bench_kernels; then
  cmake --build "$build" --parallel --target bench_kernels
  kernels=$build/tests/bench_kernels
fi
mkdir -p "$out"
echo "$load" > "$out/load"
ggml=
if [ -n "${GGML:-}" ]; then
  libraries="$GGML/build/src"
  g++ -O2 -std=c++20 -I "$GGML/include" tests/bench/peers/ggml_dit.cpp -o "$out/ggml_dit" -L \
    "$libraries" -Wl,-rpath,"$libraries" -lggml \
    -lggml-base -lggml-cpu
  ggml="--ggml $out/ggml_dit"
fi

echo "--- matrix products"
$first "$build/tests/bench_packed_gemm" 5 --json "$out/gemm.json"
$first "$build/tests/bench_gemv" 5 --json "$out/gemv.json"
$first "$build/tests/bench_gemm" 3 --json "$out/plain_gemm.json"
echo "--- attention"
$first "$build/tests/bench_attention" 5 --json "$out/attention.json"
if [ -n "$kernels" ]; then
  echo "--- kernels between the products"
  $first "$kernels" --benchmark_out="$out/kernels.json" --benchmark_out_format=json
fi
echo "--- from three loops to the peak"
$first "$build/tests/bench_ladder" 5 --json "$out/ladder.json"
echo "--- whole networks and their peers"
$first python3 tests/bench/peers/compare.py "$build/rae" --python "$python" $ggml --json \
  "$out/models.json"
processors=$(getconf _NPROCESSORS_ONLN)
if [ "$processors" -gt 2 ]; then
  echo "--- numbers of threads"
  for threads in $(python3 -c \
    "n = $processors; print(*[1 << i for i in range(10) if 1 << i < n], n)"); do
    $first python3 tests/bench/peers/compare.py "$build/rae" --models dit-dh-xl --threads \
      "$threads" --rounds 3 --python "$python" $ggml \
      --json "$out/threads_$threads.json"
  done
fi
echo "--- a whole picture"
# In memory, so that the disk is not measured: a file of 5 GB and 10 GB of weights.
free=$(awk '/^MemAvailable/ {print int($2 / 1000000)}' /proc/meminfo)
if [ "$free" -ge 17 ] && [ -d /dev/shm ]; then
  bundle=/dev/shm/rae_bench.safetensors
  packed=/dev/shm/rae_bench_packed.safetensors
  trap 'rm -f "$bundle" "$packed"' EXIT
  rm -f "$bundle"
  $first "$build/tests/bench_picture" "$bundle" --json "$out/picture.json"
  echo "--- loading"
  for type in f32 bf16 int8; do
    "$build/rae" convert "$bundle" "$packed" --pack "$type"
    for round in 1 2 3; do $first "$build/tests/bench_load" "$bundle" "$type" --json \
      "$out/load_${type}_$round.json"; done
    for round in 1 2 3; do $first "$build/tests/bench_load" "$packed" --json \
      "$out/load_packed_${type}_$round.json"; done
  done
  rm -f "$bundle" "$packed"
else
  echo "skipped: needs 17 GB of memory, and $free GB are available"
fi
if "$python" -c "import torch" 2>/dev/null; then
  echo "--- training"
  $first "$python" tests/bench/peers/torch_train.py --ours "$build/tests/bench_train_step" \
    --rounds 4 --json > "$out/training.json"
fi
"$build/tests/bench_models_plot" "$out/models.json" docs/images/performance.svg
python3 tests/bench/report.py "$out"
