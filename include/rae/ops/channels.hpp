// Operations on the channels of feature maps (B, C, ...): affine map by channel, and the steps of a
// perceptual distance; for Tensor (inference) and for Var (recorded, with a gradient).
//
// Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (2018),
// equation 1.
#pragma once

#include <array>

#include "rae/autograd/var.hpp"
#include "rae/core/math.hpp"
#include "rae/core/parallel.hpp"

namespace rae {

namespace detail {
/// Extents of a feature map (B, C, ...) read as (B, C, P).
struct MapExtents {
  index_t batch, channels, positions;
};
inline MapExtents map_extents(std::string_view where, const Shape& s) {
  if (s.rank() < 2 || s.numel() == 0) raise<ShapeError>(where, ": expected (B, C, ...), got ", s);
  return {s[0], s[1], s.numel() / (s[0] * s[1])};
}

/// Calls body(index of the first element of the picture, first position, number of positions) for
/// pieces of at most 256 positions that cover all pictures, in parallel.
template <class Body>
void for_positions(const MapExtents& e, Body body) {
  constexpr index_t kPiece = 256;
  const index_t pieces = (e.positions + kPiece - 1) / kPiece;
  parallel_for(e.batch * pieces, math::max<index_t>(1, 64 / e.channels), [&](index_t task) {
    const index_t begin = task % pieces * kPiece;
    body(task / pieces * e.channels * e.positions, begin, math::min(kPiece, e.positions - begin));
  });
}
}  // namespace detail

/// x * weight + bias for each channel, for x (B, C, ...), weight (C) and bias (C): (B, C, ...).
/// Throws ShapeError.
template <Real T>
Tensor<T> channel_affine(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias) {
  const detail::MapExtents e = detail::map_extents("channel_affine", x.shape());
  require_shape("channel_affine: weight", weight.shape(), {e.channels});
  require_shape("channel_affine: bias", bias.shape(), {e.channels});
  Tensor<T> out(x.shape());  // (B, C, ...)
  T* target = out.data();
  parallel_for(e.batch * e.channels, 1 + (1 << 14) / e.positions, [&](index_t row) {
    const T w = weight[row % e.channels], b = bias[row % e.channels];
    for (index_t i = row * e.positions; i < (row + 1) * e.positions; ++i) target[i] = x[i] * w + b;
  });
  return out;
}
/// The same, recorded: gradients go to x, weight and bias.
template <Real T>
Var<T> channel_affine(const Var<T>& x, const Var<T>& weight, const Var<T>& bias) {
  return detail::make_result<T>(
      channel_affine(x.value(), weight.value(), bias.value()),
      [x, weight, bias](const Tensor<T>& g) {
        const detail::MapExtents e = detail::map_extents("channel_affine", g.shape());
        if (x.requires_grad())
          x.accumulate(channel_affine(g, weight.value(), Tensor<T>::zeros(weight.shape())));
        T* dw = weight.requires_grad() ? weight.mutable_grad().data() : nullptr;
        T* db = bias.requires_grad() ? bias.mutable_grad().data() : nullptr;
        if (dw == nullptr && db == nullptr) return;
        const T* input = x.value().data();
        const T* dout = g.data();
        parallel_for(e.channels, 1 + (1 << 14) / (e.batch * e.positions), [&](index_t c) {
          double products = 0, sums = 0;
          for (index_t b = 0; b < e.batch; ++b)
            for (index_t i = (b * e.channels + c) * e.positions;
                 i < (b * e.channels + c + 1) * e.positions; ++i) {
              products += static_cast<double>(dout[i]) * static_cast<double>(input[i]);
              sums += static_cast<double>(dout[i]);
            }
          if (dw != nullptr) dw[c] += static_cast<T>(products);
          if (db != nullptr) db[c] += static_cast<T>(sums);
        });
      },
      x, weight, bias);
}

/// x (B, C, ...) divided at each position by the Euclidean norm of its channels + 1e-10: (B, C,
/// ...). Throws ShapeError.
template <Real T>
Tensor<T> unit_channels(const Tensor<T>& x) {
  const detail::MapExtents e = detail::map_extents("unit_channels", x.shape());
  Tensor<T> out(x.shape());  // (B, C, ...)
  T* target = out.data();
  const T* source = x.data();
  detail::for_positions(e, [&](index_t picture, index_t begin, index_t count) {
    std::array<T, 256> squares{};
    for (index_t c = 0; c < e.channels; ++c) {
      const T* v = source + picture + c * e.positions + begin;
      for (index_t i = 0; i < count; ++i) squares[static_cast<std::size_t>(i)] += v[i] * v[i];
    }
    for (index_t i = 0; i < count; ++i) {
      T& s = squares[static_cast<std::size_t>(i)];
      s = math::sqrt(s) + T(1e-10);
    }
    for (index_t c = 0; c < e.channels; ++c) {
      const index_t at = picture + c * e.positions + begin;
      for (index_t i = 0; i < count; ++i)
        target[at + i] = source[at + i] / squares[static_cast<std::size_t>(i)];
    }
  });
  return out;
}
/// The same, recorded: the gradient goes to x. Where all channels are zero, the norm counts as
/// constant, so that the gradient is finite; that of PyTorch is NaN there.
template <Real T>
Var<T> unit_channels(const Var<T>& x) {
  return detail::make_result<T>(
      unit_channels(x.value()),
      [x](const Tensor<T>& g) {
        const detail::MapExtents e = detail::map_extents("unit_channels", g.shape());
        Tensor<T> dx(x.shape());  // (B, C, ...)
        T* target = dx.data();
        const T* source = x.value().data();
        const T* dout = g.data();
        detail::for_positions(e, [&](index_t picture, index_t begin, index_t count) {
          std::array<T, 256> squares{}, products{};  // for each position: sum x^2, sum g x
          for (index_t c = 0; c < e.channels; ++c) {
            const index_t at = picture + c * e.positions + begin;
            for (index_t i = 0; i < count; ++i) {
              squares[static_cast<std::size_t>(i)] += source[at + i] * source[at + i];
              products[static_cast<std::size_t>(i)] += dout[at + i] * source[at + i];
            }
          }
          for (index_t i = 0; i < count; ++i) {
            T &s = squares[static_cast<std::size_t>(i)], &p = products[static_cast<std::size_t>(i)];
            const T norm = math::sqrt(s), m = norm + T(1e-10);
            s = T(1) / m;
            p = norm > 0 ? p / (m * m * norm) : T(0);
          }
          for (index_t c = 0; c < e.channels; ++c) {
            const index_t at = picture + c * e.positions + begin;
            for (index_t i = 0; i < count; ++i)
              target[at + i] = dout[at + i] * squares[static_cast<std::size_t>(i)] -
                               source[at + i] * products[static_cast<std::size_t>(i)];
          }
        });
        x.accumulate(std::move(dx));
      },
      x);
}

/// For each picture the mean over positions of sum_c weight[c] (x[c] - y[c])^2, for x and y (B, C,
/// ...) and a constant weight (C): (B). Zhang et al. 2018, equation 1. Throws ShapeError.
template <Real T>
Tensor<T> channel_distance(const Tensor<T>& x, const Tensor<T>& y, const Tensor<T>& weight) {
  const detail::MapExtents e = detail::map_extents("channel_distance", x.shape());
  require_shape("channel_distance", y.shape(), x.shape());
  require_shape("channel_distance: weight", weight.shape(), {e.channels});
  Tensor<T> out(Shape{e.batch});  // (B)
  T* target = out.data();
  parallel_for(e.batch, 1, [&](index_t b) {
    double sum = 0;
    for (index_t c = 0; c < e.channels; ++c) {
      double squares = 0;
      for (index_t i = (b * e.channels + c) * e.positions;
           i < (b * e.channels + c + 1) * e.positions; ++i) {
        const double difference = static_cast<double>(x[i] - y[i]);
        squares += difference * difference;
      }
      sum += static_cast<double>(weight[c]) * squares;
    }
    target[b] = static_cast<T>(sum / static_cast<double>(e.positions));
  });
  return out;
}
/// The same, recorded: gradients go to x and y.
template <Real T>
Var<T> channel_distance(const Var<T>& x, const Var<T>& y, const Tensor<T>& weight) {
  return detail::make_result<T>(
      channel_distance(x.value(), y.value(), weight),
      [x, y, weight](const Tensor<T>& g) {
        const detail::MapExtents e = detail::map_extents("channel_distance", x.shape());
        Tensor<T> dx(x.shape());  // (B, C, ...)
        T* target = dx.data();
        const T *a = x.value().data(), *b = y.value().data();
        parallel_for(e.batch * e.channels, 1 + (1 << 14) / e.positions, [&](index_t row) {
          const T factor =
              T(2) * weight[row % e.channels] * g[row / e.channels] / static_cast<T>(e.positions);
          for (index_t i = row * e.positions; i < (row + 1) * e.positions; ++i)
            target[i] = factor * (a[i] - b[i]);
        });
        if (y.requires_grad()) {
          Tensor<T> dy(x.shape());  // (B, C, ...)
          axpby<T>(T(-1), dx, T(0), dx, dy);
          y.accumulate(std::move(dy));
        }
        x.accumulate(std::move(dx));
      },
      x, y);
}

}  // namespace rae
