// Softmax attention as plain loops: the oracle of the tests.
#pragma once

#include <vector>

#include "rae/core/math.hpp"
#include "rae/core/view.hpp"

namespace rae::reference {

/// out (B, T, H*hd) from qkv (B, T, 3*H*hd), without rotation.
template <class T>
void attention(View<const T> qkv, index_t heads, View<T> out) {
  const index_t tokens = qkv.extent(1), width = qkv.extent(2) / 3, dim = width / heads;
  std::vector<double> p(static_cast<std::size_t>(tokens));
  for (index_t b = 0; b < qkv.extent(0); ++b)
    for (index_t h = 0; h < heads; ++h)
      for (index_t i = 0; i < tokens; ++i) {
        double total = 0;
        for (index_t j = 0; j < tokens; ++j) {
          double dot = 0;
          for (index_t c = 0; c < dim; ++c)
            dot += static_cast<double>(qkv(b, i, h * dim + c)) *
                   static_cast<double>(qkv(b, j, width + h * dim + c));
          p[static_cast<std::size_t>(j)] = math::exp(dot / math::sqrt(static_cast<double>(dim)));
          total += p[static_cast<std::size_t>(j)];
        }
        for (index_t c = 0; c < dim; ++c) {
          double sum = 0;
          for (index_t j = 0; j < tokens; ++j)
            sum += p[static_cast<std::size_t>(j)] / total *
                   static_cast<double>(qkv(b, j, 2 * width + h * dim + c));
          out(b, i, h * dim + c) = static_cast<T>(sum);
        }
      }
}

/// dqkv (B, T, 3*H*hd) for dout (B, T, H*hd), without rotation: with the probabilities p and dp =
/// dout v^T, the scores' gradient is p (dp - sum of p dp).
template <class T>
void attention_backward(View<const T> qkv, index_t heads, View<const T> dout, View<T> dqkv) {
  const index_t tokens = qkv.extent(1), width = qkv.extent(2) / 3, dim = width / heads;
  const double scale = 1 / math::sqrt(static_cast<double>(dim));
  const auto at = [](const auto& view, index_t b, index_t t, index_t c) {
    return static_cast<double>(view(b, t, c));
  };
  std::vector<double> p(static_cast<std::size_t>(tokens)), dp(p);
  for (index_t b = 0; b < qkv.extent(0); ++b)
    for (index_t h = 0; h < heads; ++h) {
      const index_t q = h * dim, k = width + h * dim, v = 2 * width + h * dim;
      std::vector<double> gradient(
          static_cast<std::size_t>(3 * tokens * dim));  // of q, k and v: (3, T, hd)
      for (index_t i = 0; i < tokens; ++i) {
        double total = 0, along = 0;
        for (index_t j = 0; j < tokens; ++j) {
          const auto n = static_cast<std::size_t>(j);
          double score = 0;
          dp[n] = 0;
          for (index_t c = 0; c < dim; ++c) {
            score += at(qkv, b, i, q + c) * at(qkv, b, j, k + c);
            dp[n] += at(dout, b, i, q + c) * at(qkv, b, j, v + c);
          }
          total += p[n] = math::exp(scale * score);
        }
        for (std::size_t n = 0; n < p.size(); ++n) along += (p[n] /= total) * dp[n];
        for (index_t j = 0; j < tokens; ++j) {
          const auto n = static_cast<std::size_t>(j);
          for (index_t c = 0; c < dim; ++c) {
            gradient[static_cast<std::size_t>(i * dim + c)] +=
                scale * p[n] * (dp[n] - along) * at(qkv, b, j, k + c);
            gradient[static_cast<std::size_t>((tokens + j) * dim + c)] +=
                scale * p[n] * (dp[n] - along) * at(qkv, b, i, q + c);
            gradient[static_cast<std::size_t>((2 * tokens + j) * dim + c)] +=
                p[n] * at(dout, b, i, q + c);
          }
        }
      }
      for (index_t part = 0; part < 3; ++part)
        for (index_t t = 0; t < tokens; ++t)
          for (index_t c = 0; c < dim; ++c)
            dqkv(b, t, part * width + q + c) =
                static_cast<T>(gradient[static_cast<std::size_t>((part * tokens + t) * dim + c)]);
    }
}

}  // namespace rae::reference
