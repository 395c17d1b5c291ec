// Stage 1 of the paper, a decoder for the frozen encoder of the built-in model:
//   example_train_decoder DATA OUT.safetensors [--steps N]
// DATA is the folder of Fashion-MNIST or of pictures, one sub-folder per class.
#include <cstdio>
#include <cstring>
#include <exception>
#include <rae/rae.hpp>
#include <rae/train/decoder_trainer.hpp>

int main(int argc, char** argv) {
  if ((argc != 3 && argc != 5) || (argc == 5 && std::strcmp(argv[3], "--steps") != 0)) {
    std::fprintf(stderr, "usage: %s DATA OUT.safetensors [--steps N]\n", argv[0]);
    return 2;
  }
  try {
    const rae::index_t steps = argc == 5 ? std::stoll(argv[4]) : 1000;
    rae::Bundle bundle = rae::Bundle::load(rae::find_model());
    const rae::Rae<float> autoencoder = bundle.autoencoder();
    const auto& [channels, patch, width] = autoencoder.encoder().shape();

    // Pictures with the size and channels of the encoder's input.
    const rae::index_t size = bundle.config.image_size;
    const auto data = rae::open_dataset(argv[1], rae::Split::train,
                                        {.size = size, .channels = static_cast<int>(channels)});

    // A smaller decoder than the built-in one. It is trained on tokens with noise, since generated
    // tokens are not exact either.
    const rae::DecoderConfig config{.grid_h = size / patch,
                                    .grid_w = size / patch,
                                    .in_dim = width,
                                    .hidden_size = 64,
                                    .num_layers = 2,
                                    .num_heads = 4,
                                    .intermediate_size = 256,
                                    .patch_size = patch,
                                    .channels = channels,
                                    .layer_norm_eps = 1e-6};
    const rae::DecoderLossOptions loss{
        .noise_tau = 0.3, .perceptual_weight = 0.1, .augmentation = {.shift = 1, .flip = true}};
    const rae::TrainingOptions training{.steps = steps,
                                        .batch_size = 64,
                                        .lr = 1e-3,
                                        .final_lr = 1e-5,
                                        .warmup_steps = steps / 20,
                                        .ema_decay = 0.99,
                                        .log_every = 20};
    rae::TrainingContext context{.stage = "decoder"};  // with a .folder, training would write
                                                       // checkpoints there and resume from them
    context.on_progress = [](const rae::TrainingProgress& p) {
      std::printf("step %d of %d, loss %.4f, %.0f pictures/s\n", static_cast<int>(p.step),
                  static_cast<int>(p.steps), p.loss, p.images_per_second);
      return true;
    };
    rae::Decoder<rae::Tensor<float>> decoder = rae::train_decoder(
        data, autoencoder.encoder(), bundle.config.pixels, config, loss, training, context);

    bundle.config.decoder = config;
    bundle.store("decoder.", decoder);
    bundle.save(argv[2]);
    std::printf(
        "%s: the built-in encoder with a decoder of %d parameters\n", argv[2],
        static_cast<int>(rae::parameter_count(rae::parameter_shapes<rae::Decoder>(config))));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
