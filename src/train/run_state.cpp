#include "train/run_state.hpp"

#include <algorithm>

#include "io/deflate.hpp"
#include "rae/io/file.hpp"
#include "rae/train/checkpoint.hpp"
#include "train/data_split.hpp"
#include "train/pretrained_encoder.hpp"
#include "train/training_log.hpp"

namespace rae::detail {
namespace {

constexpr const char* kChangesNote = "data_changes";

/// The checksum that checkpoints of earlier versions have of a pretrained encoder.
std::string sampled_encoder_checksum(const std::string& path) {
  const TensorSource weights = open_pretrained(path).tensors.tensors;
  std::string all;
  for (const std::string& name : weights.names())
    all += concat(name, " ", weights.sampled_checksum(name), "\n");
  return std::to_string(crc32_of(as_byte_span(all)));
}

/// The inputs that a record of an earlier version has: its statistics are computed in every run.
ConfigNode earlier_inputs(const ConfigNode& settings) {
  ConfigNode out = ConfigNode::map();
  if (const ConfigNode* encoder = settings.at("inputs").find("encoder"))
    out.set("encoder", *encoder);
  return out;
}

/// "an encoder", as a stage needs it.
std::string_view with_article(TrainingStage stage) {
  switch (stage) {
    case TrainingStage::encoder: return "an encoder";
    case TrainingStage::decoder: return "a decoder";
    case TrainingStage::statistics: return "latent statistics";
    default: return "a diffusion network";
  }
}

DType type_in_file(const Recipe& recipe, const RecipeRun& run) {
  // The weights of a pretrained encoder are kept exactly.
  return run.stored_as.value_or(recipe.pretrained_encoder.empty() ? DType::bf16 : DType::f32);
}

}  // namespace

RunState::RunState(const Recipe& recipe, const RecipeRun& run, std::vector<TrainingStage> stages,
                   DataManifest data, std::vector<std::string> class_names,
                   const InitialModel* initial, RunFolder::Access access)
    : recipe_(recipe),
      run_(run),
      stages_(std::move(stages)),
      data_(std::move(data)),
      initial_(initial),
      folder_(run.out, access),
      bundle_(recipe, std::move(class_names), folder_.model(), type_in_file(recipe, run),
              run.base) {
  for (const std::string& file : folder_.removed())
    say(concat("removed ", file, ", which a run that was killed had left"));
  if (folder_.without_records()) record_earlier_version();
}

/// Earlier versions wrote only complete networks into the bundle, each trained on the others in it.
void RunState::record_earlier_version() {
  const std::string encoder = bundle_.checksum(TrainingStage::encoder);
  for (const TrainingStage stage : kAllStages) {
    StageInputs inputs;
    if (stage != TrainingStage::encoder) inputs.encoder = encoder;
    if (const std::string sum = bundle_.checksum(stage);
        !sum.empty() || folder_.has_checkpoint(stage))
      folder_.set_record(stage, {{}, encoder.empty() ? ConfigNode() : to_config(inputs), sum});
  }
  folder_.save_records();
}

void RunState::say(const std::string& event) const {
  if (run_.on_event) run_.on_event(event);
}

bool RunState::is_planned(TrainingStage stage) const {
  return std::find(stages_.begin(), stages_.end(), stage) != stages_.end();
}

index_t RunState::steps_of(TrainingStage stage) const {
  switch (stage) {
    case TrainingStage::encoder: return recipe_.encoder_training.steps;
    case TrainingStage::decoder: return recipe_.decoder_training.steps;
    default: return recipe_.dit_training.steps;
  }
}

ConfigNode RunState::settings_of(TrainingStage stage, const StageInputs& inputs) const {
  return stage_settings(recipe_, stage, data_, inputs);
}

/// The checksum of a stage's result, if it is known to be that of the recipe and this run will not
/// change it.
std::optional<std::string> RunState::known_result(TrainingStage stage) const {
  if (const auto found = results_.find(stage); found != results_.end()) return found->second;
  const StageRecord* record = folder_.record(stage);
  if (record == nullptr || record->result.empty() || record->result != bundle_.checksum(stage))
    return std::nullopt;
  if (is_planned(stage) && stage != TrainingStage::statistics)
    if (!is_trained(recipe_, stage) || !folder_.has_checkpoint(stage) ||
        read_checkpoint_info(folder_.checkpoint(stage)).step < steps_of(stage))
      return std::nullopt;
  const std::optional<StageInputs> inputs = known_inputs(stage);
  if (!inputs) return std::nullopt;
  if (record->settings.is_null())
    return changed_input(record->inputs, to_config({inputs->encoder, {}, {}})).empty()
               ? std::optional<std::string>(record->result)
               : std::nullopt;
  const StageComparison c = compare_stage(stage, record->settings, settings_of(stage, *inputs));
  const bool same_data = c.data.empty() || run_.accept_data_change ||
                         !(is_trained(recipe_, stage) || stage == TrainingStage::statistics);
  if (!c.inputs.empty() || !c.settings.empty() || !same_data) return std::nullopt;
  return record->result;
}

/// The inputs of a stage, if all of them are known; without the statistics if they are not wanted.
std::optional<StageInputs> RunState::known_inputs(TrainingStage stage, bool with_statistics) const {
  StageInputs out;
  for (const TrainingStage before : predecessors(stage)) {
    if (before == TrainingStage::decoder) continue;
    if (before == TrainingStage::statistics && !with_statistics) continue;
    const std::optional<std::string> result = known_result(before);
    if (!result) return std::nullopt;
    (before == TrainingStage::encoder ? out.encoder : out.statistics) = *result;
  }
  if (initial_ != nullptr && is_trained(recipe_, stage))
    out.initial = initial_->checksum(role_of(stage));
  return out;
}

StageInputs RunState::require_inputs(TrainingStage stage) const {
  for (const TrainingStage before : predecessors(stage)) {
    if (known_result(before)) continue;
    const bool none = bundle_.checksum(before).empty();
    raise<ConfigError>("the stage ", name_of(stage), " needs ", with_article(before), ", and ",
                       bundle_.path(),
                       none ? " has none"
                            : " has one of other settings or data, "
                              "or one that is not complete",
                       "; run the stage ", name_of(before), " first");
  }
  return *known_inputs(stage);
}

RunState::Decision RunState::decide(TrainingStage stage, const ConfigNode& now) const {
  Decision out;
  if (!folder_.has_checkpoint(stage)) return out;
  const std::string path = folder_.checkpoint(stage);
  out.saved = read_checkpoint_info(path).settings;
  StageComparison c = compare_stage(stage, *out.saved, now);
  if (!c.data_is_known && stage != TrainingStage::encoder) {
    const ConfigNode* before = out.saved->find("encoder");
    const std::string was = before == nullptr ? "" : before->as_string(),
                      is = recipe_.pretrained_encoder.empty()
                               ? ""
                               : sampled_encoder_checksum(recipe_.pretrained_encoder);
    if (was != is) c.inputs = "encoder";
    if (const StageRecord* record = folder_.record(stage); record != nullptr && c.inputs.empty())
      c.inputs = changed_input(record->inputs, earlier_inputs(now));
  }
  out.data_is_known = c.data_is_known;
  out.stale = c.inputs;
  if (!out.stale.empty()) return out;
  const std::string others = concat("choose another output folder, or remove '",
                                    folder_.stage(stage), "' to train this stage again");
  if (!c.settings.empty())
    raise<ConfigError>(path, ": is a checkpoint of a run with other settings (", c.settings,
                       "); continue with those, ", others);
  if (c.data.empty()) return out;
  if (!c.same_reading)
    raise<ConfigError>(path, ": was trained on other data (", c.data, "); restore them, ", others);
  if (!run_.accept_data_change)
    raise<ConfigError>(path, ": was trained on other pictures (", c.data,
                       "); restore them, continue with those of now (--accept-data-change, "
                       "RecipeRun::accept_data_change), ",
                       others);
  out.accepted = c.data;
  return out;
}

void RunState::check_from(TrainingStage stage) const {
  for (auto at = std::find(stages_.begin(), stages_.end(), stage); at != stages_.end(); ++at) {
    if (!is_trained(recipe_, *at)) continue;
    // Statistics that will be computed again do not excuse other data or settings.
    if (const std::optional<StageInputs> inputs = known_inputs(*at, false))
      (void)decide(*at, settings_of(*at, *inputs));
  }
}

void RunState::start_from_initial(TrainingStage stage, const std::string& prefix,
                                  TrainingContext& context) const {
  if (initial_ == nullptr) return;
  const NetworkRole role = role_of(stage);
  context.initial = initial_->values(role, prefix);
  if (!context.initial)
    say(concat(name_of(stage), ": ", run_.init, " has no ", name_of(role),
               "; the training begins with random weights"));
  else
    say(concat(name_of(stage), ": begins with the weights of ", run_.init,
               role == NetworkRole::dit && !bundle_.bundle().config.class_names.empty()
                   ? concat("; ", initial_->known_classes())
                   : ""));
}

/// Records a change of the data with which a stage continues.
void RunState::accept(TrainingStage stage, ConfigNode& settings, const std::string& change) const {
  add_accepted_change(settings, change);
  const std::string event = concat("continues with other pictures: ", change);
  say(concat(name_of(stage), ": ", event));
  append_log(folder_.stage(stage), ConfigNode::map({{"stage", name_of(stage)}, {"event", event}}));
}

/// From here on the bundle says with which changes of the data its results were trained.
void RunState::set_settings(TrainingStage stage, ConfigNode settings) {
  settings_[stage] = std::move(settings);
  std::string all;
  for (const TrainingStage each : kAllStages) {
    const auto found = settings_.find(each);
    const StageRecord* record = folder_.record(each);
    const std::string changes = found != settings_.end() ? accepted_changes(found->second)
                                : record != nullptr && !bundle_.checksum(each).empty()
                                    ? accepted_changes(record->settings)
                                    : "";
    if (!changes.empty()) all += concat(all.empty() ? "" : "; ", name_of(each), ": ", changes);
  }
  bundle_.bundle().notes = recipe_.notes;
  if (data_.held_out > 0) bundle_.bundle().notes[kHeldOutNote] = concat(recipe_.held_out);
  if (!all.empty()) bundle_.bundle().notes[kChangesNote] = all;
}

TrainingContext RunState::begin(TrainingStage stage, const std::string& prefix) {
  ConfigNode settings = settings_of(stage, require_inputs(stage));
  Decision decision = decide(stage, settings);
  TrainingContext context;
  context.stage = name_of(stage);
  context.folder = folder_.stage(stage);
  context.on_progress = run_.on_progress;
  context.should_stop = run_.should_stop;
  if (!decision.stale.empty()) {
    const std::string name = folder_.set_aside(stage);
    say(concat(name_of(stage), ": trained again, because its checkpoint belongs to ",
               decision.stale == "encoder" ? "another encoder" : "other latent statistics",
               " (kept as ", name, ")"));
    decision.saved.reset();
  }
  if (!decision.saved) {
    start_from_initial(stage, prefix, context);
  } else {
    keep_accepted_changes(settings, *decision.saved);
    if (!decision.accepted.empty()) accept(stage, settings, decision.accepted);
    if (!decision.data_is_known)
      say(concat(name_of(stage),
                 ": an earlier version wrote its checkpoint, without what is needed to compare "
                 "the data; only the number of pictures is known to be the same"));
    context.replaces_settings = !settings_difference(*decision.saved, settings).empty();
  }
  context.settings = settings;
  set_settings(stage, std::move(settings));
  return context;
}

void RunState::begin_untrained_encoder() {
  set_settings(TrainingStage::encoder, settings_of(TrainingStage::encoder, {}));
}

RunState::KnownStatistics RunState::decide_statistics(ConfigNode& settings) const {
  constexpr TrainingStage stage = TrainingStage::statistics;
  const StageRecord* record = folder_.record(stage);
  if (record == nullptr || record->settings.is_null() || record->result != bundle_.checksum(stage))
    return {};
  const StageComparison c = compare_stage(stage, record->settings, settings);
  if (!c.inputs.empty() || !c.settings.empty()) return {};
  // Statistics with which a DiT is trained are kept with it.
  const bool used = folder_.has_checkpoint(TrainingStage::dit);
  if (!c.data.empty() && used && !run_.accept_data_change)
    raise<ConfigError>(folder_.checkpoint(TrainingStage::dit),
                       ": was trained with statistics of other pictures; restore them, continue "
                       "with those of now (--accept-data-change, RecipeRun::accept_data_change), "
                       "or remove '",
                       folder_.stage(TrainingStage::dit), "' to train this stage again");
  if (!c.data.empty() && !used) return {};
  keep_accepted_changes(settings, record->settings);
  if (!c.data.empty()) add_accepted_change(settings, c.data);
  return {true, !c.data.empty()};
}

bool RunState::begin_statistics() {
  constexpr TrainingStage stage = TrainingStage::statistics;
  ConfigNode settings = settings_of(stage, require_inputs(stage));
  const KnownStatistics found = decide_statistics(settings);
  if (found.kept) say("statistics: those of before are kept");
  set_settings(stage, std::move(settings));
  return !found.known;
}

StageOutlook RunState::outlook(TrainingStage stage) const {
  StageOutlook out{stage, {}};
  try {
    if (stage == TrainingStage::statistics)
      out.text = describe_statistics();
    else if (is_trained(recipe_, stage))
      out.text = describe_training(stage);
    else
      out.text = recipe_.pretrained_encoder.empty()
                     ? "has no weights to train"
                     : concat("taken from ", recipe_.pretrained_encoder);
  } catch (const ConfigError& error) {
    out.refused = true;
    out.text = concat("refused: ", error.what());
  }
  return out;
}

/// "the stage encoder" if this run computes an input of the stage first, so that it is not known.
std::string RunState::unknown_input(TrainingStage stage) const {
  for (const TrainingStage before : predecessors(stage))
    if (before != TrainingStage::decoder && !known_result(before) && is_planned(before))
      return concat("the stage ", name_of(before));
  return "";
}

std::string RunState::describe_training(TrainingStage stage) const {
  const index_t steps = steps_of(stage);
  if (const std::string first = unknown_input(stage);
      !folder_.has_checkpoint(stage) || !first.empty()) {
    if (!folder_.has_checkpoint(stage)) {
      if (first.empty()) (void)require_inputs(stage);
      return concat("trained from the beginning, ", steps, " steps");
    }
    return concat("its checkpoint, of step ", read_checkpoint_info(folder_.checkpoint(stage)).step,
                  " of ", steps, ", is valid if ", first, ", which runs before, gives the same ",
                  "result as before; else it is stale, and the stage is trained again");
  }
  const index_t step = read_checkpoint_info(folder_.checkpoint(stage)).step;
  const Decision decision = decide(stage, settings_of(stage, require_inputs(stage)));
  if (!decision.stale.empty())
    return concat("stale: trained again, because its checkpoint, of step ", step, " of ", steps,
                  ", belongs to ",
                  decision.stale == "encoder" ? "another encoder" : "other latent statistics");
  std::string out = step >= steps ? concat("valid: complete after ", steps, " steps")
                                  : concat("valid: continues at step ", step, " of ", steps);
  if (!decision.accepted.empty()) out += concat(", with other pictures: ", decision.accepted);
  if (!decision.data_is_known)
    out += "; an earlier version wrote it, so only the number of pictures is known to be the same";
  return out;
}

std::string RunState::describe_statistics() const {
  constexpr TrainingStage stage = TrainingStage::statistics;
  if (!unknown_input(stage).empty()) return "computed after the stage encoder, if that changes";
  ConfigNode settings = settings_of(stage, require_inputs(stage));
  const KnownStatistics found = decide_statistics(settings);
  if (!found.known)
    return bundle_.checksum(stage).empty()
               ? "computed"
               : "stale: computed again, because the encoder, the pictures or the rule changed";
  return found.kept ? "valid: kept, although the pictures changed" : "valid";
}

void RunState::finish(TrainingStage stage) {
  if (bundle_.save()) say("wrote " + bundle_.path());
  const std::string sum = bundle_.checksum(stage);
  const ConfigNode& settings = settings_.at(stage);
  results_[stage] = sum;
  folder_.set_record(stage, {settings_of_record(settings), settings.at("inputs"), sum});
}

}  // namespace rae::detail
