// Observes the stages of a recipe: held-out losses, the quality of encoder and decoder at their
// checkpoints, the report of the run, and event files.
//
// Diffusion Transformers with Representation Autoencoders, sections 3 and 4; k-NN accuracy as in
// DINO (Caron et al. 2021, section 4.1).
#pragma once

#include <map>
#include <string>

#include "rae/io/data_survey.hpp"
#include "rae/io/event_file.hpp"
#include "rae/models/rae.hpp"
#include "rae/train/run_report.hpp"
#include "train/data_split.hpp"
#include "train/run_state.hpp"

namespace rae::detail {

/// What can be seen of a run while it trains. Nothing of it changes the weights.
class RunWatch {
 public:
  /// `survey` is what was found with the pictures of `split`.
  RunWatch(const Recipe& recipe, const RecipeRun& run, const RunFolder& folder,
           const DataSplit& split, const DataSurvey& survey);

  /// Observes the training of a stage: adds the held-out pictures, and functions that update the
  /// report and the event file.
  void attach(TrainingStage stage, TrainingContext& context);

  /// Measures how well the nearest neighbours of an encoder's tokens, averaged over each picture,
  /// tell the classes apart, and logs it, unless that is known. `encoder` needs no decoder.
  void measure_encoder(index_t step, const Rae<float>& encoder);

  /// Draws pictures above their reconstructions, and logs the PSNR, unless that was done.
  void draw_reconstructions(index_t step, const Rae<float>& autoencoder);

  /// Adds a new picture of a stage to its event file.
  void add_picture(TrainingStage stage, const std::string& name, index_t step, const Image& image);

  /// Writes the report. Throws as `write_run_report`.
  void update_report() const;

 private:
  [[nodiscard]] Tensor<float> features(const Rae<float>& encoder,
                                       const Tensor<float>& images) const;
  [[nodiscard]] bool is_logged(TrainingStage stage, index_t step, const std::string& name) const;
  void log(TrainingStage stage, index_t step, const std::string& name, double value) const;
  void begin_events(TrainingStage stage);
  void add_events(TrainingStage stage);
  void say(const std::string& event) const;

  const RecipeRun& run_;
  const RunFolder& folder_;
  OwnedPointer<const ImageDataset> data_, held_out_;
  RunFacts facts_;

  /// The event file of a stage, and how much of its log is in it.
  struct Events {
    EventFile file;
    std::size_t read = 0;  // bytes
  };
  std::map<TrainingStage, Events> events_;
};

}  // namespace rae::detail
