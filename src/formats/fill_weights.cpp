#include "rae/formats/fill_weights.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "formats/check_tensors.hpp"
#include "formats/packed_weights.hpp"

namespace rae::detail {
namespace {

std::string where(const TensorGroup& group, std::string_view network_name) {
  return network_name.empty() ? group.tensors.origin()
                              : concat(group.tensors.origin(), ": ", network_name);
}

PackedWeight packed_weight(const WeightPacking& packing, const std::string& name,
                           const Shape& shape, ParameterUse use) {
  return {name, shape, packing.stored_as(name), panel_columns(use)};
}

template <Real T>
void require_finite(const TensorGroup& group, std::string_view network_name,
                    const std::string& name, std::span<const T> values) {
  bool finite = false;
  if constexpr (std::same_as<T, float>)
    finite = is_finite(std::as_bytes(values), DType::f32);
  else
    finite = all_finite(values);
  if (!finite)
    raise<FormatError>(where(group, network_name), ": tensor ", name, " contains NaN or infinity");
}

template <Real T>
Tensor<T> read(const TensorGroup& group, std::string_view network_name, const std::string& name) {
  Tensor<T> out = group.tensors.read<T>(name);  // as stored
  require_finite(group, network_name, name, std::as_const(out).span());
  return out;
}

/// A tensor of f32 in place; empty when it is stored as another type or without alignment.
View<const float> in_place(const TensorGroup& group, const std::string& name, const Shape& shape) {
  const std::span<const std::byte> bytes = group.tensors.bytes(name);
  if (group.tensors.info(name).dtype != DType::f32 ||
      bytes.size() != static_cast<std::size_t>(shape.numel()) * sizeof(float) ||
      reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(float) != 0)
    return {};
  return {reinterpret_cast<const float*>(bytes.data()), shape};
}

}  // namespace

void check_weights(const TensorGroup& group, std::string_view network_name,
                   const std::vector<ParameterShape>& parameters, const WeightPacking* packing) {
  const TensorSource& tensors = group.tensors;
  for (const auto& [name, shape, use] : parameters) {
    if (packing != nullptr && packing->in_file && use != ParameterUse::elements) {
      packed_weight(*packing, name, shape, use).check(tensors, where(group, network_name));
      continue;
    }
    const std::vector<std::string> pieces = names_in_file(group, name);
    for (const std::string& each : pieces) {
      if (!tensors.contains(each))
        raise<FormatError>(where(group, network_name), ": the tensor ", each,
                           why_missing(tensors, each));
      if (const Shape& found = tensors.info(each).shape;
          !fits(found, piece_of(shape, pieces.size())))
        raise<ShapeError>(where(group, network_name), ": tensor ", each, ": expected ",
                          pieces.size() > 1 ? "a part of " : "", shape, ", got ", found);
    }
  }
}

template <Real T>
Tensor<T> read_weight(const TensorGroup& group, std::string_view network_name,
                      const std::string& name, const Shape& shape) {
  const std::vector<std::string> pieces = names_in_file(group, name);
  if (pieces.size() == 1) return read<T>(group, network_name, pieces.front()).reshaped(shape);
  Tensor<T> joined(shape);  // the parameter's shape
  T* target = joined.data();
  for (const std::string& each : pieces) {
    const Tensor<T> rows = read<T>(group, network_name, each);  // a part of the rows
    target = std::copy_n(rows.data(), rows.numel(), target);
  }
  return joined;
}

void pack_weight(Parameter<Tensor<float>>& parameter, const TensorGroup& group,
                 std::string_view network_name, const std::string& name,
                 const WeightPacking& packing) {
  const bool product = parameter.use() != ParameterUse::elements;
  if (packing.in_file && product)
    return parameter.pack(packed_weight(packing, name, parameter.shape(), parameter.use())
                              .read(group.tensors, where(group, network_name)));
  const DType stored = packing.stored_as(name);
  const std::vector<std::string> pieces = names_in_file(group, name);
  if (product && pieces.size() == 1) {
    const View<const float> elements =
        in_place(group, pieces.front(), parameter.shape());  // (N, K)
    if (!elements.empty()) {
      require_finite<float>(group, network_name, pieces.front(),
                            {elements.data(), static_cast<std::size_t>(elements.numel())});
      parameter.pack(elements, stored);
      group.tensors.release(pieces.front());
      return;
    }
  }
  parameter.set(read_weight<float>(group, network_name, name, parameter.shape()));
  parameter.pack(stored);
}

template Tensor<float> read_weight(const TensorGroup&, std::string_view, const std::string&,
                                   const Shape&);
template Tensor<double> read_weight(const TensorGroup&, std::string_view, const std::string&,
                                    const Shape&);

}  // namespace rae::detail
