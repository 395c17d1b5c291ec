#include "rae/generate/token_mask.hpp"

#include <algorithm>

namespace rae {

Tensor<float> token_mask(const Image& mask, const ModelConfig& model) {
  if (mask.empty()) raise<ArgumentError>("token_mask: the mask has no pixels");
  const Shape picture = model.image_shape(), latent = model.latent_shape();
  const index_t height = picture[1], width = picture[2], h = latent[1], w = latent[2];
  const Image gray = mask.to_gray().center_crop(width, height);
  Tensor<float> out(Shape{1, 1, h, w}, 0.0f);  // (1, 1, h, w)
  float* tokens = out.data();
  for (index_t y = 0; y < height; ++y)
    for (index_t x = 0; x < width; ++x)
      if (gray.pixels()[static_cast<std::size_t>(y * width + x)] >= 128)
        tokens[(y * h / height) * w + x * w / width] = 1.0f;
  return out;
}

}  // namespace rae
