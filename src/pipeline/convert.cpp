#include "rae/pipeline/convert.hpp"

#include <cmath>
#include <filesystem>
#include <functional>
#include <utility>

#include "io/torch_writer.hpp"
#include "pipeline/bundle_parts.hpp"
#include "pipeline/part_check.hpp"
#include "rae/kernels/rope.hpp"

namespace rae {
namespace {

namespace fs = std::filesystem;

/// The largest number that rounds to a finite f16.
constexpr float kMaxF16 = 65519.0f;

/// One part of a model: where it is and what it has.
struct Part {
  std::string prefix;
  const PartFile* file;
  std::vector<ParameterShape> parameters;
};

std::vector<Part> parts_of(const ModelFiles& files) {
  const ModelConfig& c = files.config;
  std::vector<Part> out;
  if (files.encoder) out.push_back({"encoder.", &*files.encoder, parameter_shapes<Encoder>(c.encoder)});
  if (files.decoder && c.decoder) out.push_back({"decoder.", &*files.decoder, parameter_shapes<Decoder>(*c.decoder)});
  if (files.dit && c.lightning_dit)
    out.push_back({"dit.", &*files.dit, parameter_shapes<LightningDit>(*c.lightning_dit)});
  else if (files.dit && c.dit)
    out.push_back({"dit.", &*files.dit, parameter_shapes<DitDh>(*c.dit)});
  if (files.guide && c.guide) out.push_back({"guide.", &*files.guide, parameter_shapes<DitDh>(*c.guide)});
  for (const Part& part : out) detail::require_part(*part.file, part.parameters);
  return out;
}

/// The value of one parameter, whose parts in the file are its rows. Throws FormatError, ArgumentError for what cannot be stored.
Tensor<float> read_parameter(const Part& part, const ParameterShape& parameter, DType stored_as) {
  Tensor<float> out(parameter.shape);
  float* target = out.data();
  index_t filled = 0;
  for (const std::string& name : detail::files_of(*part.file, parameter.name)) {
    const Tensor<float> piece = part.file->tensors.read<float>(name);
    if (filled + piece.numel() > out.numel())
      raise<ShapeError>(part.file->tensors.origin(), ": tensor ", name, " has shape ", piece.shape());
    for (const float value : piece.span()) {
      if (!std::isfinite(value)) raise<FormatError>(part.file->tensors.origin(), ": tensor ", name, " holds NaN or infinity");
      if (stored_as == DType::f16 && std::abs(value) > kMaxF16)
        raise<ArgumentError>(part.file->tensors.origin(), ": tensor ", name, " holds ", value, ", which f16 cannot; take bf16");
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

/// The statistics for readers that add 1e-5 to the variance, as bundles and the official code do.
LatentNorm<float> with_official_eps(const LatentNorm<float>& norm, const std::string& origin) {
  LatentNorm<float> out;
  out.mean = norm.mean;
  out.var = norm.var;
  if (norm.eps == out.eps || norm.var.empty()) {
    if (norm.eps != out.eps) raise<FormatError>(origin, ": the statistics have no variance, but an epsilon of ", norm.eps);
    return out;
  }
  float* var = out.var.data();
  for (index_t i = 0; i < out.var.numel(); ++i) {
    const double shifted = static_cast<double>(var[i]) + norm.eps - out.eps;
    // Deviations of sqrt(1e-5) come out a little below zero by rounding.
    if (shifted < -1e-8)
      raise<FormatError>(origin, ": a deviation of the latents is below ", std::sqrt(out.eps), ", which cannot be stored");
    var[i] = static_cast<float>(std::max(shifted, 0.0));
  }
  return out;
}

/// The name and shape that a parameter has in an official state dict; its rows are split over several names by `names`.
Shape official_shape(const std::string& name, const Shape& shape, index_t channels, index_t patch) {
  const bool convolution = name == "x_embedder.proj.weight" || name == "s_embedder.proj.weight";
  return convolution ? Shape{shape[0], channels, patch, patch} : shape;
}

/// Two tables of rotary angles under the official names.
struct Rope {
  std::string name;
  index_t grid_h, grid_w, head_dim;
};

/// An official state dict of one part.
void write_state_dict(const std::string& path, const Part& part, const NameMap& names, const std::vector<Rope>& ropes, index_t channels,
                      index_t patch, DType stored_as) {
  std::vector<SafetensorsSlot> slots;
  for (const auto& [name, shape] : part.parameters) {
    const auto official = names ? names(name) : std::vector<std::string>{name};
    Shape piece = official_shape(name, shape, channels, patch);
    if (official.size() > 1) piece = piece.with(0, piece[0] / static_cast<index_t>(official.size()));
    for (const std::string& file : official) slots.push_back({file, stored_as, piece});
  }
  for (const Rope& rope : ropes)
    for (const char* half : {".freqs_cos", ".freqs_sin"})
      slots.push_back({rope.name + half, DType::f32, {rope.grid_h * rope.grid_w, rope.head_dim}});
  detail::TorchWriter writer(path, slots);
  std::size_t slot = 0;
  for (const ParameterShape& parameter : part.parameters) {
    const Tensor<float> value = read_parameter(part, parameter, stored_as);
    const auto pieces = names ? names(parameter.name).size() : 1;
    const auto n = static_cast<std::size_t>(value.numel()) / pieces;
    for (std::size_t i = 0; i < pieces; ++i) writer.write(Tensor<float>(slots[slot++].shape, value.span().subspan(i * n, n)));
  }
  for (const Rope& rope : ropes) {
    const RopeTable<float> table = make_rope_table<float>(rope.grid_h, rope.grid_w, rope.head_dim);
    writer.write(table.cos);
    writer.write(table.sin);
  }
  writer.commit();
}

void write_dit_dh(const std::string& path, const Part& part, const DitDhConfig& c, DType stored_as) {
  std::vector<Rope> ropes;
  if (c.use_rope)
    ropes = {{"enc_feat_rope", c.grid_h, c.grid_w, c.hidden_size[0] / c.num_heads[0]},
             {"dec_feat_rope", c.grid_h, c.grid_w, c.hidden_size[1] / c.num_heads[1]}};
  write_state_dict(path, part, {}, ropes, c.in_channels, 1, stored_as);
}

}  // namespace

void save_bundle(const ModelFiles& files, const std::string& path, DType stored_as, const std::map<std::string, std::string>& notes) {
  require_float(stored_as);
  if (notes.count(std::string(detail::kConfigKey)) != 0) raise<ArgumentError>("save_bundle: the note 'config' is reserved");
  const std::vector<Part> parts = parts_of(files);
  if (parts.empty()) raise<ArgumentError>(files.origin, ": there is nothing to write");
  ModelConfig config = files.config;
  if (!files.decoder) config.decoder.reset();
  if (!files.dit) {
    config.dit.reset();
    config.lightning_dit.reset();
  }
  if (!files.guide) {
    config.guide.reset();
    config.sampling.autoguidance.reset();
  }
  const LatentNorm<float> norm = with_official_eps(files.latent_norm, files.origin);
  std::map<std::string, std::string> metadata = notes;
  metadata.emplace(detail::kConfigKey, to_config(config).to_json());
  std::map<std::string, Shape> shapes;
  std::vector<SafetensorsSlot> slots;
  const auto add = [&](const std::string& name, const Shape& shape, bool delicate) {
    shapes.emplace(name, shape);
    slots.push_back({name, delicate ? DType::f32 : stored_as, shape});
  };
  for (const Part& part : parts)
    for (const auto& [name, shape] : part.parameters) add(part.prefix + name, shape, shape.rank() <= 1);
  if (!norm.mean.empty()) add(std::string(detail::kLatentMean), norm.mean.shape(), true);
  if (!norm.var.empty()) add(std::string(detail::kLatentVar), norm.var.shape(), true);
  // What is written can be read again.
  (void)detail::bundle_config(files.origin, metadata);
  detail::require_parts(files.origin, config, shapes);

  SafetensorsWriter writer(path, std::move(slots), metadata);
  for (const Part& part : parts)
    for (const ParameterShape& parameter : part.parameters)
      writer.write(read_parameter(part, parameter, parameter.shape.rank() <= 1 ? DType::f32 : stored_as));
  for (const auto& [name, tensor] : {std::pair(detail::kLatentMean, &norm.mean), std::pair(detail::kLatentVar, &norm.var)}) {
    if (tensor->empty()) continue;
    detail::require_values(files.origin, std::string(name), *tensor);
    writer.write(*tensor);
  }
  writer.commit();
}

std::vector<std::string> save_official_weights(const ModelFiles& files, const std::string& folder, DType stored_as) {
  require_float(stored_as);
  const ModelConfig& c = files.config;
  std::vector<std::string> written;
  const auto path_of = [&](const char* sub, const char* name) {
    const fs::path path = fs::path(folder) / sub;
    std::error_code error;
    fs::create_directories(path, error);
    if (error) raise<FileError>("cannot make the folder '", path.string(), "': ", error.message());
    return written.emplace_back((path / name).string());
  };
  for (const Part& part : parts_of(files)) {
    if (part.prefix == "decoder.")
      write_state_dict(path_of("decoder", "model.pt"), part, decoder_names(), {}, 0, 0, stored_as);
    else if (part.prefix == "guide.")
      write_dit_dh(path_of("guide", "stage2_model.pt"), part, *c.guide, stored_as);
    else if (part.prefix == "dit." && c.lightning_dit) {
      const LightningDitConfig& d = *c.lightning_dit;
      std::vector<Rope> ropes;
      if (d.use_rope) ropes = {{"feat_rope", d.input_h / d.patch_size, d.input_w / d.patch_size, d.hidden_size / d.num_heads}};
      write_state_dict(path_of("dit", "stage2_model.pt"), part, {}, ropes, d.in_channels, d.patch_size, stored_as);
    } else if (part.prefix == "dit.") {
      write_dit_dh(path_of("dit", "stage2_model.pt"), part, *c.dit, stored_as);
    }
  }
  const LatentNorm<float> norm = with_official_eps(files.latent_norm, files.origin);
  std::vector<std::pair<std::string, const Tensor<float>*>> statistics;
  if (!norm.mean.empty()) statistics.emplace_back("mean", &norm.mean);
  if (!norm.var.empty()) statistics.emplace_back("var", &norm.var);
  if (!statistics.empty()) {
    std::vector<SafetensorsSlot> slots;
    for (const auto& [name, tensor] : statistics) slots.push_back({name, DType::f32, tensor->shape()});
    detail::TorchWriter writer(path_of("stats", "stat.pt"), slots);
    for (const auto& [name, tensor] : statistics) writer.write(*tensor);
    writer.commit();
  }
  if (written.empty()) raise<ArgumentError>(files.origin, ": has neither decoder, diffusion transformer nor statistics");
  return written;
}

}  // namespace rae
