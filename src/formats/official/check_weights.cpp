#include "formats/official/check_weights.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "rae/models/name_map.hpp"
#include "rae/nn/outline.hpp"

namespace rae::official {
namespace {

/// Extents other than 1: a convolution with a kernel of 1 has the weights of a matrix.
std::vector<index_t> essential(const Shape& shape) {
  std::vector<index_t> out;
  for (const index_t extent : shape)
    if (extent != 1) out.push_back(extent);
  return out;
}

/// Convolutions of larger kernels are matrices of ours, too: their rows and their number of
/// elements must agree.
bool fits(const Shape& stored, const Shape& wanted) {
  const std::vector<index_t> a = essential(stored), b = essential(wanted);
  if (a == b) return true;
  return stored.rank() == 4 && wanted.rank() == 2 && stored.numel() == wanted.numel() &&
         stored[0] == wanted[0];
}

/// Keys of the configuration that decide about a tensor, by a part of its name; the first that
/// fits.
using Keys = std::vector<std::pair<std::string_view, std::string_view>>;

const Keys kTransformerKeys = {
    {"pos_embed", "params.input_size, params.hidden_size, params.use_pos_embed"},
    {"y_embedder.", "params.num_classes, params.class_dropout_prob (above 0 adds a row)"},
    {"_norm.", "params.use_qknorm, params.num_heads"},
    {"norm", "params.use_rmsnorm, params.hidden_size"},
    {".mlp.w", "params.use_swiglu, params.mlp_ratio, params.hidden_size"},
    {".mlp.fc", "params.use_swiglu, params.mlp_ratio, params.hidden_size"},
    {"embedder.proj", "target, params.hidden_size, params.in_channels, params.patch_size"},
    {"final_layer.linear", "params.in_channels, params.learn_sigma"},
    {"", "target, params.hidden_size"},
};

const Keys kDecoderKeys = {
    {"pos_embed", "encoder_input_size (a decoder is made for one resolution), decoder_config_path"},
    {"decoder_embed", "decoder_config_path, encoder_params"},
    {"decoder_pred", "decoder_patch_size, decoder_config_path"},
    {"", "decoder_config_path"},
};

std::string_view keys_of(const Keys& keys, std::string_view name) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const auto& each) {
    return name.find(each.first) != std::string_view::npos;
  });
  return found->second;
}

/// Layers "PREFIXn." in a list of names.
template <class Names, class NameOf>
index_t layers_in(const Names& names, std::string_view prefix, NameOf name_of) {
  index_t count = 0;
  for (const auto& each : names) {
    const std::string& name = name_of(each);
    if (!name.starts_with(prefix)) continue;
    const std::string digits =
        name.substr(prefix.size(), name.find('.', prefix.size()) - prefix.size());
    if (digits.empty() || digits.size() > 6 ||
        digits.find_first_not_of("0123456789") != std::string::npos)
      continue;
    count = std::max<index_t>(count, std::stol(digits) + 1);
  }
  return count;
}

/// Compares the file's tensors with a model's parameters. Returns the names that the model needs.
std::set<std::string> require_all(const TensorSource& file, const std::string& where,
                                  const std::vector<ParameterShape>& parameters,
                                  const NameMap& names, const Keys& keys, std::string_view layers,
                                  std::string_view depth) {
  const index_t wanted =
      layers_in(parameters, layers,
                [](const ParameterShape& each) -> const std::string& { return each.name; });
  const index_t found = layers_in(
      file.names(), layers, [](const std::string& each) -> const std::string& { return each; });
  const auto files = [&](const std::string& name) {
    return names ? names(name) : std::vector<std::string>{name};
  };
  if (std::none_of(parameters.begin(), parameters.end(), [&](const ParameterShape& each) {
        return file.contains(files(each.name).front());
      }))
    raise<FormatError>(file.origin(), ": holds none of the tensors of ", where, "; its first is '",
                       file.names().empty() ? std::string() : file.names().front(), "'");
  std::set<std::string> needed;
  for (const auto& [name, shape, use] : parameters) {
    const std::vector<std::string> stored = files(name);
    const Shape part =
        stored.size() > 1 ? shape.with(0, shape[0] / static_cast<index_t>(stored.size())) : shape;
    for (const std::string& each : stored) {
      needed.insert(each);
      // Before the first tensor of a layer: another number of layers explains more than the tensor
      // that is missing for it.
      if (each.starts_with(layers) && found != wanted)
        raise<ShapeError>(file.origin(), ": has ", found, " layers '", layers, "N', but ", where,
                          " has ", wanted, "; see ", depth);
      if (!file.contains(each))
        raise<FormatError>(file.origin(), ": has no tensor '", each, "', which ", where,
                           " needs; see ", keys_of(keys, each));
      const Shape& have = file.info(each).shape;
      if (!fits(have, part))
        raise<ShapeError>(file.origin(), ": tensor '", each, "' is ", have, ", but ", where,
                          " makes it ", part, "; see ", keys_of(keys, each));
    }
  }
  return needed;
}

/// Throws for a tensor that the model does not have, but for tables that we compute ourselves.
void require_no_others(const TensorSource& file, const std::string& where,
                       const std::set<std::string>& needed) {
  for (const std::string& name : file.names())
    if (needed.count(name) == 0 && !name.ends_with("_rope.freqs_cos") &&
        !name.ends_with("_rope.freqs_sin"))
      raise<FormatError>(file.origin(), ": has a tensor '", name, "', which the model of ", where,
                         " does not have; see ", keys_of(kTransformerKeys, name));
}

template <class Parameters>
void require_transformer(const TensorSource& file, const std::string& where,
                         const Parameters& parameters) {
  require_no_others(
      file, where,
      require_all(file, where, parameters, {}, kTransformerKeys, "blocks.", "params.depth"));
}

}  // namespace

void require_weights(const TensorSource& file, const std::string& where,
                     const DitDhConfig& config) {
  require_transformer(file, where, parameter_shapes<DitDh>(config));
}

void require_weights(const TensorSource& file, const std::string& where,
                     const LightningDitConfig& config) {
  require_transformer(file, where, parameter_shapes<LightningDit>(config));
}

void require_weights(const TensorSource& file, const std::string& where,
                     const DecoderConfig& config) {
  (void)require_all(file, where, parameter_shapes<Decoder>(config), decoder_names(), kDecoderKeys,
                    "decoder_layers.", "decoder_config_path");
}

}  // namespace rae::official
