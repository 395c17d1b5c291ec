#include "rae/train/diff_augment.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "rae/core/parallel.hpp"
#include "rae/core/random.hpp"

namespace rae {

namespace {

/// The augmentation of one picture; the defaults change nothing.
struct Change {
  index_t down = 0, right = 0;  // output (y, x) shows input (y + down, x + right)
  bool colour = false;
  float brightness = 0, saturation = 1, contrast = 1;
  index_t top = 0, bottom = 0, left = 0, right_edge = 0;  // blanked rows [top, bottom) and columns
};

/// Round half to even, as Python's round.
index_t rounded(double value) { return static_cast<index_t>(std::nearbyint(value)); }

/// floor(u n), in float as the official code.
index_t below(float u, index_t n) {
  return static_cast<index_t>(std::floor(u * static_cast<float>(n)));
}

void check(const Shape& s, const DiffAugOptions& options, const DiffAugDraws& draws) {
  if (s.rank() != 4 || s.numel() == 0)
    raise<ShapeError>("diff_augment: expected pictures (B, C, H, W), got ", s);
  for (const double part : {options.prob, options.cutout, options.warmup_blur})
    if (!(part >= 0 && part <= 1))
      raise<ArgumentError>("diff_augment: expected options in [0, 1], got ", part);
  require_shape("diff_augment: draws", draws.pictures.shape(), {7, s[0]});
}

std::vector<Change> changes_of(const Shape& s, const DiffAugOptions& options,
                               const DiffAugDraws& draws) {
  const index_t batch = s[0], h = s[2], w = s[3];
  const auto on = [&](std::size_t group) {
    return options.prob >= 1e-6 && static_cast<double>(draws.groups[group]) <= options.prob;
  };
  const auto u = [&](index_t row, index_t b) { return draws.pictures[row * batch + b]; };
  const index_t dh = rounded(static_cast<double>(h) * 0.125),
                dw = rounded(static_cast<double>(w) * 0.125);
  const index_t ch = rounded(static_cast<double>(h) * options.cutout),
                cw = rounded(static_cast<double>(w) * options.cutout);
  std::vector<Change> out(static_cast<std::size_t>(batch));
  for (index_t b = 0; b < batch; ++b) {
    Change& change = out[static_cast<std::size_t>(b)];
    if (on(0)) {
      change.down = below(u(0, b), 2 * dh + 1) - dh;
      change.right = below(u(1, b), 2 * dw + 1) - dw;
    }
    if (on(1)) {
      change.colour = true;
      change.brightness = u(2, b) - 0.5f;
      change.saturation = u(3, b) * 2;
      change.contrast = u(4, b) + 0.5f;
    }
    if (on(2) && ch > 0 && cw > 0) {
      const index_t y = below(u(5, b), h + 1 - ch % 2) - ch / 2,
                    x = below(u(6, b), w + 1 - cw % 2) - cw / 2;
      change.top = std::clamp<index_t>(y, 0, h - 1);
      change.bottom = std::clamp<index_t>(y + ch - 1, 0, h - 1) + 1;
      change.left = std::clamp<index_t>(x, 0, w - 1);
      change.right_edge = std::clamp<index_t>(x + cw - 1, 0, w - 1) + 1;
    }
  }
  return out;
}

/// out(y, x) = in(y + down, x + right) for one plane, zero outside.
template <class T>
void translate(const T* in, index_t h, index_t w, index_t down, index_t right, T* out) {
  for (index_t y = 0; y < h; ++y)
    for (index_t x = 0; x < w; ++x) {
      const index_t sy = y + down, sx = x + right;
      out[y * w + x] = sy >= 0 && sy < h && sx >= 0 && sx < w ? in[sy * w + sx] : T(0);
    }
}

/// mean + (x - mean) * saturation at each position, with the mean over channels of a picture (C,
/// P).
template <class T>
void saturate(T* picture, index_t channels, index_t positions, T saturation) {
  for (index_t i = 0; i < positions; ++i) {
    T mean = 0;
    for (index_t c = 0; c < channels; ++c) mean += picture[c * positions + i];
    mean /= static_cast<T>(channels);
    for (index_t c = 0; c < channels; ++c) {
      T& value = picture[c * positions + i];
      value = (value - mean) * saturation + mean;
    }
  }
}

/// mean + (x - mean) * contrast, with the mean of all values.
template <class T>
void contrast(T* picture, index_t count, T factor) {
  double sum = 0;
  for (index_t i = 0; i < count; ++i) sum += static_cast<double>(picture[i]);
  const T mean = static_cast<T>(sum / static_cast<double>(count));
  for (index_t i = 0; i < count; ++i) picture[i] = (picture[i] - mean) * factor + mean;
}

template <class T>
void blank(T* picture, index_t channels, index_t h, index_t w, const Change& change) {
  for (index_t c = 0; c < channels; ++c)
    for (index_t y = change.top; y < change.bottom; ++y)
      std::fill(picture + (c * h + y) * w + change.left,
                picture + (c * h + y) * w + change.right_edge, T(0));
}

/// Weights 2^-(i / sigma)^2 of the warm-up's blur, normalised; empty where there is none.
std::vector<double> blur_weights(const Shape& s, double schedule) {
  const double sigma = std::sqrt(static_cast<double>(s[2]) * 0.5) * schedule;
  const auto radius = static_cast<index_t>(std::floor(sigma * 3));
  if (radius < 1) return {};
  if (radius >= std::min(s[2], s[3]))
    raise<ShapeError>("diff_augment: a blur that reaches ", radius,
                      " pixels needs larger pictures than ", s);
  std::vector<double> weights;
  double sum = 0;
  for (index_t i = -radius; i <= radius; ++i) {
    weights.push_back(std::exp2(-std::pow(static_cast<double>(i) / sigma, 2)));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

/// Convolves n elements `stride` apart with the weights, mirroring at the ends without repeating
/// them; or applies the transpose.
template <class T>
void blur_line(T* line, index_t n, index_t stride, const std::vector<double>& weights,
               bool transposed) {
  const index_t radius = static_cast<index_t>(weights.size()) / 2;
  std::vector<double> out(static_cast<std::size_t>(n));
  for (index_t i = 0; i < n; ++i)
    for (index_t k = -radius; k <= radius; ++k) {
      index_t j = std::abs(i + k);
      if (j >= n) j = 2 * (n - 1) - j;
      const double weight = weights[static_cast<std::size_t>(k + radius)];
      if (transposed)
        out[static_cast<std::size_t>(j)] += weight * static_cast<double>(line[i * stride]);
      else
        out[static_cast<std::size_t>(i)] += weight * static_cast<double>(line[j * stride]);
    }
  for (index_t i = 0; i < n; ++i)
    line[i * stride] = static_cast<T>(out[static_cast<std::size_t>(i)]);
}

template <class T>
void blur(T* planes, index_t count, index_t h, index_t w, const std::vector<double>& weights,
          bool transposed) {
  for (index_t p = 0; p < count; ++p) {
    T* plane = planes + p * h * w;
    for (index_t x = 0; x < w; ++x) blur_line(plane + x, h, w, weights, transposed);
    for (index_t y = 0; y < h; ++y) blur_line(plane + y * w, w, 1, weights, transposed);
  }
}

}  // namespace

DiffAugDraws draw_diff_augment(index_t batch, std::uint64_t seed, std::uint64_t stream) {
  if (batch < 0)
    raise<ArgumentError>("draw_diff_augment: expected a number of pictures, got ", batch);
  DiffAugDraws draws;
  const Philox random(seed, stream);
  random.fill_uniform(draws.groups);
  draws.pictures = Tensor<float>(Shape{7, batch});
  random.fill_uniform({draws.pictures.data(), static_cast<std::size_t>(7 * batch)},
                      draws.groups.size());
  return draws;
}

template <Real T>
Tensor<T> diff_augment(const Tensor<T>& images, const DiffAugOptions& options,
                       const DiffAugDraws& draws) {
  const Shape s = images.shape();
  check(s, options, draws);
  const index_t channels = s[1], h = s[2], w = s[3], plane = h * w, size = channels * plane;
  const std::vector<Change> changes = changes_of(s, options, draws);
  const std::vector<double> weights = blur_weights(s, options.warmup_blur);
  Tensor<T> blurred = images;  // (B, C, H, W)
  T* sharp = weights.empty() ? nullptr : blurred.data();
  const T* source = std::as_const(blurred).data();
  Tensor<T> out(s);
  T* target = out.data();
  parallel_for(s[0], 1, [&](index_t b) {
    const Change& change = changes[static_cast<std::size_t>(b)];
    if (sharp != nullptr) blur(sharp + b * size, channels, h, w, weights, false);
    T* picture = target + b * size;
    for (index_t c = 0; c < channels; ++c)
      translate(source + b * size + c * plane, h, w, change.down, change.right,
                picture + c * plane);
    if (change.colour) {
      for (index_t i = 0; i < size; ++i) picture[i] += static_cast<T>(change.brightness);
      saturate(picture, channels, plane, static_cast<T>(change.saturation));
      contrast(picture, size, static_cast<T>(change.contrast));
    }
    blank(picture, channels, h, w, change);
  });
  return out;
}

template <Real T>
Tensor<T> diff_augment_backward(const Tensor<T>& dout, const DiffAugOptions& options,
                                const DiffAugDraws& draws) {
  const Shape s = dout.shape();
  check(s, options, draws);
  const index_t channels = s[1], h = s[2], w = s[3], plane = h * w, size = channels * plane;
  const std::vector<Change> changes = changes_of(s, options, draws);
  const std::vector<double> weights = blur_weights(s, options.warmup_blur);
  Tensor<T> changed = dout, dimages(s);  // (B, C, H, W)
  T *g = changed.data(), *target = dimages.data();
  parallel_for(s[0], 1, [&](index_t b) {
    const Change& change = changes[static_cast<std::size_t>(b)];
    T* picture = g + b * size;
    blank(picture, channels, h, w, change);
    // Contrast and saturation are symmetric maps.
    if (change.colour) {
      contrast(picture, size, static_cast<T>(change.contrast));
      saturate(picture, channels, plane, static_cast<T>(change.saturation));
    }
    for (index_t c = 0; c < channels; ++c)
      translate(picture + c * plane, h, w, -change.down, -change.right,
                target + b * size + c * plane);
    if (!weights.empty()) blur(target + b * size, channels, h, w, weights, true);
  });
  return dimages;
}

template Tensor<float> diff_augment<float>(const Tensor<float>&, const DiffAugOptions&,
                                           const DiffAugDraws&);
template Tensor<double> diff_augment<double>(const Tensor<double>&, const DiffAugOptions&,
                                             const DiffAugDraws&);
template Tensor<float> diff_augment_backward<float>(const Tensor<float>&, const DiffAugOptions&,
                                                    const DiffAugDraws&);
template Tensor<double> diff_augment_backward<double>(const Tensor<double>&, const DiffAugOptions&,
                                                      const DiffAugDraws&);

}  // namespace rae
