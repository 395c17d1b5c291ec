// Your own encoder under our decoder: example_custom_encoder DATA [--steps N]
// An encoder is anything that turns pictures (B, C, H, W) into tokens (B, N, D). This one is no
// network at all: the lowest frequencies of the cosine transform of each patch, as in JPEG.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <numbers>
#include <rae/metrics/psnr.hpp>
#include <rae/models/initialize.hpp>
#include <rae/ops/loss.hpp>
#include <rae/train/decoder_trainer.hpp>

namespace {

constexpr rae::index_t kSide = 28, kPatch = 7, kKept = 4;  // the 4 x 4 lowest of 7 x 7 frequencies

struct CosineEncoder {
  rae::Tensor<float> basis{{kKept * kKept, kPatch* kPatch}};  // (D, P*P)

  CosineEncoder() {
    float* out = basis.data();
    const auto wave = [](rae::index_t k, rae::index_t x) {
      return std::cos(std::numbers::pi * static_cast<double>((2 * x + 1) * k) / (2 * kPatch)) *
             std::sqrt((k == 0 ? 1.0 : 2.0) / kPatch);
    };
    for (rae::index_t d = 0; d < kKept * kKept; ++d)
      for (rae::index_t p = 0; p < kPatch * kPatch; ++p)
        *out++ = static_cast<float>(wave(d / kKept, p / kPatch) * wave(d % kKept, p % kPatch));
  }

  rae::Tensor<float> operator()(const rae::Tensor<float>& images) const {  // (B, 1, H, W) in [0, 1]
    return rae::linear(rae::patchify(images, kPatch), basis,
                       rae::Tensor<float>());  // (B, N, P*P) -> (B, N, D)
  }
};

}  // namespace

int main(int argc, char** argv) {
  if ((argc != 2 && argc != 4) || (argc == 4 && std::strcmp(argv[2], "--steps") != 0)) {
    std::fprintf(stderr, "usage: %s DATA [--steps N]\n", argv[0]);
    return 2;
  }
  try {
    const CosineEncoder encoder;
    const rae::index_t steps = argc == 4 ? std::stoll(argv[3]) : 500;
    const rae::TrainingOptions training{
        .steps = steps, .batch_size = 64, .lr = 1e-3, .warmup_steps = steps / 20};
    rae::Batches batches(
        rae::open_dataset(argv[1], rae::Split::train, {.size = kSide, .channels = 1}),
        training.batch_size, training.seed);

    // The same text as for inference, on variables that record what happens to them.
    rae::Decoder<rae::Var<float>> decoder(
        {kSide / kPatch, kSide / kPatch, kKept * kKept, 64, 2, 4, 256, kPatch, 1, 1e-6});
    rae::initialize(decoder, training.seed);
    rae::AdamW<float> optimizer(decoder);

    rae::TrainingContext context{.stage = "decoder"};
    context.on_progress = [](const rae::TrainingProgress& p) {
      std::printf("step %d of %d, loss %.4f\n", static_cast<int>(p.step), static_cast<int>(p.steps),
                  p.loss);
      return true;
    };
    // The loss of step i depends on i and the weights only, so with a context.folder a stopped run
    // goes on as if it had not stopped.
    rae::run_training(optimizer, training, context, [&](rae::index_t step, rae::index_t) {
      const rae::Tensor<float> images = batches(step).images;  // (B, 1, H, W)
      return rae::l1_loss(decoder(rae::Var<float>(encoder(images))), images);
    });

    const rae::Tensor<float> images = batches(0).images;  // (B, 1, H, W)
    const rae::Tensor<float> decoded =
        decoder(rae::Var<float>(encoder(images))).value();  // (B, 1, H, W)
    std::printf("PSNR of %d pictures: %.2f dB\n", static_cast<int>(images.extent(0)),
                rae::psnr(decoded.view(), images.view()));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
