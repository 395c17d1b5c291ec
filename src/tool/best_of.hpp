// --best-of of `rae generate`: of several candidates for each picture, the best is kept, as judged
// by a classifier or by the distance from the picture of --init.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rae/models/classifier.hpp"
#include "tool/model.hpp"
#include "tool/sampled_set.hpp"

namespace rae::tool {

/// The values of --best-of and --classifier.
struct BestOfChoice {
  index_t candidates = 1;  ///< for each picture
  std::string classifier;  ///< a file, or empty: the distance from --init

  /// True if there is something to choose.
  [[nodiscard]] bool any() const noexcept { return candidates > 1; }
};

/// Adds the options.
void add_best_of_options(CLI::App& command, BestOfChoice& choice);

/// Declares the file of the classifier. Throws UsageError if nothing can judge; `has_init` is
/// whether --init was given.
void declare_best_of(CommandFiles& files, BestOfChoice& choice, bool has_init);

/// A classifier for the pictures of a model. Throws as `load_classifier`, ConfigError for pictures
/// of another shape or another number of classes.
[[nodiscard]] Classifier<Tensor<float>> load_judge(const std::string& path,
                                                   const ModelFiles& model);

/// Repeats each label, and each latent of `init`, as often as there are candidates: candidate j of
/// picture i has the number i * candidates + j.
void repeat_for_candidates(const BestOfChoice& choice, GenerateOptions& options);

/// The numbers of the best candidates, one for each picture; of equal ones the first. A classifier
/// judges by the probability of the label, else the distance of the latents from `options.init`
/// counts.
[[nodiscard]] std::vector<index_t> best_candidates(
    const BestOfChoice& choice, const std::optional<Classifier<Tensor<float>>>& classifier,
    const GenerateOptions& options, const SampledSet& sampled);

/// The samples with these numbers.
[[nodiscard]] SampledSet chosen(const SampledSet& sampled, const std::vector<index_t>& numbers);

}  // namespace rae::tool
