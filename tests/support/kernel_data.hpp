// Random tensors and finite differences for the tests of kernels.
#pragma once

#include <algorithm>
#include <cmath>

#include "rae/core/parallel.hpp"
#include "rae/core/random.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/isa.hpp"

namespace rae::test {

/// Standard normal numbers; different streams give different numbers.
template <Real T>
Tensor<T> random_tensor(const Shape& shape, std::uint64_t stream) {
  Tensor<T> out(shape);  // of `shape`
  const Philox random(20260120, stream);
  T* data = out.data();
  for (index_t i = 0; i < out.numel(); ++i)
    data[i] = static_cast<T>(random.normal(static_cast<std::uint64_t>(i)));
  return out;
}

/// The dot product <a, b>, summed in double.
template <Real T>
double dot(const Tensor<T>& a, const Tensor<T>& b) {
  double sum = 0;
  for (index_t i = 0; i < a.numel(); ++i)
    sum += static_cast<double>(a.data()[i]) * static_cast<double>(b.data()[i]);
  return sum;
}

/// The gradient of a scalar function at x by central differences.
template <class F>
Tensor<double> numeric_gradient(F&& f, Tensor<double> x, double h = 1e-5) {
  Tensor<double> gradient(x.shape());  // x's shape
  for (index_t i = 0; i < x.numel(); ++i) {
    const double value = x.data()[i];
    x.data()[i] = value + h;
    const double up = f(x);
    x.data()[i] = value - h;
    const double down = f(x);
    x.data()[i] = value;
    gradient.data()[i] = (up - down) / (2 * h);
  }
  return gradient;
}

/// Calls f(isa) with the kernels of each of these instruction sets that this machine supports.
template <class F>
void on_each_isa(std::span<const Isa> isas, F&& f) {
  struct Restore {
    Isa before = active_isa();
    ~Restore() { set_isa(before); }
  } restore;
  for (const Isa isa : isas) {
    if (!supports(isa)) continue;
    set_isa(isa);
    f(isa);
  }
}

/// Calls f with every instruction set that has its own kernels of f32 and f64.
template <class F>
void on_every_isa(F&& f) {
  constexpr Isa kReal[] = {Isa::baseline, Isa::avx2, Isa::avx512, Isa::neon};
  on_each_isa(kReal, f);
}

/// Calls f with every instruction set, since all have their own products of bf16 or 8-bit matrices.
template <class F>
void on_every_narrow_isa(F&& f) {
  on_each_isa(kIsas, f);
}

/// The largest absolute value.
template <Real T>
double largest(const Tensor<T>& x) {
  double most = 0;
  for (const T value : x.span()) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

/// Runs f on one thread and on `threads`, and returns whether both results are bit-identical.
template <class F>
bool same_on_every_thread_count(F&& f, int threads = 5) {
  set_num_threads(1);
  const auto one = f();
  set_num_threads(threads);
  const auto many = f();
  set_num_threads(0);
  return one.shape() == many.shape() &&
         std::equal(one.data(), one.data() + one.numel(), many.data());
}

}  // namespace rae::test
