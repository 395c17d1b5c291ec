// A tiny model in a file, and the contents of handles as values of C++.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "rae/io/image.hpp"
#include "rae/rae.h"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {

/// A bundle of a tiny random model for pictures of 8 x 12.
class ModelFile {
 public:
  ModelFile() { random_bundle(wide_config()).save(path()); }
  [[nodiscard]] std::string path() const { return folder_ / "tiny.safetensors"; }

 private:
  TempFolder folder_;
};

/// The pictures of handles, which are freed.
inline std::vector<Image> taken(rae_image** images, std::size_t count) {
  std::vector<Image> out;
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t width = 0, height = 0, channels = 0;
    const std::uint8_t* samples = nullptr;
    std::size_t n = 0;
    if (rae_image_size(images[i], &width, &height, &channels) != RAE_OK ||
        rae_image_data(images[i], &samples, &n) != RAE_OK) {
      ADD_FAILURE() << rae_last_error();
      return out;
    }
    Image picture(width, height, static_cast<int>(channels));
    EXPECT_EQ(picture.pixels().size(), n);
    std::copy_n(samples, n, picture.pixels().begin());
    out.push_back(picture);
    EXPECT_EQ(rae_image_free(images[i]), RAE_OK);
  }
  return out;
}

/// A copy (B, C, h, w) of latents.
inline Tensor<float> copied(const rae_latents* latents) {
  std::int64_t shape[4] = {};
  const float* values = nullptr;
  std::size_t count = 0;
  EXPECT_EQ(rae_latents_shape(latents, shape), RAE_OK) << rae_last_error();
  EXPECT_EQ(rae_latents_data(latents, &values, &count), RAE_OK) << rae_last_error();
  return Tensor<float>(Shape{shape[0], shape[1], shape[2], shape[3]},
                       std::span<const float>(values, count));
}

/// True for equal shapes and values.
inline bool equal_values(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() && std::ranges::equal(a.span(), b.span());
}
inline bool has_values(const rae_latents* latents, const Tensor<float>& expected) {
  return equal_values(copied(latents), expected);
}

}  // namespace rae::test
