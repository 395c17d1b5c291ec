// Sets the weights of a network from a file. All networks are filled by this function.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "rae/formats/model_files.hpp"

namespace rae {

/// The storage of weight matrices after loading, for inference.
struct WeightPacking {
  /// The type of each matrix, by the name of its parameter.
  Function<DType(const std::string& parameter)> stored_as;
  /// True when the file stores the matrices in the layout of the kernels (see
  /// `save_packed_bundle`).
  bool in_file = false;
};

namespace detail {

/// Throws FormatError for a missing tensor and ShapeError for another shape, both naming the file,
/// the network `network_name` and the tensor. Reads no tensor.
void check_weights(const TensorGroup& group, std::string_view network_name,
                   const std::vector<ParameterShape>& parameters,
                   const WeightPacking* packing = nullptr);

/// The elements of one parameter, concatenated from several tensors if need be. Throws FormatError
/// for NaN and infinity. T is float or double.
template <Real T>
[[nodiscard]] Tensor<T> read_weight(const TensorGroup& group, std::string_view network_name,
                                    const std::string& name, const Shape& shape);

/// Reads and packs one parameter, without a copy of its elements where that is possible.
void pack_weight(Parameter<Tensor<float>>& parameter, const TensorGroup& group,
                 std::string_view network_name, const std::string& name,
                 const WeightPacking& packing);

}  // namespace detail

/// Sets all parameters of a network, for inference or for training, from the tensors of a file.
/// Extents of 1, as convolutions have them, need not match. Everything is checked before the first
/// parameter is set: throws FormatError for a missing tensor, ShapeError for another shape, and
/// while reading FormatError for NaN and infinity. `network_name` is used in messages unless it is
/// empty. With `packing`, matrices are packed one by one, so that at most one is in memory twice;
/// networks for training ignore it.
template <class Network>
void fill_weights(Network& network, const TensorGroup& group, std::string_view network_name = {},
                  const WeightPacking* packing = nullptr) {
  std::vector<ParameterShape> parameters;
  network.parameters([&](const std::string& name, auto& p) {
    if (!p.empty()) parameters.push_back({name, p.shape(), p.use()});
  });
  detail::check_weights(group, network_name, parameters, packing);
  network.parameters([&](const std::string& name, auto& p) {
    using P = std::decay_t<decltype(p)>;
    if (p.empty()) return;
    if constexpr (std::is_same_v<P, Parameter<Tensor<float>>>)
      if (packing != nullptr) return detail::pack_weight(p, group, network_name, name, *packing);
    p.set(detail::read_weight<typename P::T>(group, network_name, name, p.shape()));
  });
}

/// @cond
namespace detail {
extern template Tensor<float> read_weight(const TensorGroup&, std::string_view, const std::string&,
                                          const Shape&);
extern template Tensor<double> read_weight(const TensorGroup&, std::string_view, const std::string&,
                                           const Shape&);
}  // namespace detail
/// @endcond

}  // namespace rae
