// Encodes and decodes a picture: example_reconstruct IN.png OUT.png writes the input of the encoder
// beside its reconstruction.
#include <cstdio>
#include <exception>
#include <rae/metrics/psnr.hpp>
#include <rae/rae.hpp>

namespace {

// The pixels of a picture as a batch (1, H, W, channels), the input of the metrics.
rae::View<const std::uint8_t> bytes_of(const rae::Image& image) {
  return {image.pixels().data(), {1, image.height(), image.width(), image.channels()}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s IN.png OUT.png\n", argv[0]);
    return 2;
  }
  try {
    const auto autoencoder = rae::Autoencoder::builtin();
    const rae::Image input = autoencoder.prepare(
        rae::Image::open(argv[1]));  // the central square, with the model's size and channels

    const rae::Tensor<float> latent =
        autoencoder.encode(input);  // (1, C, h, w), about N(0, 1) in each element
    const rae::Image output = autoencoder.decode(latent).front();

    const std::vector<rae::Image> pair = {input, output};
    rae::Image::grid(pair, 2).save_png(argv[2]);
    std::printf("latent %s, PSNR %.2f dB\n", latent.shape().to_string().c_str(),
                rae::psnr(bytes_of(output), bytes_of(input)));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
