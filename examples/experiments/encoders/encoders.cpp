// Experiment `encoders`: the quality of a representation against the quality of the pictures that a
// diffusion network learns to draw in it.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), sections 3 and 4.
#include <algorithm>
#include <filesystem>

#include "encoders/plan.hpp"
#include "frame/frozen_encoder.hpp"
#include "frame/judge.hpp"
#include "frame/pictures.hpp"
#include "rae/diffusion/time_grid.hpp"

namespace {

using namespace rae;
using namespace rae::experiments;

constexpr Pretraining kPretrainings[] = {Pretraining::labels, Pretraining::masks,
                                         Pretraining::self_distillation, Pretraining::none};

EncodersPlan plan_of(const Options& options) {
  EncodersPlan plan;
  if (options.quick) {
    plan.networks = {.width = 32, .layers = 1, .batch = 16};
    plan.encoder_steps = plan.decoder_steps = plan.dit_steps = 20;
    plan.dit = {.backbone = 32, .depth = 1, .head = 32};
    plan.dit_batch = 16;
    plan.samples = plan.token_pictures = 32;
    plan.grid = 4;
    plan.probe_train = plan.probe_test = 48;
    plan.seeds = 1;
  }
  return plan;
}

ConfigNode settings_of(const EncodersPlan& plan, const Judge& judge, const ImageDataset& data) {
  return ConfigNode::map({{"networks", to_config(plan.networks)},
                          {"encoder_steps", plan.encoder_steps},
                          {"decoder_steps", plan.decoder_steps},
                          {"dit", to_config(plan.dit)},
                          {"dit_steps", plan.dit_steps},
                          {"dit_batch", plan.dit_batch},
                          {"samples", plan.samples},
                          {"grid", plan.grid},
                          {"probe_train", plan.probe_train},
                          {"probe_test", plan.probe_test},
                          {"token_pictures", plan.token_pictures},
                          {"classifier", static_cast<index_t>(judge.checksum())},
                          {"pictures", data.manifest().checksum()}});
}

/// Measures an encoder, then trains a decoder and a DiT^DH on it.
ConfigNode measure(const EncodersPlan& plan, const Judge& judge, const Rae<float>& encoder,
                   const OwnedPointer<const ImageDataset>& train,
                   const OwnedPointer<const ImageDataset>& test, std::uint64_t seed) {
  const TokenQuality quality = token_quality(encoder, plan, train, test);
  const Representation space = represent(*train, encode_of(encoder));
  const Rae<float> autoencoder =
      train_autoencoder(encoder, train, plan.networks, plan.decoder_steps, seed, {.noise_tau = 0.4},
                        space.norm, {.stage = "decoder"});
  const PictureScore rec = judge.score_set(
      *evenly_spaced(test, plan.probe_test),
      [&](const Tensor<float>& images) { return autoencoder.decode(autoencoder.encode(images)); });
  const Shape latent = space.shape();  // (C, h, w)
  const double shift = automatic_time_shift(latent);
  const auto network = train_flow(
      random_batches(space, plan.dit_batch, seed),
      dit_dh(wide_enough(plan.dit, latent), latent, judge.classes()), {.time_shift = shift},
      dit_training(plan.dit_steps, plan.dit_batch, seed), {.stage = "dit"});
  const std::vector<float> grid = full_time_grid(plan.grid, shift);
  const PictureScore drawn = judge.score_samples(
      plan.samples, [&](const std::vector<std::int64_t>& labels, index_t first) {
        return autoencoder.decode(draw_latents(*network, latent, grid, labels, first, seed));
      });
  return ConfigNode::map({{"width", latent[0]},
                          {"knn", quality.knn},
                          {"linear", quality.linear},
                          {"effective_rank", quality.effective_rank},
                          {"anisotropy", quality.anisotropy},
                          {"rec_distance", rec.distance},
                          {"distance", drawn.distance},
                          {"consistency", drawn.consistency}});
}

/// "dinov2-small" for "models/dinov2-small/" and "flowers" for "models/flowers.safetensors".
std::string model_name(std::filesystem::path path) {
  if (!path.has_filename()) path = path.parent_path();
  return path.extension() == ".safetensors" ? path.stem().string() : path.filename().string();
}

void run(const Options& options) {
  const EncodersPlan plan = plan_of(options);
  const auto train = open_pictures(options, Split::train, plan.networks.size),
             test = open_pictures(options, Split::test, plan.networks.size);
  const Judge judge = Judge::open(options, train, *test);
  std::vector<std::string> names;
  std::vector<Point> points;
  const auto add = [&](const std::string& name, index_t seed, double cost, auto make) {
    if (seed == 0 && std::find(names.begin(), names.end(), name) != names.end())
      raise<ArgumentError>("--model: two encoders are called '", name, "'; rename a file");
    if (seed == 0) names.push_back(name);
    points.push_back(
        {ConfigNode::map({{"encoder", name}, {"seed", seed}}), cost, [=, &plan, &judge] {
           return measure(plan, judge, make(), train, test, static_cast<std::uint64_t>(seed));
         }});
  };
  for (index_t seed = 0; seed < plan.seeds; ++seed) {
    for (const Pretraining how : kPretrainings)
      add(name_of(how), seed, how == Pretraining::none ? 1.0 : 1.5, [=, &plan] {
        return pretrained_encoder(how, train, plan.networks, plan.encoder_steps,
                                  static_cast<std::uint64_t>(seed), {.stage = "encoder"});
      });
    for (const std::string& path : options.models)
      add(model_name(path), seed, 3.0, [=, &plan] { return encoder_of(path, plan.networks.size); });
  }
  write_finding(
      options, encoders_finding(plan, names,
                                measure_points(options, settings_of(plan, judge, *train), points)));
}

}  // namespace

int main(int argc, char** argv) { return run_experiment(argc, argv, "encoders", run); }
