#include "train/run_folder.hpp"

#include <filesystem>

#include "rae/io/file.hpp"
#include "train/stages.hpp"

namespace rae::detail {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecordsFormat = "rae stages 1";
/// The same path; the folder is made when it is missing.
std::string make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) raise<FileError>(path, ": cannot be made: ", error.message());
  return path;
}

void rename(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) raise<FileError>("cannot rename '", from, "' to '", to, "': ", error.message());
}

}  // namespace

RunFolder::RunFolder(const std::string& path, Access access) : path_(path) {
  if (access == Access::look) {
    read_records();
    return;
  }
  lock_.emplace(make_folder(path), "training");
  std::vector<std::string> folders{path_, in("samples"), in("reconstructions"), in("history")};
  for (const TrainingStage s : kAllStages) folders.push_back(in(std::string(name_of(s))));
  for (const std::string& folder : folders)
    for (std::string& file : remove_orphaned_temporaries(folder))
      removed_.push_back(std::move(file));
  read_records();
}

std::string RunFolder::in(const std::string& name) const {
  return (fs::path(path_) / name).string();
}

std::string RunFolder::made(const std::string& folder) const {
  return lock_ ? make_folder(folder) : folder;
}

std::string RunFolder::stage(TrainingStage stage) const {
  return made(in(std::string(name_of(stage))));
}

std::string RunFolder::checkpoint(TrainingStage stage) const {
  return in(concat(name_of(stage), "/checkpoint.safetensors"));
}

bool RunFolder::has_checkpoint(TrainingStage stage) const {
  std::error_code none;
  return fs::exists(checkpoint(stage), none);
}

std::string RunFolder::samples(index_t step) const { return of_step("samples", step, ".png"); }

std::string RunFolder::reconstructions(index_t step) const {
  return of_step("reconstructions", step, ".png");
}

std::string RunFolder::history(index_t step) const {
  return of_step("history", step, ".safetensors");
}

bool RunFolder::is_written(const std::string& file, TrainingStage stage) const {
  std::error_code missing;
  const auto written = fs::last_write_time(file, missing);
  return !missing && written >= fs::last_write_time(checkpoint(stage), missing);
}

std::string RunFolder::of_step(const std::string& kind, index_t step, const char* ending) const {
  std::string number = std::to_string(step);
  number.insert(0, number.size() < 7 ? 7 - number.size() : 0, '0');
  return (fs::path(made(in(kind))) / ("step-" + number + ending)).string();
}

std::string RunFolder::set_aside(TrainingStage stage) const {
  const fs::path folder = in(std::string(name_of(stage)));
  std::error_code none;
  int number = 1;
  const auto name = [&] { return concat("checkpoint-stale-", number, ".safetensors"); };
  while (fs::exists(folder / name(), none)) ++number;
  // The checkpoint is the last, so that a run that is killed in between sets it aside again.
  const std::string log = (folder / "log.jsonl").string();
  if (fs::exists(log, none))
    rename(log, (folder / concat("log-stale-", number, ".jsonl")).string());
  std::vector<std::string> folders;
  if (stage == TrainingStage::dit) folders = {"samples", "history"};
  if (stage == TrainingStage::decoder) folders = {"reconstructions"};
  for (const std::string& name_of_folder : folders) {
    if (!fs::exists(in(name_of_folder), none)) continue;
    int free = number;  // a folder of this name may be left from such a run
    while (fs::exists(in(concat(name_of_folder, "-stale-", free)), none)) ++free;
    rename(in(name_of_folder), in(concat(name_of_folder, "-stale-", free)));
  }
  rename(checkpoint(stage), (folder / name()).string());
  return name();
}

const StageRecord* RunFolder::record(TrainingStage stage) const {
  const auto found = records_.find(stage);
  return found == records_.end() ? nullptr : &found->second;
}

void RunFolder::set_record(TrainingStage stage, StageRecord record) {
  records_[stage] = std::move(record);
  save_records();
}

void RunFolder::save_records() const {
  if (!lock_) return;
  ConfigNode stages = ConfigNode::map();
  for (const auto& [stage, record] : records_)
    stages.set(name_of(stage), ConfigNode::map({{"result", record.result},
                                                {"inputs", record.inputs},
                                                {"settings", record.settings}}));
  const ConfigNode all = ConfigNode::map({{"format", kRecordsFormat}, {"stages", stages}});
  write_file_atomically(in("stages.json"), all.to_json(2) + "\n");
}

void RunFolder::read_records() {
  const std::string path = in("stages.json");
  std::error_code none;
  if (!fs::exists(path, none)) return;
  const ConfigNode all = ConfigNode::load(path);
  if (all.get_or("format", "") != kRecordsFormat)
    raise<ConfigError>(path, ": expected the format '", kRecordsFormat, "', got '",
                       all.get_or("format", ""), "'");
  without_records_ = false;
  for (const auto& [name, node] : all.at("stages").members())
    records_[parse_training_stage(name)] = {node.at("settings"), node.at("inputs"),
                                            node.at("result").as_string()};
}

}  // namespace rae::detail
