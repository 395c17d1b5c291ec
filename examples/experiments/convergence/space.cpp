#include "convergence/space.hpp"

#include "frame/frozen_encoder.hpp"
#include "frame/kept_training.hpp"
#include "rae/train/vae_trainer.hpp"

namespace rae::experiments {
namespace {

using Data = OwnedPointer<const ImageDataset>;

/// Patches of pixels as tokens.
Space pixel_space(const ImageDataset& data, const NetworkPlan& plan) {
  const index_t size = plan.size, patch = plan.patch, grid = size / patch;
  Space out;
  out.representation = represent(data, [=](const Tensor<float>& images) {
    return tokens_to_grid(patchify(images, patch), grid, grid);  // (B, 3*P*P, h, w)
  });
  out.decode = [=, norm = out.representation.norm](const Tensor<float>& z) {
    Tensor<float> images(Shape{z.extent(0), 3, size, size});           // (B, 3, H, W)
    const Tensor<float> tokens = grid_to_tokens(norm.denormalize(z));  // (B, N, 3*P*P)
    unpatchify<float>(tokens, patch, PatchOrder::channels_first, images);
    return images;
  };
  return out;
}

Rae<float> trained_vae(const Data& data, const SpacePlan& plan, std::uint64_t seed) {
  const index_t grid = plan.networks.size / plan.networks.patch;
  return vae_autoencoder<float>(
      train_vae(data, {encoder_config(plan.networks), plan.vae_dim},
                decoder_config(plan.networks, {plan.vae_dim, grid, grid}), kPixels,
                {.kl_weight = plan.kl_weight},
                network_training(plan.networks, plan.encoder_steps + plan.decoder_steps, seed),
                {.stage = "vae"}),
      kPixels);
}

/// A frozen encoder with a decoder that was trained on its tokens.
Rae<float> frozen_autoencoder(Pretraining how, const Data& data, const SpacePlan& plan,
                              std::uint64_t seed) {
  return train_autoencoder(
      pretrained_encoder(how, data, plan.networks, plan.encoder_steps, seed, {.stage = "encoder"}),
      data, plan.networks, plan.decoder_steps, seed, {.noise_tau = 0.4, .perceptual_weight = 0}, {},
      {.stage = "decoder"});
}

Rae<float> autoencoder_of(const std::string& name, const Data& data, const SpacePlan& plan,
                          std::uint64_t seed) {
  if (name == "vae") return trained_vae(data, plan, seed);
  if (name == "random encoder") return frozen_autoencoder(Pretraining::none, data, plan, seed);
  if (name != "encoder") raise<ArgumentError>("no kind of latents is called '", name, "'");
  return frozen_autoencoder(Pretraining::labels_and_masks, data, plan, seed);
}

}  // namespace

std::vector<std::string> space_names() { return {"encoder", "vae", "random encoder", "pixels"}; }

Space make_space(const std::string& name, const Data& data, const SpacePlan& plan,
                 std::uint64_t seed) {
  if (name == "pixels") return pixel_space(*data, plan.networks);
  Space out;
  const double begin = cpu_seconds();
  const Rae<float> autoencoder = autoencoder_of(name, data, plan, seed);
  out.cpu_seconds = cpu_seconds() - begin;
  out.representation = represent(*data, encode_of(autoencoder));
  out.decode = [autoencoder, norm = out.representation.norm](const Tensor<float>& z) {
    return autoencoder.decode(norm.denormalize(z));
  };
  return out;
}

}  // namespace rae::experiments
