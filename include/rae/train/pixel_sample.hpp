// Statistics of the pixels of a data set, from a sample of its pictures: mean and deviation of each
// channel, whether there is any colour, and how large the stored pictures are.
//
// Diffusion Transformers with Representation Autoencoders, section 3: the encoder sees pixels that
// are normalised per channel.
#pragma once

#include "rae/io/image_dataset.hpp"
#include "rae/models/pixel_norm.hpp"

namespace rae {

/// What a sample of the pictures shows.
struct PixelSample {
  index_t pictures = 0;  ///< number of pictures that were read
  bool gray = false;     ///< no pixel of them has a colour, up to the rounding of JPEG
  PixelNorm pixels{};    ///< of pixels in [0, 1], per channel; the deviation is at least 0.01
  index_t side = 0;      ///< median of the shorter sides of the stored pictures, in pixels
};

/// Reads at most `most` pictures, evenly spaced, and of at most 50 of them the stored size. The
/// same for any number of threads. `should_stop` may be empty. Throws ArgumentError for an empty
/// data set or `most` below 1, Cancelled, and as `ImageDataset::image`.
[[nodiscard]] PixelSample sample_pixels(const ImageDataset& data, index_t most = 2000,
                                        const Function<bool()>& should_stop = {});

}  // namespace rae
