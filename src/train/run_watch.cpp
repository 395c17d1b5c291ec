#include "train/run_watch.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/process_limits.hpp"
#include "rae/core/parallel.hpp"
#include "rae/metrics/knn_probe.hpp"
#include "rae/metrics/psnr.hpp"
#include "rae/train/checkpoint.hpp"
#include "rae/version.hpp"
#include "spec/model_size.hpp"
#include "train/held_out.hpp"
#include "train/stages.hpp"
#include "train/training_log.hpp"

namespace rae::detail {
namespace {

namespace fs = std::filesystem;

constexpr index_t kNeighbourPictures = 512;  // training pictures of the k-NN accuracy
constexpr index_t kNeighbourQueries = 256;   // held-out pictures of the same
constexpr index_t kEncodedTogether = 32;
constexpr index_t kReconstructedColumns = 8, kReconstructedRows = 2;

std::string log_path(const RunFolder& folder, TrainingStage stage) {
  return (fs::path(folder.stage(stage)) / "log.jsonl").string();
}

/// The names and values in the report's table.
std::vector<std::pair<std::string, std::string>> details_of(const RecipeRun& run,
                                                            const DataSurvey& survey) {
  std::vector<std::pair<std::string, std::string>> out;
  out.emplace_back("Data", run.data);
  out.emplace_back("Pictures", survey.summary());
  for (const std::string& note : survey.notes) out.emplace_back("Note", note);
  for (const auto& detail : run.machine) out.push_back(detail);
  out.emplace_back("Processors that may be used", std::to_string(usable_processors()));
  out.emplace_back("Threads", std::to_string(num_threads()));
  if (const std::uint64_t memory = available_memory(); memory > 0)
    out.emplace_back("Memory at the start", in_gigabytes(memory));
  out.emplace_back("Version", concat("rae ", kVersion));
  return out;
}

}  // namespace

RunWatch::RunWatch(const Recipe& recipe, const RecipeRun& run, const RunFolder& folder,
                   const DataSplit& split, const DataSurvey& survey)
    : run_(run), folder_(folder), data_(split.training), held_out_(split.held_out) {
  facts_.title = recipe.model.name.empty() ? "Model" : recipe.model.name;
  facts_.settings = recipe.source;
  facts_.details = details_of(run, survey);
  const auto add = [&](TrainingStage stage, const TrainingOptions& training) {
    const bool trained = is_trained(recipe, stage);
    facts_.stages.push_back({std::string(name_of(stage)), trained ? training.steps : 0,
                             trained ? training.batch_size : 0});
  };
  add(TrainingStage::encoder, recipe.encoder_training);
  add(TrainingStage::decoder, recipe.decoder_training);
  if (recipe.model.dit) add(TrainingStage::dit, recipe.dit_training);
  facts_.details.emplace_back(
      "Held-out pictures",
      concat(split.description,
             held_out_
                 ? concat("; losses of ", std::min(held_out_->size(), kHeldOutPictures), " of them")
                 : ""));
}

void RunWatch::say(const std::string& event) const {
  if (run_.on_event) run_.on_event(event);
}

void RunWatch::attach(TrainingStage stage, TrainingContext& context) {
  context.held_out = held_out_;
  begin_events(stage);
  context.on_progress = [this, stage, then = context.on_progress](const TrainingProgress& p) {
    add_events(stage);
    return !then || then(p);
  };
  context.on_checkpoint = [this, stage, then = context.on_checkpoint](index_t step) {
    add_events(stage);
    update_report();
    if (then) then(step);
  };
}

bool RunWatch::is_logged(TrainingStage stage, index_t step, const std::string& name) const {
  for (const ConfigNode& report : read_training_log(log_path(folder_, stage)))
    if (report.get<index_t>("step") == step && report.contains(name)) return true;
  return false;
}

void RunWatch::log(TrainingStage stage, index_t step, const std::string& name, double value) const {
  append_log(folder_.stage(stage),
             ConfigNode::map({{"stage", name_of(stage)}, {"step", step}, {name, value}}));
}

/// Features (count, D) of a batch: the mean of the tokens of each picture.
Tensor<float> RunWatch::features(const Rae<float>& encoder, const Tensor<float>& images) const {
  const Shape s = images.shape();  // (count, C, H, W)
  const index_t pixels = s.numel() / s[0];
  Tensor<float> out;  // (count, D)
  for (index_t i = 0; i < s[0]; i += kEncodedTogether) {
    if (run_.should_stop && run_.should_stop())
      raise<Cancelled>("encoder: stopped while its k-NN accuracy was measured");
    const index_t part = std::min(kEncodedTogether, s[0] - i);
    Tensor<float> pictures(Shape{part, s[1], s[2], s[3]});  // (B, C, H, W)
    copy_elements(images.data() + i * pixels, part * pixels, pictures.data());
    const Tensor<float> tokens = encoder.encode_tokens(pictures);  // (B, N, D)
    const index_t count = tokens.extent(1), width = tokens.extent(2);
    if (out.empty()) out = Tensor<float>::zeros(Shape{s[0], width});
    for (index_t b = 0; b < part; ++b)
      for (index_t n = 0; n < count; ++n)
        for (index_t d = 0; d < width; ++d)
          out.data()[(i + b) * width + d] +=
              tokens.data()[(b * count + n) * width + d] / static_cast<float>(count);
  }
  return out;
}

void RunWatch::measure_encoder(index_t step, const Rae<float>& encoder) {
  if (!held_out_ || data_->class_names().size() < 2 ||
      is_logged(TrainingStage::encoder, step, "knn_accuracy"))
    return;
  const Batch train = spread_batch(*data_, std::min(data_->size(), kNeighbourPictures)),
              test = spread_batch(*held_out_, std::min(held_out_->size(), kNeighbourQueries));
  KnnOptions options;
  options.k = std::min<index_t>(options.k, train.images.extent(0));
  const Tensor<float> known = features(encoder, train.images),  // (N, D)
      queries = features(encoder, test.images);                 // (Q, D)
  log(TrainingStage::encoder, step, "knn_accuracy",
      knn_accuracy(known, train.labels, queries, test.labels, options));
}

void RunWatch::draw_reconstructions(index_t step, const Rae<float>& autoencoder) {
  const std::string path = folder_.reconstructions(step);
  if (folder_.is_written(path, TrainingStage::decoder)) return;
  const ImageDataset& pictures = held_out_ ? *held_out_ : *data_;
  const Batch batch =
      spread_batch(pictures, std::min(pictures.size(), kReconstructedColumns * kReconstructedRows));
  const std::vector<Image> originals = Image::from_batch(batch.images),
                           results = Image::from_batch(
                               autoencoder.decode(autoencoder.encode(batch.images)));
  double decibels = 0;
  index_t measured = 0;
  std::vector<Image> grid;
  const auto columns = static_cast<std::size_t>(kReconstructedColumns);
  std::string rows;
  for (std::size_t i = 0; i < originals.size(); i += columns) {
    const std::size_t end = std::min(i + columns, originals.size());
    if (end - i < columns && i > 0) break;  // only full rows after the first
    for (const auto* part : {&originals, &results})
      grid.insert(grid.end(), part->begin() + static_cast<std::ptrdiff_t>(i),
                  part->begin() + static_cast<std::ptrdiff_t>(end));
    for (std::size_t k = i; k < end; ++k) {
      const Tensor<float> a = results[k].to_tensor(), b = originals[k].to_tensor();  // (1, C, H, W)
      const double value = psnr(a, b);
      if (std::isfinite(value)) decibels += value;
      measured += std::isfinite(value) ? 1 : 0;
    }
    rows += concat(rows.empty() ? "" : "\n", "original\nreconstruction");
  }
  const auto width =
      std::min<index_t>(kReconstructedColumns, static_cast<index_t>(grid.size()) / 2);
  const Image image = Image::grid(grid, std::max<index_t>(1, width));
  if (measured > 0)
    log(TrainingStage::decoder, step, held_out_ ? "held_out_psnr" : "psnr",
        decibels / static_cast<double>(measured));
  image.save_png(path, {{"rows", rows}});
  add_picture(TrainingStage::decoder, "reconstructions", step, image);
}

void RunWatch::begin_events(TrainingStage stage) {
  if (!run_.tensorboard || events_.count(stage) > 0) return;
  const fs::path folder = fs::path(run_.out) / "tensorboard" / std::string(name_of(stage));
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) raise<FileError>(folder.string(), ": cannot be made: ", error.message());
  // The history is in the files of earlier runs, or else in the log.
  const bool first = fs::is_empty(folder, error);
  const index_t next = folder_.has_checkpoint(stage) && !first
                           ? read_checkpoint_info(folder_.checkpoint(stage)).step + 1
                       : first ? 0
                               : 1;
  std::error_code none;
  const auto size = fs::file_size(log_path(folder_, stage), none);
  events_.emplace(stage, Events{EventFile(folder.string(), next), first || none ? 0 : size});
  add_events(stage);
}

void RunWatch::add_events(TrainingStage stage) {
  const auto found = events_.find(stage);
  if (found == events_.end()) return;
  Events& events = found->second;
  const std::string path = log_path(folder_, stage);
  std::ifstream in(path, std::ios::binary);
  if (!in) return;
  in.seekg(static_cast<std::streamoff>(events.read));
  for (std::string line; std::getline(in, line) && !in.eof();) {
    events.read += line.size() + 1;
    const ConfigNode report = ConfigNode::parse_json(line, path);
    const ConfigNode* step = report.find("step");
    if (step == nullptr) continue;
    for (const auto& [name, value] : report.members())
      if (name != "step" &&
          (value.kind() == ConfigNode::Kind::number || value.kind() == ConfigNode::Kind::integer))
        events.file.scalar(name, step->as<index_t>(), value.as_number());
  }
}

void RunWatch::add_picture(TrainingStage stage, const std::string& name, index_t step,
                           const Image& image) {
  if (const auto found = events_.find(stage); found != events_.end())
    found->second.file.image(name, step, image);
}

void RunWatch::update_report() const { write_run_report(run_.out, facts_); }

}  // namespace rae::detail
