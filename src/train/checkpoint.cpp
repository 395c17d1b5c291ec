#include "rae/train/checkpoint.hpp"

#include <algorithm>
#include <map>

#include "rae/io/safetensors.hpp"

namespace rae {

namespace {

constexpr const char* kCheckpointFormat = "rae-checkpoint-1";
constexpr const char* kDecays = "ema_decays";

/// A run may be made longer after the fact: it goes on from its checkpoint, on the schedule of the
/// longer run.
bool is_longer(const std::string& key, const ConfigNode& saved, const ConfigNode& now) {
  using Kind = ConfigNode::Kind;
  return key == "steps" && saved.kind() == Kind::integer && now.kind() == Kind::integer &&
         now.as_integer() > saved.as_integer();
}

/// A member that old checkpoints lack, with the value that its absence meant.
bool is_old_default(const std::string& name, const ConfigNode& now) {
  return name == "model.time_shift" && now == ConfigNode(1.0);
}

/// `settings_difference` below the member `at`.
std::string first_difference(const ConfigNode& saved, const ConfigNode& now,
                             const std::string& at = "") {
  if (saved == now) return "";
  if (!saved.is_map() || !now.is_map())
    return concat(at, " is ", now.to_json(), ", was ", saved.to_json());
  for (const auto& [key, value] : now.members()) {
    const ConfigNode* other = saved.find(key);
    const std::string name = at.empty() ? key : at + "." + key;
    if (other == nullptr && is_old_default(name, value)) continue;
    if (other == nullptr) return name + " is new";
    if (is_longer(key, *other, value)) continue;
    if (std::string difference = first_difference(*other, value, name); !difference.empty())
      return difference;
  }
  for (const auto& member : saved.members())
    if (!now.contains(member.first))
      return concat(at.empty() ? "" : at + ".", member.first, " is missing");
  return "";
}

/// The metadata of a checkpoint.
class Metadata {
 public:
  explicit Metadata(const SafetensorsFile& file) : file_(file) {
    if (entry("format") != kCheckpointFormat)
      raise<FormatError>(file.origin(), ": expected the format ", kCheckpointFormat, ", got ",
                         entry("format"));
  }

  [[nodiscard]] ConfigNode settings() const {
    return ConfigNode::parse_json(entry("settings"), file_.origin());
  }
  /// `prefix`: of a second model.
  [[nodiscard]] index_t step(const std::string& prefix = "") const {
    return ConfigNode::parse_yaml(entry(prefix + "step"), file_.origin()).as<index_t>();
  }
  /// Decays of the averages; empty: there is one.
  [[nodiscard]] std::vector<double> ema_decays() const {
    if (file_.metadata().count(kDecays) == 0) return {};
    return ConfigNode::parse_json(entry(kDecays), file_.origin()).as<std::vector<double>>();
  }

 private:
  [[nodiscard]] const std::string& entry(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end())
      raise<FormatError>(file_.origin(), ": not a checkpoint of rae: its metadata have no '", key,
                         "'");
    return found->second;
  }

  const SafetensorsFile& file_;
};

/// The beginning of the names of averages: "ema.", "ema_2.", ..., in the order of the decays that
/// the metadata list.
std::string ema_prefix(std::size_t k) { return k == 0 ? "ema." : concat("ema_", k + 1, "."); }

/// State of an optimiser and its model.
void append(std::vector<SafetensorsEntry>& entries, const std::string& prefix,
            const AdamW<float>& optimizer) {
  for (const auto& slot : optimizer.slots()) {
    entries.push_back({prefix + "param." + slot.name, slot.parameter.value()});
    entries.push_back({prefix + "exp_avg." + slot.name, slot.exp_avg});
    entries.push_back({prefix + "exp_avg_sq." + slot.name, slot.exp_avg_sq});
    for (std::size_t k = 0; k < optimizer.ema_decays().size(); ++k)
      entries.push_back({prefix + ema_prefix(k) + slot.name, slot.average(k)});
  }
}

/// The same, read and checked before anything is changed.
class SavedState {
 public:
  /// `decays`: of the averages in the file, in its order.
  SavedState(const SafetensorsFile& file, const std::string& prefix, const AdamW<float>& optimizer,
             index_t step, const std::vector<double>& decays)
      : step_(step) {
    std::vector<std::string> averages;
    for (const double decay : optimizer.ema_decays()) {
      const auto found = std::find(decays.begin(), decays.end(), decay);
      if (found == decays.end() && (!decays.empty() || optimizer.ema_decays().size() > 1))
        raise<FormatError>(file.origin(), ": has no average of decay ", decay);
      averages.push_back(
          ema_prefix(found == decays.end() ? 0 : static_cast<std::size_t>(found - decays.begin())));
    }
    for (const auto& slot : optimizer.slots()) {
      auto read = [&](const std::string& kind) {
        return file.read<float>(prefix + kind + slot.name, slot.parameter.shape());
      };
      tensors_.push_back({read("param."), read("exp_avg."), read("exp_avg_sq."), {}});
      for (const std::string& average : averages) tensors_.back().averages.push_back(read(average));
    }
  }

  void restore(AdamW<float>& optimizer) {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      auto& slot = optimizer.slots()[i];
      slot.parameter.set_value(std::move(tensors_[i].parameter));
      slot.exp_avg = std::move(tensors_[i].exp_avg);
      slot.exp_avg_sq = std::move(tensors_[i].exp_avg_sq);
      for (std::size_t k = 0; k < tensors_[i].averages.size(); ++k)
        slot.average(k) = std::move(tensors_[i].averages[k]);
    }
    optimizer.set_steps(step_);
  }

 private:
  struct Tensors {
    Tensor<float> parameter, exp_avg, exp_avg_sq;
    std::vector<Tensor<float>> averages;
  };
  index_t step_;
  std::vector<Tensors> tensors_;
};

}  // namespace

void save_checkpoint(const std::string& path, const AdamW<float>& optimizer,
                     const ConfigNode& settings, const SecondModel* second) {
  std::vector<SafetensorsEntry> entries;
  append(entries, "", optimizer);
  std::map<std::string, std::string> metadata{{"format", kCheckpointFormat},
                                              {"step", std::to_string(optimizer.steps())},
                                              {"settings", settings.to_json()}};
  if (const std::vector<double>& decays = optimizer.ema_decays(); decays.size() > 1)
    metadata[kDecays] = ConfigNode::list({decays.begin(), decays.end()}).to_json();
  if (second != nullptr) {
    const std::string prefix = second->name + ".";
    append(entries, prefix, *second->optimizer);
    for (const auto& [name, tensor] : second->buffers)
      entries.push_back({prefix + "buffer." + name, *tensor});
    metadata[prefix + "step"] = std::to_string(second->optimizer->steps());
  }
  write_safetensors(path, entries, metadata);
}

CheckpointInfo read_checkpoint_info(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const Metadata metadata(file);
  return {metadata.step(), metadata.settings()};
}

std::string settings_difference(const ConfigNode& saved, const ConfigNode& now) {
  return first_difference(saved, now);
}

void load_checkpoint(const std::string& path, AdamW<float>& optimizer, const ConfigNode& settings,
                     SecondModel* second) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const Metadata metadata(file);
  for (const auto& [name, reason] : file.unreadable()) (void)file.info(name);  // throws
  if (const std::string difference = settings_difference(metadata.settings(), settings);
      !difference.empty())
    raise<ConfigError>(path, ": is a checkpoint of a run with other settings (", difference,
                       "); continue with those, or choose another output folder");
  SavedState own(file, "", optimizer, metadata.step(), metadata.ema_decays());
  if (second != nullptr) {
    const std::string prefix = second->name + ".";
    SavedState other(file, prefix, *second->optimizer, metadata.step(prefix), {});
    std::vector<Tensor<float>> buffers;
    for (const auto& [name, tensor] : second->buffers)
      buffers.push_back(file.read<float>(prefix + "buffer." + name, tensor->shape()));
    other.restore(*second->optimizer);
    for (std::size_t i = 0; i < buffers.size(); ++i)
      *second->buffers[i].second = std::move(buffers[i]);
  }
  own.restore(optimizer);
}

}  // namespace rae
