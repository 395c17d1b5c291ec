// The networks that `rae bench` measures: official sizes with random weights.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <variant>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/workspace.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/spec/network_role.hpp"

namespace rae::tool {

/// A network that can be measured.
struct BenchNetwork {
  std::string_view name, what;
  std::variant<DitDhConfig, LightningDitConfig, DecoderConfig, EncoderConfig> config;
  index_t image_size = 0;  // side of an encoder's picture
};

/// All of them.
[[nodiscard]] const std::vector<BenchNetwork>& bench_networks();

/// Sizes of a network.
struct BenchSize {
  double products = 0;     // multiply-adds of one forward of one picture, as `BenchModel` runs it
  index_t parameters = 0;  // elements
  std::uint64_t weight_bytes = 0;  // with `dtype` as --dtype
  std::uint64_t work_bytes =
      0;  // for one picture, at least the size of all tensors between layers at one time
};
[[nodiscard]] BenchSize size_of_network(const BenchNetwork& network, DType dtype);

/// The weight that such a network has in a parameter of this shape.
[[nodiscard]] Tensor<float> random_weight(const Shape& shape);

/// A network with random weights and inputs. Diffusion networks run as a sampler runs them:
/// the part that depends only on time and label was computed before.
class BenchModel {
 public:
  /// Runs the network once, so that its memory is there. Throws Error if the output is not finite.
  BenchModel(const BenchNetwork& network, DType dtype, index_t batch);

  /// One forward pass of the batch.
  void run();

 private:
  std::unique_ptr<Workspace> workspace_ = std::make_unique<Workspace>();
  Function<Tensor<float>()> forward_;
};

}  // namespace rae::tool
