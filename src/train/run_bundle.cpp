#include "train/run_bundle.hpp"

#include <cstdio>
#include <filesystem>

#include "io/deflate.hpp"
#include "rae/io/file.hpp"

namespace rae::detail {
namespace {

std::string metadata_of(const ModelConfig& config,
                        const std::map<std::string, std::string>& notes) {
  std::string all = to_config(config).to_json();
  for (const auto& [key, value] : notes) all += concat("\n", key, "\n", value);
  return all;
}

}  // namespace

std::string prefix_of(TrainingStage stage) {
  return stage == TrainingStage::statistics ? "latent_norm." : concat(name_of(stage), ".");
}

RunBundle::RunBundle(const Recipe& recipe, std::vector<std::string> class_names, std::string path,
                     DType stored_as, const std::string& base)
    : recipe_(recipe), path_(std::move(path)), stored_as_(stored_as) {
  bundle_.config = recipe.model;
  bundle_.config.class_names = std::move(class_names);
  bundle_.config.decoder.reset();
  bundle_.config.dit.reset();
  bundle_.notes = recipe.notes;
  std::error_code none;
  const bool has_file = std::filesystem::exists(path_, none);
  if (has_file) keep_fitting(Bundle::load(path_));
  if (!base.empty()) take_base(base, has_file);
}

/// Takes the results of the stages before dit; those of an existing file must be the same.
void RunBundle::take_base(const std::string& base, bool has_file) {
  RunBundle other(recipe_, bundle_.config.class_names, base, stored_as_);
  other.remove(TrainingStage::dit);
  for (const TrainingStage stage :
       {TrainingStage::encoder, TrainingStage::decoder, TrainingStage::statistics}) {
    if (!other.checksum(stage).empty()) {
      // Rounded as the file will have it, so that the checksum is the same when it is read again.
      other.bundle_.round(prefix_of(stage), stored_as_);
      other.checksums_[stage] = other.compute_checksum(stage);
    }
    const std::string sum = other.checksum(stage);
    if (sum.empty() && stage != TrainingStage::decoder)
      raise<ConfigError>(base, ": has no ", name_of(stage), " of the recipe's model, so that a ",
                         "diffusion network cannot be trained with it");
    if (has_file && sum != checksum(stage))
      raise<ConfigError>(path_, ": was trained with another ", name_of(stage), " than that of ",
                         base, "; remove the folder to begin again, or restore the other model");
  }
  if (has_file) return;
  bundle_ = std::move(other.bundle_);
  checksums_ = std::move(other.checksums_);
}

void RunBundle::keep_fitting(const Bundle& file) {
  const ModelConfig &was = file.config, &now = recipe_.model;
  const auto take = [&](TrainingStage stage) {
    const std::string prefix = prefix_of(stage);
    for (auto at = file.tensors.lower_bound(prefix);
         at != file.tensors.end() && at->first.rfind(prefix, 0) == 0; ++at)
      bundle_.tensors.insert(*at);
    describe(stage);
    checksums_[stage] = file_checksums_[stage] = compute_checksum(stage);
  };
  const bool same_pixels = was.pixels.mean == now.pixels.mean && was.pixels.std == now.pixels.std &&
                           was.encoder_size == now.encoder_size &&
                           was.encoder_width == now.encoder_width;
  if (!(was.encoder == now.encoder) || !file.has(NetworkRole::encoder) || !same_pixels) return;
  take(TrainingStage::encoder);
  if (was.decoder && now.decoder && file.has(NetworkRole::decoder) &&
      to_config(*was.decoder) == to_config(*now.decoder))
    take(TrainingStage::decoder);
  const bool same_latents = was.latent_shape() == now.latent_shape();
  if (same_latents && file.has(prefix_of(TrainingStage::statistics)))
    take(TrainingStage::statistics);
  if (same_latents && was.dit && now.dit && *was.dit == *now.dit && file.has(NetworkRole::dit) &&
      was.path == now.path && was.path_formulas == now.path_formulas &&
      was.prediction == now.prediction && was.time_shift == now.time_shift &&
      was.class_names == bundle_.config.class_names)
    take(TrainingStage::dit);
  // Otherwise the file differs from the bundle whatever its metadata are.
  if (bundle_.tensors.size() == file.tensors.size())
    file_metadata_ = metadata_of(file.config, file.notes);
}

/// Adds the configuration of a stage's network.
void RunBundle::describe(TrainingStage stage) {
  if (stage == TrainingStage::decoder) bundle_.config.decoder = recipe_.model.decoder;
  if (stage == TrainingStage::dit) bundle_.config.dit = recipe_.model.dit;
}

void RunBundle::remove(TrainingStage stage) {
  bundle_.remove(prefix_of(stage));
  checksums_.erase(stage);
  if (stage == TrainingStage::decoder) bundle_.config.decoder.reset();
  if (stage == TrainingStage::dit) bundle_.config.dit.reset();
}

void RunBundle::remove_dependents(TrainingStage stage) {
  if (stage == TrainingStage::encoder) {
    remove(TrainingStage::decoder);
    remove(TrainingStage::statistics);
  }
  if (stage == TrainingStage::encoder || stage == TrainingStage::statistics)
    remove(TrainingStage::dit);
}

std::string RunBundle::checksum(TrainingStage stage) const {
  const auto found = checksums_.find(stage);
  return found == checksums_.end() ? "" : found->second;
}

std::string RunBundle::compute_checksum(TrainingStage stage) const {
  const std::string prefix = prefix_of(stage);
  // An encoder may have no weights.
  std::string all = stage == TrainingStage::encoder ? bundle_.config.encoder.to_config().to_json()
                                                    : std::string();
  for (auto at = bundle_.tensors.lower_bound(prefix);
       at != bundle_.tensors.end() && at->first.rfind(prefix, 0) == 0; ++at)
    all += concat("\n", at->first, " ", at->second.shape(), " ",
                  crc32_of(std::as_bytes(at->second.span())));
  char text[9];
  std::snprintf(text, sizeof text, "%08x", crc32_of(as_byte_span(all)));
  return text;
}

void RunBundle::finish(TrainingStage stage) {
  bundle_.round(prefix_of(stage), stored_as_);
  const std::string sum = compute_checksum(stage);
  if (sum != checksum(stage)) remove_dependents(stage);
  checksums_[stage] = sum;
}

void RunBundle::finish(const LatentNorm<float>& statistics) {
  bundle_.store_latent_norm(statistics);
  finish(TrainingStage::statistics);
}

void RunBundle::write() {
  bundle_.save(path_, stored_as_);
  file_metadata_ = metadata_of(bundle_.config, bundle_.notes);
  file_checksums_ = checksums_;
}

bool RunBundle::save() {
  if (file_metadata_ == metadata_of(bundle_.config, bundle_.notes) && file_checksums_ == checksums_)
    return false;
  write();
  return true;
}

}  // namespace rae::detail
