// The official YAML configurations as plain data: every key that the official programs read, with
// their defaults. Source: configs/ of the official repository (bytetriper/RAE), RAE.__init__,
// DiTwDDTHead, LightningDiT, create_transport, Sampler, optim_utils, train_stage1; for RAEv2
// src/configs of nanovisionx/RAEv2.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rae/io/config.hpp"
#include "rae/models/encoder.hpp"
#include "rae/spec/backbone.hpp"
#include "rae/spec/sampling_defaults.hpp"

namespace rae {

/// The encoder of RAEv2, by its name `type-architecture-size[flag,flag]`, for example
/// "dinov3mls-vit-l16[layers=11.13.15]".
struct OfficialEncoderName {
  std::string text;                              ///< as written
  EncoderFamily family = EncoderFamily::dinov3;  ///< of `type`
  std::string size;                              ///< "l16", "b", "so400m"
  std::vector<index_t> layers{};  ///< blocks whose tokens are averaged, from 0; empty: the last
  bool add_last_mean = false;     ///< see EncoderConfig
  bool final_affine = false;      ///< flag `norm`; always for SigLIP 2
};

/// Section `stage_1`: the autoencoder, class stage1.RAE. Paths are as written; see `open_official`.
struct OfficialStage1 {
  EncoderFamily family = EncoderFamily::dinov2;  ///< of `encoder_cls`
  std::string encoder_config_path;  ///< folder or id whose preprocessor_config.json has the pixels'
                                    ///< mean and standard deviation
  std::string encoder_path;  ///< folder or id of the encoder: `dinov2_path` or `model_name` of
                             ///< `encoder_params`
  index_t encoder_input_size = 224;     ///< side to which pictures are resized before the encoder
  std::string decoder_config_path;      ///< folder of the decoder's config.json, or that file
  index_t decoder_patch_size = 16;      ///< side of a patch of pixels
  std::string pretrained_decoder_path;  ///< the decoder's weights; empty in a configuration that
                                        ///< trains them
  std::string ckpt;  ///< checkpoint of the whole autoencoder, whose decoder is used; usually empty
  std::string normalization_stat_path;  ///< statistics of the latents; empty: none
  double noise_tau = 0.8;  ///< scale of the noise on latents in the training of the decoder, >= 0
  double eps = 1e-5;       ///< added to the variance of the latents
  std::optional<OfficialEncoderName>
      encoder_name{};        ///< RAEv2 only, in place of `family` and both encoder paths
  index_t resolution = 256;  ///< RAEv2 only: side of the pictures before they are encoded
};

/// Section `stage_2`, and `guidance.guidance_model`: the diffusion network.
struct OfficialStage2 {
  Backbone backbone;  ///< target stage2.models.DDT.DiTwDDTHead (DiT^DH) or
                      ///< stage2.models.lightningDiT.LightningDiT; RAEv2: or these with IG
  std::string ckpt;   ///< weights; empty in a configuration that trains them
  std::string where;  ///< place in the file, for messages
};

/// Section `transport`: path, prediction and distribution of training times.
struct OfficialTransport {
  PathKind path = PathKind::linear;              ///< `path_type`
  Prediction prediction = Prediction::velocity;  ///< velocity, noise or score; RAEv2: or data
  std::string loss_weight = "none";              ///< none, velocity or likelihood
  std::string time_dist_type = "uniform";        ///< as `TimeDistribution::parse` reads it
  std::optional<double> train_eps{};    ///< distance from the ends of the path in training; absent:
                                        ///< the official default
  double t_eps = kDataPredictionFloor;  ///< RAEv2 only: smallest divisor of data prediction
};

/// AdamW as `build_optimizer` makes it.
struct OfficialOptimizer {
  double lr = 2e-4;                        ///< before the schedule, which replaces it
  std::array<double, 2> betas{0.9, 0.95};  ///< of the moments
  double weight_decay = 0.0, eps = 1e-8;   ///< of AdamW
};

/// Learning rates as `build_scheduler` makes them. Durations are in epochs unless they are given in
/// steps.
struct OfficialSchedule {
  bool cosine = false;                                ///< `type`: cosine or linear
  double base_lr = 2e-4, final_lr = 2e-4;             ///< at the beginning, and after the decay
  double warmup_epochs = 0.0, decay_end_epoch = 0.0;  ///< epochs from the beginning
  std::optional<index_t> warmup_steps{},
      decay_end_steps{};          ///< the same in steps, which take precedence
  bool warmup_from_zero = false;  ///< ramp up; otherwise the warm-up is constant
};

/// Section `training`, of either stage.
struct OfficialTraining {
  index_t epochs = 1400;                       ///< passes over the data
  std::optional<index_t> global_batch_size{};  ///< pictures in a step
  index_t batch_size =
      16;  ///< pictures in a step of one device, where `global_batch_size` is absent
  index_t grad_accum_steps = 1;       ///< above 1, only the last part counts in the official code
  double ema_decay = 0.9995;          ///< of the averaged weights, in [0, 1)
  double clip_grad = 1.0;             ///< largest norm of the gradient; 0: none
  std::uint64_t global_seed = 0;      ///< seed of all random numbers
  index_t num_workers = 4;            ///< number of processes that read pictures
  index_t log_interval = 100;         ///< steps between lines of the log
  index_t checkpoint_interval = 4;    ///< epochs between checkpoints
  index_t sample_every = 2500;        ///< steps between samples
  std::optional<double> cfg_scale{};  ///< guidance of those samples instead of `guidance.scale`
  OfficialOptimizer optimizer{};      ///< of the model
  std::optional<OfficialSchedule> scheduler{};  ///< absent: constant
};

/// Section `gan`: discriminator and losses of the decoder's training.
struct OfficialGan {
  std::string dino_ckpt_path;                         ///< the frozen DINO ViT-S/8 or ViT-S/16
  index_t kernel_size = 3;                            ///< `ks` of the heads
  std::vector<index_t> key_depths{2, 5, 8, 11};       ///< blocks whose output a head sees
  std::string norm_type = "bn";                       ///< of the heads
  bool using_spec_norm = true;                        ///< spectral norm in the heads
  double norm_eps = 1e-6;                             ///< of the norms
  std::string recipe = "S_8";                         ///< S_8, S_16 or B_16
  OfficialOptimizer optimizer{};                      ///< of the discriminator
  std::optional<OfficialSchedule> scheduler{};        ///< of the discriminator; absent: constant
  double augment_prob = 1.0, augment_cutout = 0.0;    ///< DiffAug
  std::string disc_loss = "hinge";                    ///< hinge or vanilla
  std::string gen_loss = "vanilla";                   ///< vanilla
  double disc_weight = 0.0, perceptual_weight = 0.0;  ///< of the decoder's GAN loss and of LPIPS
  index_t disc_start = 0;      ///< epoch from which the decoder sees the discriminator
  index_t disc_upd_start = 0;  ///< epoch from which the discriminator learns
  index_t lpips_start = 0;     ///< epoch from which LPIPS counts
  double max_d_weight = 1e4;   ///< upper limit of the adaptive weight
  index_t disc_updates = 1;    ///< steps of the discriminator per step of the decoder
};

/// Section `eval`: measurements during training.
struct OfficialEval {
  index_t eval_interval = 5000;  ///< steps
  bool eval_model = false;       ///< also evaluate the weights that are not averaged
  std::string data_path,
      reference_npz_path;  ///< folder of pictures, and the reference of the Fréchet distance
  std::vector<std::string> metrics{"rfid", "psnr", "ssim"};  ///< of stage 1
};

/// A whole file.
struct OfficialConfig {
  std::string origin;                     ///< the file, for messages
  bool version_2 = false;                 ///< a configuration of RAEv2
  std::optional<OfficialStage1> stage_1;  ///< the autoencoder
  std::optional<OfficialStage2> stage_2;  ///< the diffusion network
  OfficialTransport transport;            ///< path and prediction
  SamplingDefaults
      sampling;  ///< sections `sampler` and `guidance`, and `sample_eps` of `transport`
  std::optional<OfficialStage2>
      guide;                    ///< `guidance.guidance_model`, whether the guidance uses it or not
  float guidance_scale = 1.0f;  ///< `guidance.scale` as written
  index_t num_classes = 1000;   ///< `misc.num_classes`
  Shape latent_size{768, 16, 16};            ///< `misc.latent_size`, (C, h, w)
  double time_dist_shift_dim = 196608;       ///< `misc`
  double time_dist_shift_base = 4096;        ///< `misc`
  std::optional<OfficialTraining> training;  ///< how the model is trained
  std::optional<OfficialGan> gan;            ///< how the discriminator is trained
  std::optional<OfficialEval> eval;          ///< measurements during training
  std::vector<std::string>
      notes;  ///< remarks for the user: mistakes in the file, and their effect here

  /// `dimension_shift` of time_dist_shift_dim and time_dist_shift_base; at least 1.
  [[nodiscard]] double time_shift() const;
};

/// Reads an official configuration. Throws ConfigError with the place in the file for an unknown
/// key (with the nearest known one), a value of another type or range, values that do not fit each
/// other, and options that the official code cannot run and that have no meaning here.
[[nodiscard]] OfficialConfig parse_official_config(const ConfigNode& node);

/// The same from a file. Throws FileError as well.
[[nodiscard]] OfficialConfig load_official_config(const std::string& path);

}  // namespace rae
