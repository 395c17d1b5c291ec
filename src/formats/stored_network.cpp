#include "formats/stored_network.hpp"

#include <algorithm>
#include <cmath>

#include "formats/check_tensors.hpp"

namespace rae::detail {
namespace {

/// The largest integer that rounds to a finite f16.
constexpr float kMaxF16 = 65519.0f;

}  // namespace

std::vector<StoredNetwork> stored_networks(const ModelFiles& files) {
  if (files.packed)
    raise<ArgumentError>(files.origin,
                         ": its weights are packed for the kernels of one machine; use the bundle "
                         "that it was packed from");
  std::vector<StoredNetwork> out;
  for (const NetworkRole role : kNetworkRoles)
    if (files.network(role) && describes(files.config, role))
      out.push_back({role, &*files.network(role), outline_of(files.config, role)});
  for (const StoredNetwork& network : out)
    require_group(*network.group, network.outline.parameters);
  return out;
}

Tensor<float> read_parameter(const StoredNetwork& network, const ParameterShape& parameter,
                             DType stored_as) {
  const TensorSource& tensors = network.group->tensors;
  Tensor<float> out(parameter.shape);  // parameter.shape
  float* target = out.data();
  index_t filled = 0;
  for (const std::string& name : names_in_file(*network.group, parameter.name)) {
    const Tensor<float> piece = tensors.read<float>(name);  // the shape in the file
    if (filled + piece.numel() > out.numel())
      raise<ShapeError>(tensors.origin(), ": tensor ", name, " has shape ", piece.shape());
    for (const float value : piece.span()) {
      if (!std::isfinite(value))
        raise<FormatError>(tensors.origin(), ": tensor ", name, " contains NaN or infinity");
      if (stored_as == DType::f16 && std::abs(value) > kMaxF16)
        raise<ArgumentError>(tensors.origin(), ": tensor ", name, " contains ", value,
                             ", which is too large for f16; use bf16");
    }
    std::copy_n(piece.data(), piece.numel(), target + filled);
    filled += piece.numel();
  }
  return out;
}

void require_float(DType type) {
  if (type != DType::f64 && type != DType::f32 && type != DType::bf16 && type != DType::f16)
    raise<ArgumentError>("weights cannot be stored as ", name_of(type));
}

LatentNorm<float> with_official_eps(const LatentNorm<float>& norm, const std::string& origin) {
  LatentNorm<float> out;
  out.mean = norm.mean;
  out.var = norm.var;
  if (norm.eps == out.eps || norm.var.empty()) {
    if (norm.eps != out.eps)
      raise<FormatError>(origin, ": the statistics have no variance, but an epsilon of ", norm.eps);
    return out;
  }
  float* var = out.var.data();
  for (index_t i = 0; i < out.var.numel(); ++i) {
    const double shifted = static_cast<double>(var[i]) + norm.eps - out.eps;
    // Rounding may make the variance slightly negative when the standard deviation is sqrt(1e-5).
    if (shifted < -1e-8)
      raise<FormatError>(origin, ": a standard deviation of the latents is below ",
                         std::sqrt(out.eps), ", which cannot be stored");
    var[i] = static_cast<float>(std::max(shifted, 0.0));
  }
  return out;
}

}  // namespace rae::detail
