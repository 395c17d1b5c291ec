// The options of a classifier of small pictures that is trained in a moment.
#pragma once

#include "rae/train/classifier_trainer.hpp"

namespace rae::test {

/// For pictures as those of `write_picture_folder`.
inline ClassifierOptions tiny_classifier_options(index_t steps) {
  ClassifierOptions out;
  out.first_channels = 4;
  out.features = 8;
  out.training.steps = steps;
  out.training.batch_size = 12;
  out.training.warmup_steps = 2;
  return out;
}

}  // namespace rae::test
