// Interpolates between two pictures in latent space: example_interpolate A.png B.png STRIP.png
#include <cstdio>
#include <exception>
#include <rae/rae.hpp>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s A.png B.png STRIP.png\n", argv[0]);
    return 2;
  }
  try {
    constexpr rae::index_t kPictures = 9;
    const auto autoencoder = rae::Autoencoder::builtin();
    const rae::Tensor<float> a = autoencoder.encode(rae::Image::open(argv[1]));  // (1, C, h, w)
    const rae::Tensor<float> b = autoencoder.encode(rae::Image::open(argv[2]));  // (1, C, h, w)

    // Linear interpolation from a to b; all latents are decoded as one batch.
    rae::Tensor<float> strip(a.shape().with(0, kPictures));  // (9, C, h, w)
    float* out = strip.data();  // called once: mutable access checks whether the memory is shared
    for (rae::index_t i = 0; i < kPictures; ++i) {
      const float t = static_cast<float>(i) / static_cast<float>(kPictures - 1);
      for (rae::index_t k = 0; k < a.numel(); ++k) *out++ = (1 - t) * a[k] + t * b[k];
    }

    rae::Image::grid(autoencoder.decode(strip), kPictures).save_png(argv[3]);
    std::printf("%s: %d pictures\n", argv[3], static_cast<int>(kPictures));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
