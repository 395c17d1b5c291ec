// Experiment `tau`: decoders that are trained on noised latents reconstruct worse and make better
// pictures of the latents that a diffusion network draws.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 4,
// "noise-augmented decoding".
#include <algorithm>

#include "frame/frozen_encoder.hpp"
#include "frame/judge.hpp"
#include "frame/kept_training.hpp"
#include "frame/pictures.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "rae/metrics/psnr.hpp"
#include "tau/plan.hpp"

namespace {

using namespace rae;
using namespace rae::experiments;

TauPlan plan_of(const Options& options) {
  TauPlan plan;
  if (options.quick) {
    plan.taus = {0, 0.8};
    plan.seeds = 1;
    plan.networks = {.width = 32, .layers = 1, .batch = 16};
    plan.encoder_steps = plan.decoder_steps = plan.dit_steps = 20;
    plan.dit = {.backbone = 32, .depth = 1, .head = 32};
    plan.dit_batch = 16;
    plan.samples = plan.reconstructions = 32;
    plan.grid = 4;
  }
  return plan;
}

ConfigNode settings_of(const Options& options, const TauPlan& plan, const Judge& judge,
                       const ImageDataset& data) {
  return ConfigNode::map({{"networks", to_config(plan.networks)},
                          {"encoder", options.models.empty() ? "" : options.models[0]},
                          {"encoder_steps", plan.encoder_steps},
                          {"decoder_steps", plan.decoder_steps},
                          {"perceptual_weight", plan.perceptual_weight},
                          {"dit", to_config(plan.dit)},
                          {"dit_steps", plan.dit_steps},
                          {"dit_batch", plan.dit_batch},
                          {"samples", plan.samples},
                          {"grid", plan.grid},
                          {"reconstructions", plan.reconstructions},
                          {"classifier", static_cast<index_t>(judge.checksum())},
                          {"pictures", data.manifest().checksum()}});
}

/// The parts that all decoders share.
struct Shared {
  const Options& options;
  const TauPlan& plan;
  const Judge& judge;
  OwnedPointer<const ImageDataset> train, test;
  ConfigNode settings;
  Rae<float> encoder;
  LatentNorm<float> norm;  // (C, h, w)
  Tensor<float> drawn;     // (N, C, h, w), latents of balanced classes
};

/// Trains the DiT^DH, or continues it, and draws latents with it.
void draw(Shared& shared) {
  const TauPlan& plan = shared.plan;
  const Representation space = represent(*shared.train, encode_of(shared.encoder));
  const Shape latent = space.shape();  // (C, h, w)
  const double shift = automatic_time_shift(latent);
  const DitPlan sizes = wide_enough(plan.dit, latent);
  const auto network = train_flow(
      random_batches(space, plan.dit_batch, 0), dit_dh(sizes, latent, shared.judge.classes()),
      {.time_shift = shift}, dit_training(plan.dit_steps, plan.dit_batch, 0),
      kept_training(shared.options, "dit", shared.settings));
  constexpr index_t kAtOnce = 64;
  const std::vector<float> grid = full_time_grid(plan.grid, shift);
  shared.norm = space.norm;
  shared.drawn = Tensor<float>(space.latents.shape().with(0, plan.samples));
  for (index_t first = 0; first < plan.samples; first += kAtOnce) {
    std::vector<std::int64_t> labels;
    for (index_t i = first; i < std::min(plan.samples, first + kAtOnce); ++i)
      labels.push_back(i % shared.judge.classes());
    const Tensor<float> z = draw_latents(*network, latent, grid, labels, first, 0);  // (B, C, h, w)
    copy_elements(z.data(), z.numel(), shared.drawn.data() + first * latent.numel());
  }
}

/// Trains a decoder, and judges its reconstructions and its pictures of the drawn latents.
ConfigNode measure(const Shared& shared, double tau, NoiseLaw law, std::uint64_t seed) {
  const TauPlan& plan = shared.plan;
  const Rae<float> autoencoder = train_autoencoder(
      shared.encoder, shared.train, plan.networks, plan.decoder_steps, seed,
      {.noise_tau = tau, .noise_law = law, .perceptual_weight = plan.perceptual_weight},
      shared.norm, {.stage = "decoder"});
  const auto test = evenly_spaced(shared.test, plan.reconstructions);
  double psnr_sum = 0;
  const PictureScore rec = shared.judge.score_set(*test, [&](const Tensor<float>& images) {
    Tensor<float> out = autoencoder.decode(autoencoder.encode(images));  // (B, 3, H, W)
    for (float& value : out.span()) value = std::clamp(value, 0.0f, 1.0f);
    for (const double value : psnr_per_image(std::as_const(out).view(), images.view()))
      psnr_sum += value;
    return out;
  });
  const PictureScore drawn = shared.judge.score_samples(
      plan.samples, [&](const std::vector<std::int64_t>& labels, index_t first) {
        const index_t size = shared.drawn.numel() / plan.samples;
        Tensor<float> z(
            shared.drawn.shape().with(0, static_cast<index_t>(labels.size())));  // (B, C, h, w)
        copy_elements(shared.drawn.data() + first * size, z.numel(), z.data());
        return autoencoder.decode(z);
      });
  return ConfigNode::map({{"rec_distance", rec.distance},
                          {"psnr", psnr_sum / static_cast<double>(test->size())},
                          {"distance", drawn.distance},
                          {"consistency", drawn.consistency}});
}

void run(const Options& options) {
  const TauPlan plan = plan_of(options);
  const auto train = open_pictures(options, Split::train, plan.networks.size),
             test = open_pictures(options, Split::test, plan.networks.size);
  const Judge judge = Judge::open(options, train, *test);
  const ConfigNode settings = settings_of(options, plan, judge, *train);
  Shared shared{options,
                plan,
                judge,
                train,
                test,
                settings,
                shared_encoder(options, train, plan.networks, plan.encoder_steps, settings),
                {},
                {}};
  std::vector<Point> points;
  for (index_t seed = 0; seed < plan.seeds; ++seed)
    for (const double tau : plan.taus)
      for (const std::string& law : tau > 0 ? kTauLaws : std::vector<std::string>{"none"})
        points.push_back({ConfigNode::map({{"law", law}, {"tau", tau}, {"seed", seed}}), 1.0,
                          [&shared, tau, law, seed] {
                            if (shared.drawn.empty()) draw(shared);
                            return measure(
                                shared, tau,
                                law == kTauLaws[1] ? NoiseLaw::half_normal : NoiseLaw::uniform,
                                static_cast<std::uint64_t>(seed));
                          }});
  const auto results = measure_points(options, settings, points);
  write_finding(options, tau_finding(plan, judge.score_training(plan.samples).distance, results));
}

}  // namespace

int main(int argc, char** argv) { return run_experiment(argc, argv, "tau", run); }
