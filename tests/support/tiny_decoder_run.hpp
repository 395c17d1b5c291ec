// A training of a decoder with LPIPS and a discriminator, in less than a second.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rae/models/initialize.hpp"
#include "rae/train/decoder_trainer.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_loss_networks.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {

/// Trains a decoder of 16 x 16 pixels with LPIPS from step 1 on, training of the discriminator from
/// step 2 on, and the adversarial loss from step 4 on.
struct TinyRun {
  TempFolder networks;
  OwnedPointer<const ImageDataset> data = std::make_shared<ToyDataset>(12, 16, 3, 3);
  Encoder<Tensor<float>> encoder{EncoderConfig{.family = EncoderFamily::siglip2,
                                               .patch_size = 8,
                                               .hidden_size = 8,
                                               .num_layers = 1,
                                               .num_heads = 2,
                                               .intermediate_size = 16,
                                               .table_h = 2,
                                               .table_w = 2}};
  DecoderConfig config{.grid_h = 2,
                       .grid_w = 2,
                       .in_dim = 8,
                       .hidden_size = 8,
                       .num_layers = 1,
                       .num_heads = 2,
                       .intermediate_size = 16,
                       .patch_size = 8,
                       .channels = 3};
  DecoderLossOptions loss{.noise_tau = 0.5, .perceptual_weight = 0};
  TrainingOptions options{
      .steps = 7, .batch_size = 4, .accumulate = 2, .lr = 1e-2, .seed = 3, .log_every = 1};
  TrainingContext context;

  TinyRun() {
    write_tiny_lpips(networks / "lpips.safetensors");
    write_tiny_dino(networks / "dino.safetensors");
    initialize(encoder, 1);
    loss.lpips = {.weights = {networks / "lpips.safetensors"}, .weight = 0.7, .start = {.step = 1}};
    loss.gan = {.backbone = networks / "dino.safetensors",
                .num_heads = 2,
                .key_layers = {0},
                .kernel_size = 3};
    loss.gan->start = {.step = 1, .epoch = 1};  // an epoch has three steps, so this is step 4
    loss.gan->discriminator_start.step = 2;
    loss.gan->updates = 2;
  }

  std::vector<float> train() {
    Decoder<Tensor<float>> decoder =
        train_decoder(data, *encoder_network(encoder), {}, config, loss, options, context);
    std::vector<float> out;
    decoder.parameters([&](const std::string&, Parameter<Tensor<float>>& p) {
      out.insert(out.end(), p.tensor().span().begin(), p.tensor().span().end());
    });
    return out;
  }
};

}  // namespace rae::test
