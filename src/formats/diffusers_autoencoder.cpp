#include "rae/formats/diffusers_autoencoder.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "formats/check_tensors.hpp"
#include "formats/config_sizes.hpp"
#include "io/config_json.hpp"
#include "rae/io/file.hpp"

namespace rae {
namespace {

namespace fs = std::filesystem;

/// Limit of config.json, which may repeat the statistics: two decimal numbers for each element of a
/// latent.
constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 26;
/// Epsilon that diffusers adds to the standard deviations of the latents.
constexpr double kDeviationEps = 1e-5;

/// config.json without the statistics, which are also among the weights and exceed the limits of
/// configurations.
ConfigNode load_config(const std::string& path) {
  constexpr std::string_view kDropped[] = {"latents_mean", "latents_std"};
  return detail::parse_json_without(as_text(read_file(path, kMaxConfigBytes)), path, kDropped);
}

std::array<double, 3> channels_or(const ConfigNode& node, std::string_view key,
                                  const std::array<double, 3>& fallback, double lowest) {
  const ConfigNode* list = node.find(key);
  if (list == nullptr || list->is_null()) return fallback;
  if (!list->is_list() || list->elements().size() != 3)
    list->fail_expected("a list of three numbers");
  std::array<double, 3> out{};
  for (std::size_t i = 0; i < 3; ++i) {
    out[i] = list->elements()[i].as_number();
    if (!(out[i] >= lowest && out[i] <= 1e6))
      list->elements()[i].fail_expected(concat("a number from ", lowest, " to 1e6"));
  }
  return out;
}

/// Reads the buffer of the channels' means or standard deviations, (1, 3, 1, 1), if the file has
/// it; it takes precedence over the configuration.
void read_channels(const TensorSource& tensors, std::string_view name, double lowest,
                   std::array<double, 3>& out) {
  if (!detail::has_tensor(tensors, name)) return;
  const Tensor<float> values = tensors.read<float>(name, Shape{1, 3, 1, 1});  // (1, 3, 1, 1)
  for (std::size_t i = 0; i < 3; ++i) {
    out[i] = static_cast<double>(values[static_cast<index_t>(i)]);
    if (!(out[i] >= lowest && out[i] <= 1e6))
      raise<FormatError>(tensors.origin(), ": tensor ", name, ": contains ", out[i]);
  }
}

/// Extent of a tensor; 0 when it is missing or of another rank.
index_t extent_or_zero(const TensorSource& tensors, const std::string& name, int rank,
                       int dimension) {
  if (!detail::has_tensor(tensors, name)) return 0;
  const Shape& shape = tensors.info(name).shape;
  return shape.rank() == rank ? shape[dimension] : 0;
}

/// The encoder. Its class in diffusers is given width, patch size and depth, and has the defaults
/// of transformers for everything else. Sizes that follow from tensors are read from them.
EncoderConfig encoder_config(const ConfigNode& node, const TensorSource& tensors) {
  EncoderConfig c;
  const ConfigNode* type = node.find("encoder_type");
  if (type == nullptr) type = node.find("encoder_cls");
  try {
    c.family =
        parse_encoder_family(type == nullptr || type->is_null() ? "dinov2" : type->as_string());
  } catch (const ArgumentError& error) {
    raise<ConfigError>(type->where(), ": ", error.what());
  }
  if (c.family == EncoderFamily::dinov3)
    type->fail_expected("dinov2, siglip2 or mae, the encoders of AutoencoderRAE");
  c.patch_size = detail::size_or(node, "encoder_patch_size", 14, kMaxModelImageSize);
  c.hidden_size = detail::size_or(node, "encoder_hidden_size", 768, kMaxWidth);
  c.num_layers = detail::size_or(node, "encoder_num_hidden_layers", 12, kMaxLayers);
  c.num_heads = c.hidden_size / 64;
  if (c.hidden_size % 64 != 0)
    node.at("encoder_hidden_size").fail_expected("a multiple of 64, the width of a head");
  c.layer_norm_eps = c.family == EncoderFamily::mae ? 1e-12 : 1e-6;

  const NameMap names = encoder_names(c.family, detail::encoder_prefix(tensors, c.family));
  const auto first = [&](const std::string& name) { return names(name).front(); };
  c.registers = c.family == EncoderFamily::dinov2
                    ? extent_or_zero(tensors, first("register_tokens"), 3, 1)
                    : 0;
  c.intermediate_size = extent_or_zero(tensors, first("layers.0.mlp.fc1.weight"), 2, 0);
  if (c.intermediate_size == 0) c.intermediate_size = 4 * c.hidden_size;
  const std::string table = first("pos_embed");
  const bool siglip = c.family == EncoderFamily::siglip2;
  const index_t rows =
      extent_or_zero(tensors, table, siglip ? 2 : 3, siglip ? 0 : 1) - (siglip ? 0 : 1);
  c.table_h = c.table_w =
      static_cast<index_t>(std::sqrt(static_cast<double>(std::max<index_t>(rows, 1))));
  if (c.table_h * c.table_w != rows)
    raise<FormatError>(tensors.origin(), ": tensor ", table, ": is not a table of a square grid");
  return c;
}

/// The decoder of `grid` x `grid` tokens.
DecoderConfig decoder_config(const ConfigNode& node, index_t in_dim, index_t grid) {
  DecoderConfig c;
  c.grid_h = c.grid_w = grid;
  c.in_dim = in_dim;
  c.hidden_size = detail::size_or(node, "decoder_hidden_size", 512, kMaxWidth);
  c.num_layers = detail::size_or(node, "decoder_num_hidden_layers", 8, kMaxLayers);
  c.num_heads = detail::size_or(node, "decoder_num_attention_heads", 16, kMaxWidth);
  c.intermediate_size = detail::size_or(node, "decoder_intermediate_size", 2048, 16 * kMaxWidth);
  c.patch_size = detail::size_or(node, "patch_size", 16, kMaxModelImageSize);
  c.layer_norm_eps = 1e-12;
  return c;
}

/// Names of the decoder, whose attention has the names of diffusers or of the official code.
NameMap decoder_names_in(const TensorSource& tensors) {
  if (!tensors.contains("decoder.decoder_layers.0.attention.to_q.weight"))
    return [](const std::string& name) {
      auto out = decoder_names()(name);
      for (std::string& file : out) file.insert(0, "decoder.");
      return out;
    };
  VitLayerNames layer = mae_layer_names();
  layer.query = "attention.to_q";
  layer.key = "attention.to_k";
  layer.value = "attention.to_v";
  layer.proj = "attention.to_out.0";
  return [layer](const std::string& name) {
    auto out = map_layers(name, "decoder_layers.", "decoder.decoder_layers.", layer);
    return out.empty() ? std::vector<std::string>{"decoder." + name} : out;
  };
}

/// A buffer of statistics, broadcast to (C, h, w), in f64.
Tensor<double> broadcast(const TensorSource& tensors, std::string_view name, const Shape& latent) {
  const Tensor<double> stored = tensors.read<double>(name);  // broadcasts to `latent`
  const Shape& from = stored.shape();
  Shape aligned{1, 1, 1};
  for (int i = 1; i <= from.rank(); ++i) {
    const index_t extent = from[-i];
    if (i > 3 ? extent != 1 : extent != 1 && extent != latent[-i])
      raise<ShapeError>(tensors.origin(), ": tensor ", name, ": shape ", from,
                        " does not broadcast to the latent ", latent);
    if (i <= 3) aligned = aligned.with(-i, extent);
  }
  Tensor<double> out(latent);  // (C, h, w)
  double* target = out.data();
  for (index_t c = 0; c < latent[0]; ++c)
    for (index_t y = 0; y < latent[1]; ++y)
      for (index_t x = 0; x < latent[2]; ++x) {
        const index_t at = (aligned[0] > 1 ? c : 0) * aligned[1] * aligned[2] +
                           (aligned[1] > 1 ? y : 0) * aligned[2] + (aligned[2] > 1 ? x : 0);
        *target++ = stored[at];
      }
  return out;
}

/// Mean and variance, (C, h, w) each, of z = scale * (tokens - mean) / (std + 1e-5).
LatentNorm<float> latent_norm(const TensorSource& tensors, const Shape& latent, double scale) {
  for (const std::string_view name : {"_latents_mean", "_latents_std"})
    if (!detail::has_tensor(tensors, name))
      raise<FormatError>(tensors.origin(), ": the tensor ", name, " is missing");
  LatentNorm<float> out;
  out.eps = 0;
  out.mean = convert<float>(broadcast(tensors, "_latents_mean", latent));
  const Tensor<double> deviation = broadcast(tensors, "_latents_std", latent);  // (C, h, w)
  out.var = Tensor<float>(latent);
  float* var = out.var.data();
  for (index_t i = 0; i < deviation.numel(); ++i) {
    const double d = (deviation[i] + kDeviationEps) / scale;
    if (!(deviation[i] >= 0) || !std::isfinite(d))
      raise<FormatError>(tensors.origin(), ": tensor _latents_std: contains ", deviation[i]);
    var[i] = static_cast<float>(d * d);
  }
  if (!all_finite(std::as_const(out.mean).span()) || !all_finite(std::as_const(out.var).span()))
    raise<FormatError>(tensors.origin(), ": the statistics of the latents contain NaN or infinity");
  return out;
}

}  // namespace

ModelFiles open_diffusers_autoencoder(const std::string& folder) {
  const ConfigNode node = load_config((fs::path(folder) / "config.json").string());
  if (const std::string name = node.get_or("_class_name", "nothing"); name != "AutoencoderRAE")
    refuse_diffusers_class(folder, name);
  if (!node.get_or("reshape_to_2d", true))
    node.at("reshape_to_2d").fail_expected("true; latents without a grid are not supported");
  if (detail::size_or(node, "num_channels", 3, 3) != 3) node.at("num_channels").fail_expected("3");
  const double scale = node.get_or("scaling_factor", 1.0);
  if (!(scale > 0 && scale <= 1e6)) node.at("scaling_factor").fail_expected("a number above 0");

  TensorSource tensors = TensorSource::open(folder);
  ModelFiles out;
  out.origin = folder;
  ModelConfig& c = out.config;
  const fs::path path = fs::path(folder).lexically_normal();
  c.name = (path.has_filename() ? path : path.parent_path()).filename().string();
  const EncoderConfig encoder = encoder_config(node, tensors);
  c.encoder = encoder;
  c.encoder_size = detail::size_or(node, "encoder_input_size", 224, kMaxModelImageSize);
  if (c.encoder_size % encoder.patch_size != 0)
    raise<ConfigError>(node.where(), ": encoder_input_size ", c.encoder_size,
                       " does not divide into patches of ", encoder.patch_size);
  const index_t grid = c.encoder_size / encoder.patch_size;
  c.decoder = decoder_config(node, encoder.hidden_size, grid);
  c.image_size = grid * c.decoder->patch_size;
  if (const ConfigNode* size = node.find("image_size");
      size != nullptr && !size->is_null() && size->as_integer() != c.image_size)
    size->fail_expected(concat(c.image_size, ", ", grid, " patches of ", c.decoder->patch_size));
  c.pixels.mean = channels_or(node, "encoder_norm_mean", c.pixels.mean, -1e6);
  c.pixels.std = channels_or(node, "encoder_norm_std", c.pixels.std, 1e-6);
  read_channels(tensors, "encoder_mean", -1e6, c.pixels.mean);
  read_channels(tensors, "encoder_std", 1e-6, c.pixels.std);
  validate(c, ConfigPlace((fs::path(folder) / "config.json").string()));

  out.encoder = TensorGroup{
      tensors, encoder_names(encoder.family, detail::encoder_prefix(tensors, encoder.family))};
  detail::require_group(*out.encoder, parameter_shapes<Encoder>(encoder));
  const NameMap decoder_names = decoder_names_in(tensors);
  const std::string table = "decoder_pos_embed";
  if (!detail::has_tensor(tensors, decoder_names(table).front())) {
    // The other tensors are checked first, so that memory is only allocated for a decoder that
    // exists.
    std::vector<ParameterShape> stored = parameter_shapes<Decoder>(*c.decoder);
    std::erase_if(stored, [&](const ParameterShape& each) { return each.name == table; });
    detail::require_group(TensorGroup{tensors, decoder_names}, stored);
    tensors = tensors.with(
        {{decoder_names(table).front(), diffusers_position_table(grid, c.decoder->hidden_size)}});
    out.encoder->tensors = tensors;
  }
  out.decoder = TensorGroup{tensors, decoder_names};
  detail::require_group(*out.decoder, parameter_shapes<Decoder>(*c.decoder));
  out.latent_norm = latent_norm(tensors, c.latent_shape(), scale);
  return out;
}

std::string diffusers_class(const std::string& folder) noexcept {
  for (const char* file : {"config.json", "model_index.json"}) try {
      const auto node = load_config((fs::path(folder) / file).string());
      if (node.is_map() && node.contains("_class_name"))
        return node.get<std::string>("_class_name").substr(0, 100);
    } catch (const std::exception&) {
    }
  return {};
}

bool is_diffusers_autoencoder(const std::string& folder) noexcept {
  return diffusers_class(folder) == "AutoencoderRAE";
}

void refuse_diffusers_class(const std::string& folder, const std::string& name) {
  constexpr std::string_view kDit =
      "is the diffusion network (DiT^DH) of RAE in diffusers, which is not supported yet; use the "
      "official checkpoint of the network (stage2_model.pt) with its configuration";
  std::string reason = "is a class of diffusers that is not supported";
  if (name == "RAEDiT2DModel") {
    reason = kDit;
  } else if (name == "RAEDiTPipeline") {
    reason = "is a pipeline of diffusers, of which only the autoencoder is supported yet";
    std::error_code none;
    for (const char* part : {"vae", "autoencoder"})
      if (const fs::path inside = fs::path(folder) / part; fs::is_directory(inside, none))
        reason += concat("; open its folder '", inside.string(), "'");
  }
  raise<ConfigError>(folder, ": _class_name: expected AutoencoderRAE, got ", name.substr(0, 100),
                     ", which ", reason);
}

Tensor<float> diffusers_position_table(index_t grid, index_t dim) {
  if (grid < 1 || dim < 4 || dim % 4 != 0)
    raise<ArgumentError>(
        "diffusers_position_table: expected a width that is a multiple of 4 and a "
        "grid of at least 1, got ",
        dim, " and ", grid);
  constexpr float kBaseSize = 16;
  const index_t quarter = dim / 4;
  const float step = static_cast<float>(grid) / kBaseSize;
  Tensor<float> table(Shape{1, 1 + grid * grid, dim}, 0.0f);  // (1, 1 + h*w, D)
  float* out = table.data() + dim;
  for (index_t t = 0; t < grid * grid; ++t)
    for (index_t i = 0; i < dim; ++i) {
      const auto place = static_cast<float>(i < dim / 2 ? t % grid : t / grid);
      const double angle =
          static_cast<double>(place / step) /
          std::pow(10000.0, static_cast<double>(i % quarter) / static_cast<double>(quarter));
      *out++ = static_cast<float>(i / quarter % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  return table;
}

}  // namespace rae
