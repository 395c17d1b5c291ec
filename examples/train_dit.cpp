// Stage 2 of the paper, a DiT^DH in the latent space of the built-in autoencoder:
//   example_train_dit DATA OUT.safetensors [--steps N]
// DATA is the folder of Fashion-MNIST or of pictures, one sub-folder per class.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <rae/models/dit_dh.hpp>
#include <rae/rae.hpp>
#include <rae/train/flow_trainer.hpp>

int main(int argc, char** argv) {
  if ((argc != 3 && argc != 5) || (argc == 5 && std::strcmp(argv[3], "--steps") != 0)) {
    std::fprintf(stderr, "usage: %s DATA OUT.safetensors [--steps N]\n", argv[0]);
    return 2;
  }
  try {
    const rae::index_t steps = argc == 5 ? std::stoll(argv[4]) : 2000;
    rae::Bundle bundle = rae::Bundle::load(rae::find_model());
    rae::ModelConfig& model = bundle.config;
    if (!model.decoder) throw rae::ConfigError("the built-in model has no decoder");
    const rae::Rae<float> autoencoder = bundle.autoencoder();

    const auto data = rae::open_dataset(
        argv[1], rae::Split::train,
        {.size = model.image_size, .channels = static_cast<int>(model.encoder.channels())});

    // The head must be at least as wide as a token: a narrower network cannot output noise of full
    // rank (Theorem 1).
    const rae::Shape latent = model.latent_shape();  // (C, h, w)
    const rae::DitDhConfig config{
        .grid_h = latent[1],
        .grid_w = latent[2],
        .in_channels = latent[0],
        .hidden_size = {96, 128},
        .depth = {4, 2},
        .num_heads = {4, 4},
        .num_classes = static_cast<rae::index_t>(data->class_names().size())};
    const rae::FlowOptions flow{
        .objective = {.path = rae::PathKind::linear, .prediction = rae::Prediction::velocity},
        .time = rae::TimeDistribution::logit_normal(0, 1),
        .time_shift = model.time_shift};
    const rae::TrainingOptions training{.steps = steps,
                                        .batch_size = 64,
                                        .lr = 8e-4,
                                        .final_lr = 1e-5,
                                        .warmup_steps = steps / 20,
                                        .ema_decay = 0.99,
                                        .log_every = 20};
    // With a .folder, training would write checkpoints there and resume from them.
    rae::TrainingContext context{.stage = "dit"};
    context.on_progress = [](const rae::TrainingProgress& p) {
      std::printf("step %d of %d, loss %.4f, %.0f s left\n", static_cast<int>(p.step),
                  static_cast<int>(p.steps), p.loss, p.eta_seconds);
      return true;
    };
    const auto dit = rae::train_flow(data, autoencoder, config, flow, training, context);

    model.dit = config;
    model.path = flow.objective.path;
    model.prediction = flow.objective.prediction;
    model.time_shift = flow.time_shift;
    model.class_names = data->class_names();
    bundle.store("dit.", *dit);
    bundle.save(argv[2]);
    std::printf("%s: a model for %d classes\n", argv[2], static_cast<int>(config.num_classes));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
