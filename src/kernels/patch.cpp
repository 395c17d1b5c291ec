#include "rae/kernels/patch.hpp"

#include <algorithm>

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

// Calls move(image offset, token offset) for every element of both.
template <class Move>
void for_each_element(std::string_view where, const Shape& image, const Shape& tokens,
                      index_t patch, PatchOrder order, Move move) {
  if (image.rank() != 4 || patch < 1 || image[2] % patch != 0 || image[3] % patch != 0)
    raise<ShapeError>(where, ": expected an image (B, C, H, W) with H and W divisible by ", patch,
                      ", got ", image);
  const index_t channels = image[1], grid_h = image[2] / patch, grid_w = image[3] / patch,
                features = channels * patch * patch;
  require_shape(where, tokens, {image[0], grid_h * grid_w, features});
  parallel_for(image[0] * grid_h * grid_w, detail::row_grain(features), [&](index_t token) {
    const index_t b = token / (grid_h * grid_w), y = token / grid_w % grid_h, x = token % grid_w;
    for (index_t c = 0; c < channels; ++c)
      for (index_t p = 0; p < patch; ++p)
        for (index_t q = 0; q < patch; ++q) {
          const index_t feature = order == PatchOrder::channels_first
                                      ? (c * patch + p) * patch + q
                                      : (p * patch + q) * channels + c;
          move(((b * channels + c) * image[2] + y * patch + p) * image[3] + x * patch + q,
               token * features + feature);
        }
  });
}

}  // namespace

template <Real T>
void patchify(View<const T> image, index_t patch, PatchOrder order, View<T> tokens) {
  const detail::ProfiledKernel profiled(detail::KernelKind::copy,
                                        [&] { return detail::cost_of_bytes(image, tokens); });
  detail::require_elements("patchify", image.numel(), image, tokens);
  const T* from = image.data();
  T* to = tokens.data();
  for_each_element("patchify", image.shape(), tokens.shape(), patch, order,
                   [=](index_t i, index_t t) { to[t] = from[i]; });
}

template <Real T>
void unpatchify(View<const T> tokens, index_t patch, PatchOrder order, View<T> image) {
  const detail::ProfiledKernel profiled(detail::KernelKind::copy,
                                        [&] { return detail::cost_of_bytes(tokens, image); });
  detail::require_elements("unpatchify", tokens.numel(), tokens, image);
  const T* from = tokens.data();
  T* to = image.data();
  for_each_element("unpatchify", image.shape(), tokens.shape(), patch, order,
                   [=](index_t i, index_t t) { to[i] = from[t]; });
}

template <Real T>
void transpose_tokens(View<const T> x, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::copy,
                                        [&] { return detail::cost_of_bytes(x, out); });
  if (x.shape().rank() != 3)
    raise<ShapeError>("transpose_tokens: expected (B, M, N), got ", x.shape());
  const index_t m = x.extent(1), n = x.extent(2);
  require_shape("transpose_tokens: out", out.shape(), {x.extent(0), n, m});
  detail::require_elements("transpose_tokens", x.numel(), x, out);
  const T* from = x.data();
  T* to = out.data();
  constexpr index_t kBlock = 16;  // columns of the output that share its cache lines
  const index_t blocks = (m + kBlock - 1) / kBlock;
  parallel_for(x.extent(0) * blocks, detail::row_grain(kBlock * n), [=](index_t task) {
    const index_t b = task / blocks, begin = task % blocks * kBlock,
                  end = std::min(m, begin + kBlock);
    for (index_t j = 0; j < n; ++j)
      for (index_t i = begin; i < end; ++i) to[(b * n + j) * m + i] = from[(b * m + i) * n + j];
  });
}

template void patchify<float>(View<const float>, index_t, PatchOrder, View<float>);
template void patchify<double>(View<const double>, index_t, PatchOrder, View<double>);
template void unpatchify<float>(View<const float>, index_t, PatchOrder, View<float>);
template void unpatchify<double>(View<const double>, index_t, PatchOrder, View<double>);
template void transpose_tokens<float>(View<const float>, View<float>);
template void transpose_tokens<double>(View<const double>, View<double>);

}  // namespace rae
