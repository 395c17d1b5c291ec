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

/// A network that can be measured.
struct BenchNetwork {
  std::string_view name, description;
  std::variant<DitDhConfig, LightningDitConfig, DecoderConfig, EncoderConfig, ConvDecoderConfig>
      config;
  index_t image_size = 0;  // pixels, side of the pictures of an encoder or a convolutional decoder;
                           // 0 for other networks

  /// True when its weights can be stored as `dtype`: those of convolutions are f32.
  [[nodiscard]] bool supports(DType dtype) const noexcept {
    return dtype == DType::f32 || !std::holds_alternative<ConvDecoderConfig>(config);
  }
};

/// All networks that can be measured.
[[nodiscard]] const std::vector<BenchNetwork>& bench_networks();

/// Sizes of a network.
struct BenchSize {
  double products = 0;  // multiply-adds of a forward pass of one picture, as `BenchModel` runs it
  index_t parameters = 0;          // number of weights
  std::uint64_t weight_bytes = 0;  // bytes of the weights in `dtype`
  std::uint64_t work_bytes =
      0;  // bytes of activations alive at once, for one picture; an upper bound
};
[[nodiscard]] BenchSize size_of_network(const BenchNetwork& network, DType dtype);

/// Random values of a parameter of this shape.
[[nodiscard]] Tensor<float> random_weight(const Shape& shape);

/// A network with random weights and inputs. Diffusion networks run as in a sampler: the part of
/// the conditioning that depends only on time and label is computed in the constructor.
class BenchModel {
 public:
  /// Runs the network once, so that its memory is allocated. Throws Error if the output is not
  /// finite.
  BenchModel(const BenchNetwork& network, DType dtype, index_t batch);

  /// One forward pass of the batch.
  void run();

 private:
  std::unique_ptr<Workspace> workspace_ = std::make_unique<Workspace>();
  Function<Tensor<float>()> forward_;
};

}  // namespace rae::tool
