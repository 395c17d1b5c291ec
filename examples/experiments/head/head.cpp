// Experiment `head`: a shallow, wide head against wider and deeper networks of equal cost.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 5.
#include "frame/frozen_encoder.hpp"
#include "frame/judge.hpp"
#include "frame/kept_training.hpp"
#include "frame/pictures.hpp"
#include "head/plan.hpp"
#include "rae/diffusion/time_grid.hpp"

namespace {

using namespace rae;
using namespace rae::experiments;

HeadPlan plan_of(const Options& options) {
  HeadPlan plan;
  if (options.quick) {
    plan.networks = {.width = 32, .layers = 1, .batch = 16};
    plan.encoder_steps = plan.decoder_steps = plan.steps = 20;
    plan.dit = {.backbone = 16, .depth = 2, .head = 32, .head_depth = 1, .head_width = 16};
    plan.widths = {1, 2};
    plan.depths = {1};
    plan.seeds = 1;
    plan.batch = 16;
    plan.samples = 32;
    plan.grid = 4;
  }
  return plan;
}

ConfigNode settings_of(const Options& options, const HeadPlan& plan, const Judge& judge,
                       const ImageDataset& data) {
  return ConfigNode::map({{"networks", to_config(plan.networks)},
                          {"encoder", options.models.empty() ? "" : options.models[0]},
                          {"encoder_steps", plan.encoder_steps},
                          {"decoder_steps", plan.decoder_steps},
                          {"steps", plan.steps},
                          {"batch", plan.batch},
                          {"samples", plan.samples},
                          {"grid", plan.grid},
                          {"classifier", static_cast<index_t>(judge.checksum())},
                          {"pictures", data.manifest().checksum()}});
}

/// Trains a network on the latents, and judges its samples.
ConfigNode measure(const HeadPlan& plan, const Judge& judge, const Representation& space,
                   const Rae<float>& autoencoder, const HeadNetwork& network, std::uint64_t seed) {
  const Shape latent = space.shape();  // (C, h, w)
  const double shift = automatic_time_shift(latent);
  const auto trained = train_flow(
      random_batches(space, plan.batch, seed), backbone_of(network.sizes, latent, judge.classes()),
      {.time_shift = shift}, dit_training(plan.steps, plan.batch, seed), {.stage = "head"});
  const std::vector<float> grid = full_time_grid(plan.grid, shift);
  const PictureScore score = judge.score_samples(
      plan.samples, [&](const std::vector<std::int64_t>& labels, index_t first) {
        return autoencoder.decode(draw_latents(*trained, latent, grid, labels, first, seed));
      });
  return ConfigNode::map({{"mmac", 1e-6 * static_cast<double>(network.macs)},
                          {"million_parameters", 1e-6 * static_cast<double>(network.weights)},
                          {"distance", score.distance},
                          {"consistency", score.consistency}});
}

void run(const Options& options) {
  const HeadPlan plan = plan_of(options);
  const auto train = open_pictures(options, Split::train, plan.networks.size),
             test = open_pictures(options, Split::test, plan.networks.size);
  const Judge judge = Judge::open(options, train, *test);
  const ConfigNode settings = settings_of(options, plan, judge, *train);
  const Rae<float> encoder =
      shared_encoder(options, train, plan.networks, plan.encoder_steps, settings);
  const Representation space = represent(*train, encode_of(encoder));
  const Rae<float> autoencoder =
      train_autoencoder(encoder, train, plan.networks, plan.decoder_steps, 0, {.noise_tau = 0.4},
                        space.norm, kept_training(options, "decoder", settings));
  std::vector<Point> points;
  const auto add = [&](const HeadNetwork& network, index_t seed) {
    const DitPlan& sizes = network.sizes;
    points.push_back({ConfigNode::map({{"role", network.role},
                                       {"backbone", sizes.backbone},
                                       {"depth", sizes.depth},
                                       {"head", sizes.head},
                                       {"head_depth", sizes.head_depth},
                                       {"seed", seed}}),
                      static_cast<double>(network.macs), [&, network, seed] {
                        return measure(plan, judge, space, autoencoder, network,
                                       static_cast<std::uint64_t>(seed));
                      }});
  };
  const Shape latent = space.shape();  // (C, h, w)
  for (index_t seed = 0; seed < plan.seeds; ++seed)
    for (const HeadNetwork& network : networks_of_equal_cost(plan, latent, judge.classes()))
      add(network, seed);
  for (const HeadNetwork& network : networks_of_all_heads(plan, latent, judge.classes()))
    add(network, 0);
  write_finding(options, head_finding(plan, latent[0], measure_points(options, settings, points)));
}

}  // namespace

int main(int argc, char** argv) { return run_experiment(argc, argv, "head", run); }
