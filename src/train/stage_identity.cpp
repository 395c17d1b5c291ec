#include "train/stage_identity.hpp"

#include <algorithm>
#include <cstdio>
#include <initializer_list>

#include "io/deflate.hpp"
#include "rae/io/data_difference.hpp"
#include "rae/io/file.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/train/checkpoint.hpp"
#include "rae/version.hpp"

namespace rae::detail {
namespace {

/// Manifests of more classes would exceed the number of values that a configuration may have.
constexpr std::size_t kMostClasses = 10000;

bool is_one_of(std::string_view key, std::initializer_list<std::string_view> keys) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

/// True for a member of `model` on which the result of a stage depends.
bool counts(TrainingStage stage, std::string_view key) {
  switch (stage) {
    case TrainingStage::encoder:
      return is_one_of(key, {"encoder", "pixels", "image_size", "image_width"});
    case TrainingStage::decoder:
      return is_one_of(key, {"decoder", "decoder_output", "encoder_size", "encoder_width", "pixels",
                             "image_size", "image_width"});
    case TrainingStage::statistics:
      return is_one_of(key,
                       {"encoder_size", "encoder_width", "pixels", "image_size", "image_width"});
    case TrainingStage::dit:  // its network has the key of its kind
      return !is_one_of(key, {"name", "encoder", "decoder", "sampling", "class_names"});
  }
  return true;
}

/// The members of `model` on which the stage depends.
ConfigNode part_of_model(TrainingStage stage, const ConfigNode& model) {
  ConfigNode out = ConfigNode::map();
  for (const auto& [key, value] : model.members())
    if (counts(stage, key)) out.set(key, value);
  return out;
}

/// A list of averages in ascending order: its first one is the result, which can be chosen after
/// the training.
ConfigNode sorted(const ConfigNode& decays) {
  if (!decays.is_list()) return decays;
  auto values = decays.as<std::vector<double>>();
  std::sort(values.begin(), values.end());
  return ConfigNode::list({values.begin(), values.end()});
}

/// A section of a recipe without choices that change no number, and without the path of a
/// pretrained encoder, whose weights count.
ConfigNode part_of_section(const ConfigNode& section) {
  ConfigNode out = ConfigNode::map();
  for (const auto& [key, value] : section.members()) {
    if (is_one_of(key, {"checkpointing", "keep_every", "pretrained"})) continue;
    if (key != "train") {
      out.set(key, value);
      continue;
    }
    ConfigNode train = ConfigNode::map();
    for (const auto& [name, number] : value.members())
      if (!is_one_of(name, {"log_every", "checkpoint_every"}))
        train.set(name, name == "ema_decay" ? sorted(number) : number);
    out.set(key, train);
  }
  return out;
}

/// The members of a map except data and inputs, which are compared by themselves.
ConfigNode own_settings(const ConfigNode& settings) {
  ConfigNode out = ConfigNode::map();
  for (const auto& [key, value] : settings.members())
    if (key != "data" && key != "inputs") out.set(key, value);
  return out;
}

/// The settings of an earlier version in the form of `stage_settings`, without the data.
ConfigNode own_settings_of_earlier_version(TrainingStage stage, const ConfigNode& saved) {
  ConfigNode out = ConfigNode::map();
  out.set("model", part_of_model(stage, saved.at("model")));
  out.set(name_of(stage), part_of_section(saved.at(name_of(stage))));
  if (const ConfigNode* rule = saved.find("statistics")) out.set("statistics", *rule);
  return out;
}

std::string hexadecimal(std::uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", value);
  return text;
}

bool uses_class_names(const Recipe& recipe, TrainingStage stage) {
  if (stage == TrainingStage::encoder) return true;
  return stage == TrainingStage::dit && recipe.model.dit && recipe.model.dit->num_classes() > 1;
}

/// A data set in a few words: checksums of everything and of the names of the classes alone.
ConfigNode summary_of(const DataManifest& manifest) {
  std::string names;
  for (const ManifestClass& c : manifest.classes) names += concat(c.name.size(), " ", c.name);
  ConfigNode out = ConfigNode::map({{"pictures", manifest.pictures()},
                                    {"checksum", hexadecimal(manifest.checksum())},
                                    {"class_names", hexadecimal(crc32_of(as_byte_span(names)))}});
  if (manifest.held_out > 0) out.set("held_out", manifest.held_out);
  return out;
}
/// The same of the member `data` of settings.
ConfigNode summary_of(const ConfigNode& data) {
  const ConfigNode* manifest = data.find("manifest");
  return manifest == nullptr ? data : summary_of(DataManifest::from_config(*manifest));
}

void compare_data(const ConfigNode& saved, const ConfigNode& now, StageComparison& out) {
  const ConfigNode is = summary_of(now);
  if (!saved.is_map()) {
    const index_t pictures = saved.as_integer(0);
    out.data_is_known = false;
    if (pictures != is.at("pictures").as_integer())
      out.data =
          concat("there were ", pictures, " pictures, there are ", is.at("pictures").as_integer());
    return;
  }
  const ConfigNode was = summary_of(saved);
  if (was.at("checksum") == is.at("checksum")) return;
  if (!saved.contains("manifest") || !now.contains("manifest")) {
    out.same_reading = was.at("class_names") == is.at("class_names");
    out.data =
        concat(out.same_reading ? "the pictures" : "the names of the classes", " have changed");
    return;
  }
  for (const DataDifference& difference :
       differences(DataManifest::from_config(saved.at("manifest")),
                   DataManifest::from_config(now.at("manifest")))) {
    out.data += concat(out.data.empty() ? "" : "; ", difference.text);
    if (difference.kind == DataChange::classes || difference.kind == DataChange::options)
      out.same_reading = false;
  }
}

}  // namespace

ConfigNode stage_settings(const Recipe& recipe, TrainingStage stage, const DataManifest& data,
                          const StageInputs& inputs) {
  ConfigNode out = ConfigNode::map();
  const std::string_view name = name_of(stage);
  out.set("model", part_of_model(stage, recipe.source.at("model")));
  if (const ConfigNode* section = recipe.source.find(name))
    out.set(name, part_of_section(*section));
  if (const ConfigNode* rule = recipe.source.find("statistics");
      rule != nullptr && stage == TrainingStage::dit)
    out.set("statistics", *rule);
  if (stage == TrainingStage::dit && recipe.latents.stored_as != DType::f32)
    out.set("latents",
            ConfigNode::map({{"dtype", std::string(name_of(recipe.latents.stored_as))}}));
  if (!inputs.initial.empty()) out.set("init", inputs.initial);
  const DataManifest used = uses_class_names(recipe, stage) ? data : data.without_class_names();
  out.set("data", used.classes.size() > kMostClasses
                      ? summary_of(used)
                      : ConfigNode::map({{"manifest", used.to_config()}}));
  out.set("inputs", to_config(inputs));
  return out;
}

std::string latents_identity(const Recipe& recipe, const DataManifest& data,
                             const std::string& encoder) {
  const std::string model =
      part_of_model(TrainingStage::statistics, recipe.source.at("model")).to_json();
  // Kernels of another instruction set or version round differently.
  return concat("encoder ", encoder, ", model ", hexadecimal(crc32_of(as_byte_span(model))),
                ", pictures ", hexadecimal(data.without_class_names().checksum()), " without ",
                data.held_out, ", kernels ", name_of(active_isa()), " of version ", kVersion);
}

ConfigNode to_config(const StageInputs& inputs) {
  ConfigNode out = ConfigNode::map();
  if (!inputs.encoder.empty()) out.set("encoder", inputs.encoder);
  if (!inputs.statistics.empty()) out.set("statistics", inputs.statistics);
  return out;
}

std::string changed_input(const ConfigNode& saved, const ConfigNode& now) {
  if (saved.is_null()) return "";
  for (const auto& [name, checksum] : now.members()) {
    const ConfigNode* before = saved.find(name);
    if (before == nullptr || !(*before == checksum)) return name;
  }
  return "";
}

index_t pictures_held_out(const ConfigNode& settings) {
  const ConfigNode* data = settings.find("data");
  if (data == nullptr || !data->is_map()) return 0;
  const ConfigNode* manifest = data->find("manifest");
  const ConfigNode* count = (manifest == nullptr ? data : manifest)->find("held_out");
  return count == nullptr ? 0 : count->as_integer(0);
}

ConfigNode settings_of_record(ConfigNode settings) {
  const ConfigNode data = settings.at("data");
  ConfigNode shorter = summary_of(data);
  if (const ConfigNode* accepted = data.find("accepted")) shorter.set("accepted", *accepted);
  settings.set("data", shorter);
  return settings;
}

void add_accepted_change(ConfigNode& settings, const std::string& change) {
  ConfigNode data = settings.at("data");
  ConfigNode::List all;
  if (const ConfigNode* before = data.find("accepted"))
    all.assign(before->elements().begin(), before->elements().end());
  all.emplace_back(change);
  data.set("accepted", ConfigNode::list(std::move(all)));
  settings.set("data", data);
}

void keep_accepted_changes(ConfigNode& settings, const ConfigNode& saved) {
  const ConfigNode* data = saved.find("data");
  const ConfigNode* accepted = data != nullptr && data->is_map() ? data->find("accepted") : nullptr;
  if (accepted == nullptr) return;
  ConfigNode with = settings.at("data");
  with.set("accepted", *accepted);
  settings.set("data", with);
}

std::string accepted_changes(const ConfigNode& settings) {
  std::string out;
  if (!settings.is_map()) return out;
  if (const ConfigNode* accepted = settings.at("data").find("accepted"))
    for (const ConfigNode& change : accepted->elements())
      out += (out.empty() ? "" : "; ") + change.as_string();
  return out;
}

StageComparison compare_stage(TrainingStage stage, const ConfigNode& saved, const ConfigNode& now) {
  StageComparison out;
  const ConfigNode& data = saved.at("data");
  if (const ConfigNode* inputs = saved.find("inputs"))
    out.inputs = changed_input(*inputs, now.at("inputs"));
  out.settings = settings_difference(
      data.is_map() ? own_settings(saved) : own_settings_of_earlier_version(stage, saved),
      own_settings(now));
  compare_data(data, now.at("data"), out);
  return out;
}

}  // namespace rae::detail
