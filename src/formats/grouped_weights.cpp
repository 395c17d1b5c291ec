#include "formats/grouped_weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "kernels/grouped_product.hpp"
#include "rae/core/parallel.hpp"

namespace rae::detail {
namespace {

constexpr std::string_view kIntegers = ".int8", kScale = ".scale";
constexpr index_t kRowsAtOnce = 16;  // of a parallel loop

/// Shape of the scales of a weight (N, K).
Shape scale_shape(const Shape& shape) { return {shape[0], ceil_div(shape[1], kGroupSize)}; }

/// The weight NAME (N, K).
Tensor<float> read_grouped(const TensorSource& tensors, const std::string& name) {
  const std::string integers = concat(name, kIntegers), scale = concat(name, kScale);
  const TensorInfo& info = tensors.info(integers);
  if (info.dtype != DType::int8 || info.shape.rank() != 2 || info.shape.numel() == 0)
    raise<FormatError>(tensors.origin(), ": tensor ", integers, ": expected (N, K) of int8, got ",
                       info.shape, " of ", name_of(info.dtype));
  if (!tensors.contains(scale))
    raise<FormatError>(tensors.origin(), ": the tensor ", scale, " is missing");
  const Shape expected = scale_shape(info.shape);
  if (const TensorInfo& found = tensors.info(scale);
      found.dtype != DType::bf16 || !(found.shape == expected))
    raise<FormatError>(tensors.origin(), ": tensor ", scale, ": expected ", expected,
                       " of bf16, got ", found.shape, " of ", name_of(found.dtype));
  const Tensor<float> scales = tensors.read<float>(scale);  // (N, groups)
  if (!all_finite(scales.span()))
    raise<FormatError>(tensors.origin(), ": tensor ", scale, " contains NaN or infinity");
  const std::span<const std::byte> bytes = tensors.bytes(integers);
  Tensor<float> out(info.shape);  // (N, K)
  const index_t k = info.shape[1], groups = expected[1];
  float* to = out.data();
  parallel_for(info.shape[0], kRowsAtOnce, [&](index_t row) {
    for (index_t i = 0; i < k; ++i) {
      std::int8_t value;
      std::memcpy(&value, bytes.data() + row * k + i, 1);
      to[row * k + i] = static_cast<float>(value) * scales[row * groups + i / kGroupSize];
    }
  });
  tensors.release(integers);
  return out;
}

}  // namespace

std::vector<SafetensorsSlot> grouped_slots(const std::string& name, const Shape& shape) {
  return {{concat(name, kIntegers), DType::int8, shape},
          {concat(name, kScale), DType::bf16, scale_shape(shape)}};
}

void write_grouped(SafetensorsWriter& writer, const Tensor<float>& weight) {
  const index_t rows = weight.extent(0), k = weight.extent(1);
  std::vector<std::int8_t> integers(static_cast<std::size_t>(rows * k));
  Tensor<float> scales(scale_shape(weight.shape()));  // (N, groups)
  const index_t groups = scales.extent(1);
  const float* from = weight.data();
  float* unit = scales.data();
  parallel_for(rows, kRowsAtOnce, [&](index_t row) {
    for (index_t g = 0; g < groups; ++g) {
      const index_t at = row * k + g * kGroupSize, n = std::min(kGroupSize, k - g * kGroupSize);
      std::int32_t values[kGroupSize];
      unit[row * groups + g] =
          quantize_group(from + at, index_t{1}, n, bits_of_groups(DType::int8w), values);
      for (index_t i = 0; i < n; ++i)
        integers[static_cast<std::size_t>(at + i)] = static_cast<std::int8_t>(values[i]);
    }
  });
  writer.write_bytes(std::as_bytes(std::span(integers)));
  writer.write(scales);
}

bool is_group_scale(const TensorSource& tensors, const std::string& name) {
  return name.ends_with(kScale) &&
         tensors.contains(concat(name.substr(0, name.size() - kScale.size()), kIntegers));
}

TensorSource with_whole_weights(const TensorSource& tensors) {
  std::map<std::string, Tensor<float>> whole;
  std::set<std::string> parts;
  for (const std::string& each : tensors.names()) {
    if (!each.ends_with(kIntegers)) continue;
    const std::string name = each.substr(0, each.size() - kIntegers.size());
    whole.emplace(name, read_grouped(tensors, name));
    parts.insert(each);
    parts.insert(concat(name, kScale));
  }
  return whole.empty() ? tensors : tensors.without(parts).with(whole);
}

}  // namespace rae::detail
