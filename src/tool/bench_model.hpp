// The networks that `rae bench` measures: official sizes with random weights.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <variant>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/workspace.hpp"
#include "rae/models/conv_decoder.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/spec/network_role.hpp"

namespace rae::tool {

/// The computation that is measured: a forward pass as in inference, or a step of training: forward
/// and backward pass, AdamW and the moving average of the weights.
enum class BenchTask { forward, training_step };

/// A network that can be measured.
struct BenchNetwork {
  std::string_view name, description;
  std::variant<DitDhConfig, LightningDitConfig, DecoderConfig, EncoderConfig, ConvDecoderConfig>
      config;
  index_t image_size = 0;  // pixels, side of the pictures of an encoder or a convolutional decoder;
                           // 0 for other networks

  /// True when it can be measured: weights of convolutions are f32, and training is that of
  /// transformers, in f32 or bf16.
  [[nodiscard]] bool supports(DType dtype, BenchTask task = BenchTask::forward) const noexcept {
    const bool convolutions = std::holds_alternative<ConvDecoderConfig>(config);
    if (task == BenchTask::training_step)
      return !convolutions && (dtype == DType::f32 || dtype == DType::bf16);
    return dtype == DType::f32 || !convolutions;
  }
};

/// All networks that can be measured.
[[nodiscard]] const std::vector<BenchNetwork>& bench_networks();

/// Sizes of a network.
struct BenchSize {
  double products = 0;             // multiply-adds of one picture, as `BenchModel` runs it
  index_t parameters = 0;          // number of weights
  std::uint64_t weight_bytes = 0;  // bytes of the weights in `dtype`; in training also of their
                                   // gradients, moments and averages
  std::uint64_t work_bytes = 0;    // bytes of activations alive at once, for one picture; an upper
                                   // bound for a forward pass, about as many in training
};
[[nodiscard]] BenchSize size_of_network(const BenchNetwork& network, DType dtype,
                                        BenchTask task = BenchTask::forward);

/// Random values of a parameter of this shape.
[[nodiscard]] Tensor<float> random_weight(const Shape& shape);

/// A network with random weights and inputs. Diffusion networks run as in a sampler: the part of
/// the conditioning that depends only on time and label is computed in the constructor.
class BenchModel {
 public:
  /// Runs the network once, so that its memory is allocated. Throws Error if the output is not
  /// finite.
  BenchModel(const BenchNetwork& network, DType dtype, index_t batch,
             BenchTask task = BenchTask::forward);

  /// One forward pass, or one step of training, of the batch.
  void run();

 private:
  std::unique_ptr<Workspace> workspace_ = std::make_unique<Workspace>();
  Function<Tensor<float>()> forward_;
};

}  // namespace rae::tool
