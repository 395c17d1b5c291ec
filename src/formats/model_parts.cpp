#include "formats/model_parts.hpp"

#include <algorithm>
#include <cmath>

#include "formats/check_tensors.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae::detail {
namespace {

/// The largest number that rounds to a finite f16.
constexpr float kMaxF16 = 65519.0f;

template <template <class> class Model, class Config>
ModelPart part_of(const char* prefix, const PartFile& file, const Config& config) {
  return {
      prefix, &file, parameter_shapes<Model>(config),
      [config](DType wanted, std::string_view name) { return weight_type(config, wanted, name); }};
}

}  // namespace

std::vector<ModelPart> parts_of(const ModelFiles& files) {
  if (files.packed)
    raise<ArgumentError>(files.origin,
                         ": its weights are packed for the kernels of one machine; take the bundle "
                         "that it was made from");
  const ModelConfig& c = files.config;
  std::vector<ModelPart> out;
  if (files.encoder) out.push_back(part_of<Encoder>("encoder.", *files.encoder, c.encoder));
  if (files.decoder && c.decoder)
    out.push_back(part_of<Decoder>("decoder.", *files.decoder, *c.decoder));
  if (files.dit && c.lightning_dit)
    out.push_back(part_of<LightningDit>("dit.", *files.dit, *c.lightning_dit));
  else if (files.dit && c.dit)
    out.push_back(part_of<DitDh>("dit.", *files.dit, *c.dit));
  if (files.guide && c.lightning_guide)
    out.push_back(part_of<LightningDit>("guide.", *files.guide, *c.lightning_guide));
  else if (files.guide && c.guide)
    out.push_back(part_of<DitDh>("guide.", *files.guide, *c.guide));
  for (const ModelPart& part : out) require_part(*part.file, part.parameters);
  return out;
}

Tensor<float> read_parameter(const ModelPart& part, const ParameterShape& parameter,
                             DType stored_as) {
  Tensor<float> out(parameter.shape);
  float* target = out.data();
  index_t filled = 0;
  for (const std::string& name : files_of(*part.file, parameter.name)) {
    const Tensor<float> piece = part.file->tensors.read<float>(name);
    if (filled + piece.numel() > out.numel())
      raise<ShapeError>(part.file->tensors.origin(), ": tensor ", name, " has shape ",
                        piece.shape());
    for (const float value : piece.span()) {
      if (!std::isfinite(value))
        raise<FormatError>(part.file->tensors.origin(), ": tensor ", name,
                           " holds NaN or infinity");
      if (stored_as == DType::f16 && std::abs(value) > kMaxF16)
        raise<ArgumentError>(part.file->tensors.origin(), ": tensor ", name, " holds ", value,
                             ", which f16 cannot; take bf16");
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
    // Deviations of sqrt(1e-5) come out a little below zero by rounding.
    if (shifted < -1e-8)
      raise<FormatError>(origin, ": a deviation of the latents is below ", std::sqrt(out.eps),
                         ", which cannot be stored");
    var[i] = static_cast<float>(std::max(shifted, 0.0));
  }
  return out;
}

}  // namespace rae::detail
