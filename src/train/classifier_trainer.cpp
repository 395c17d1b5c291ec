#include "rae/train/classifier_trainer.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <system_error>

#include "rae/core/cancellation.hpp"
#include "rae/core/owner.hpp"
#include "rae/io/file.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/ops/loss.hpp"
#include "rae/spec/limits.hpp"
#include "rae/train/checkpoint.hpp"

namespace rae {

namespace {

namespace fs = std::filesystem;

constexpr const char* kClassifierFormat = "rae-classifier-1";

/// Tells data sets apart: FNV-1a over all labels and up to 256 pictures.
std::string fingerprint(const ImageDataset& data) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  auto mix = [&](std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8)
      hash = (hash ^ (value >> shift & 0xffu)) * 0x100000001b3u;
  };
  for (index_t i = 0; i < data.size(); ++i) mix(static_cast<std::uint64_t>(data.label(i)));
  std::vector<float> picture(static_cast<std::size_t>(data.image_size()));
  for (index_t i = 0; i < data.size(); i += std::max<index_t>(1, data.size() / 256)) {
    data.image(i, picture);
    for (const float v : picture) mix(static_cast<std::uint64_t>(v * 65535.0f));
  }
  return std::to_string(hash);
}

/// Everything that decides the weights.
ConfigNode settings_of(const ImageDataset& data, const ClassifierOptions& o) {
  const ClassifierConfig c = classifier_config(data, o);
  ConfigNode node;
  node.set("picture", ConfigNode::list({c.channels, c.height, c.width}));
  node.set("classes", c.classes);
  node.set("first_channels", c.first_channels);
  node.set("features", c.features);
  if (c.network == ClassifierNetwork::residual) node.set("network", "residual");
  node.set("shift", o.augmentation.shift);
  node.set("flip", o.augmentation.flip);
  if (o.augmentation.reflect) node.set("reflect", true);
  if (o.augmentation.cutout > 0) node.set("cutout", o.augmentation.cutout);
  if (o.label_smoothing > 0) node.set("label_smoothing", o.label_smoothing);
  const auto range = [](const AugmentRange& r) { return ConfigNode::list({r.lowest, r.highest}); };
  if (const auto& crop = o.augmentation.random_resized_crop)
    node.set("crop", ConfigNode::list({range(crop->scale), range(crop->ratio)}));
  if (const auto& jitter = o.augmentation.color_jitter)
    node.set("jitter", ConfigNode::list({range(jitter->brightness), range(jitter->contrast),
                                         range(jitter->saturation), range(jitter->hue)}));
  node.set("training", training_settings(o.training));
  node.set("pictures", data.size());
  node.set("data", fingerprint(data));
  return node;
}

Classifier<Tensor<float>> train(OwnedPointer<const ImageDataset> data,
                                const ClassifierOptions& options, TrainingContext context) {
  const ClassifierConfig config = classifier_config(*data, options);
  const TrainingOptions& training = options.training;
  Classifier<Var<float>> model(config);
  initialize(model, training.seed);
  multiply_as(model, training.dtype);
  AdamW<float> optimizer = make_optimizer(model, training, {});
  Batches batches(data, training.batch_size / training.accumulate, training.seed,
                  options.augmentation);
  context.stage = "classifier";
  run_training(optimizer, training, context, [&](index_t step, index_t part) {
    const Batch batch = batches(step * training.accumulate + part);
    return cross_entropy_loss(model(Var<float>(batch.images)), batch.labels,
                              options.label_smoothing);
  });
  Classifier<Tensor<float>> averaged(config);
  optimizer.copy_ema_to(averaged);
  return averaged;
}

/// Trains in a folder, from which a training that was stopped or killed continues. One of other
/// settings is removed. The folder stays until the caller has stored the result.
Classifier<Tensor<float>> train_in(const fs::path& folder, const ConfigNode& settings,
                                   OwnedPointer<const ImageDataset> data, ClassifierOptions options,
                                   const OnTrainingProgress& on_progress) {
  constexpr index_t kParts = 20;  // of the training that a kill may lose
  options.training.checkpoint_every =
      std::clamp<index_t>(options.training.steps / kParts, 1, options.training.checkpoint_every);
  const std::string checkpoint = (folder / "checkpoint.safetensors").string();
  if (fs::exists(checkpoint) &&
      read_checkpoint_info(checkpoint).settings.to_json() != settings.to_json())
    fs::remove_all(folder);
  fs::create_directories(folder);
  remove_orphaned_temporaries(folder.string());
  TrainingContext context;
  context.folder = folder.string();
  context.settings = settings;
  context.on_progress = on_progress;
  try {
    return train(std::move(data), options, std::move(context));
  } catch (const Cancelled&) {
    if (!fs::exists(checkpoint)) fs::remove_all(folder);  // before its first step
    throw;
  }
}

}  // namespace

ClassifierOptions color_classifier_options() {
  ClassifierOptions out;
  out.network = ClassifierNetwork::residual;
  out.first_channels = 40;
  out.features = 8 * out.first_channels;
  out.augmentation = {.shift = 4, .reflect = true, .flip = true, .cutout = 8};
  out.label_smoothing = 0.1;
  out.training.steps = 8000;
  out.training.lr = 3e-3;
  out.training.warmup_steps = 400;
  out.training.weight_decay = 0.05;
  out.training.ema_decay = 0.998;
  return out;
}

ClassifierOptions classifier_options_for(const ImageDataset& data) {
  const bool color = data.channels() > 1;
  // Of the options that are scaled.
  const double pictures = color ? 50000 : 60000, pixels = color ? 32 * 32 : 28 * 28;
  ClassifierOptions out = color ? color_classifier_options() : ClassifierOptions();
  const double share = std::min(1.0, static_cast<double>(data.size()) / pictures),
               size = std::max(1.0, static_cast<double>(data.height() * data.width()) / pixels);
  const auto scaled = [](index_t value, double factor, index_t least) {
    return std::max(least, static_cast<index_t>(static_cast<double>(value) * factor));
  };
  out.training.steps = scaled(out.training.steps, std::sqrt(share / size), 150);
  out.training.warmup_steps = std::min(out.training.warmup_steps, out.training.steps / 10);
  out.training.batch_size = scaled(out.training.batch_size, std::sqrt(1 / size), 32);
  // An average over more steps than there are would keep the first weights.
  out.training.ema_decay =
      std::min(out.training.ema_decay, 1 - 10 / static_cast<double>(out.training.steps));
  return out;
}

ClassifierConfig classifier_config(const ImageDataset& data, const ClassifierOptions& options) {
  return {.channels = data.channels(),
          .height = data.height(),
          .width = data.width(),
          .classes = static_cast<index_t>(data.class_names().size()),
          .first_channels = options.first_channels,
          .features = options.features,
          .network = options.network};
}

Classifier<Tensor<float>> train_classifier(OwnedPointer<const ImageDataset> data,
                                           const ClassifierOptions& options,
                                           const OnTrainingProgress& on_progress) {
  TrainingContext context;
  context.on_progress = on_progress;
  return train(std::move(data), options, std::move(context));
}

Classifier<Tensor<float>> cached_classifier(const std::string& path,
                                            OwnedPointer<const ImageDataset> data,
                                            const ClassifierOptions& options,
                                            const OnTrainingProgress& on_progress) {
  const ConfigNode settings = settings_of(*data, options);
  const std::map<std::string, std::string> metadata = {{"format", kClassifierFormat},
                                                       {"settings", settings.to_json()}};
  if (fs::exists(path)) {
    const SafetensorsFile file = SafetensorsFile::open(path);
    if (file.metadata() == metadata) {
      Classifier<Tensor<float>> model(classifier_config(*data, options));
      model.parameters(
          [&](const std::string& name, auto& p) { p.set(file.read<float>(name, p.shape())); });
      return model;
    }
  }
  const fs::path unfinished = fs::path(path).replace_extension(".training");
  Classifier<Tensor<float>> model = train_in(unfinished, settings, data, options, on_progress);
  std::vector<SafetensorsEntry> entries;
  model.parameters([&](const std::string& name, auto& p) {
    entries.push_back({name, p.tensor()});
  });
  const CancellationScope completed(nullptr);
  write_safetensors(path, entries, metadata);
  std::error_code none;
  fs::remove_all(unfinished, none);
  return model;
}

Classifier<Tensor<float>> load_classifier(const std::string& path) {
  constexpr index_t kMostChannels = 256, kMostFeatures = 1 << 14;
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto& metadata = file.metadata();
  const auto format = metadata.find("format"), settings = metadata.find("settings");
  if (format == metadata.end() || format->second != kClassifierFormat || settings == metadata.end())
    raise<FormatError>(path, ": is not a classifier that an evaluation has stored");
  const ConfigNode node = ConfigNode::parse_json(settings->second, path + ": settings");
  const ConfigNode& picture = node.at("picture");
  if (!picture.is_list() || picture.elements().size() != 3)
    picture.fail_expected("[channels, height, width]");
  const auto number = [&](const char* key, index_t most) {
    return node.at(key).as_integer(1, most);
  };
  ClassifierConfig config;
  config.channels = picture.elements()[0].as_integer(1, 3);
  config.height = picture.elements()[1].as_integer(4, kMaxModelImageSize);
  config.width = picture.elements()[2].as_integer(4, kMaxModelImageSize);
  config.classes = number("classes", kMaxClasses);
  config.first_channels = number("first_channels", kMostChannels);
  config.features = number("features", kMostFeatures);
  if (node.get_or("network", "plain") == "residual") config.network = ClassifierNetwork::residual;
  Classifier<Tensor<float>> model(config);
  model.parameters(
      [&](const std::string& name, auto& p) { p.set(file.read<float>(name, p.shape())); });
  return model;
}

}  // namespace rae
