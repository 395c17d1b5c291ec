// Reads latents from safetensors files and checks them.
#include "tool/latents.hpp"

#include <algorithm>
#include <cmath>

#include "rae/io/safetensors.hpp"

namespace rae::tool {

Tensor<float> read_latents(const std::string& path, const std::vector<std::string>& names,
                           const Shape& sample) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto name = std::find_if(names.begin(), names.end(),
                                 [&](const auto& each) { return file.contains(each); });
  if (name == names.end()) {
    const std::string has = file.names().empty() ? "nothing"
                                                 : "'" + file.names().front() + "'" +
                                                       (file.names().size() > 1 ? ", ..." : "");
    raise<FormatError>(path, ": expected a tensor '", names.front(), "', but the file has ", has);
  }
  const Shape& shape = file.info(*name).shape;
  if (shape.rank() != 4 || shape[0] < 1 || Shape{shape[1], shape[2], shape[3]} != sample)
    raise<ShapeError>(path, ": tensor '", *name, "': expected (B, ", sample[0], ", ", sample[1],
                      ", ", sample[2], "), got ", shape);
  Tensor<float> latents = file.read<float>(*name);  // (B, C, h, w)
  const auto values = std::as_const(latents).span();
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end())
    raise<NumericError>(path, ": tensor '", *name, "': value ", bad - values.begin(), " is ",
                        std::isnan(*bad) ? "NaN" : "infinite");
  return latents;
}

Tensor<float> take_samples(const Tensor<float>& batch, index_t first, index_t count) {
  std::array<index_t, kMaxRank> extents{};
  std::copy(batch.shape().begin(), batch.shape().end(), extents.begin());
  extents[0] = count;
  const index_t n = batch.numel() / batch.extent(0);
  return Tensor<float>(  // (count, ...)
      Shape(std::span<const index_t>(extents.data(), static_cast<std::size_t>(batch.rank()))),
      batch.span().subspan(static_cast<std::size_t>(first * n),
                           static_cast<std::size_t>(count * n)));
}

}  // namespace rae::tool
