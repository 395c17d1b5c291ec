#include "formats/official/check_weights.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/check_tensors.hpp"

namespace rae::official {
namespace {

using detail::fits;
using detail::names_in_file;
using detail::piece_of;

/// Parts of a tensor's name, and the keys of the configuration that determine the tensor; the first
/// match is used.
using Keys = std::vector<std::pair<std::string_view, std::string_view>>;

const Keys kTransformerKeys = {
    {"pos_embed", "params.input_size, params.hidden_size, params.use_pos_embed"},
    {"repa_projector.", "repa.use_repa, repa.target_encoder, params.z_dim"},
    {"base_final_layer.", "target (a class with IG), params.base_model_depth"},
    {"learnable_tokens", "conditioning.arch, params.hidden_size"},
    {"ctx_embedder.", "misc.num_classes, conditioning.type"},
    {"adaln_modulation", "target, params.depth, params.hidden_size"},
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

/// Number of layers "PREFIXn." in a list of names.
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
std::set<std::string> require_all(const TensorGroup& group, const std::string& where,
                                  const std::vector<ParameterShape>& parameters, const Keys& keys,
                                  std::string_view layers, std::string_view depth) {
  const TensorSource& file = group.tensors;
  const index_t wanted =
      layers_in(parameters, layers,
                [](const ParameterShape& each) -> const std::string& { return each.name; });
  const index_t found = layers_in(
      file.names(), layers, [](const std::string& each) -> const std::string& { return each; });
  if (std::none_of(parameters.begin(), parameters.end(), [&](const ParameterShape& each) {
        const std::string name = names_in_file(group, each.name).front();
        return file.contains(name) || file.unreadable().find(name) != file.unreadable().end();
      }))
    raise<FormatError>(file.origin(), ": contains none of the tensors of ", where,
                       "; its first tensor is '",
                       file.names().empty() ? std::string() : file.names().front(), "'");
  std::set<std::string> needed;
  for (const auto& [name, shape, use] : parameters) {
    const std::vector<std::string> stored = names_in_file(group, name);
    const Shape expected = piece_of(shape, stored.size());
    for (const std::string& each : stored) {
      needed.insert(each);
      // Checked first: a wrong number of layers explains more than the first missing tensor.
      if (each.starts_with(layers) && found != wanted)
        raise<ShapeError>(file.origin(), ": has ", found, " layers '", layers, "N', but ", where,
                          " has ", wanted, "; see ", depth);
      if (!detail::has_tensor(file, each))
        raise<FormatError>(file.origin(), ": has no tensor '", each, "', which ", where,
                           " needs; see ", keys_of(keys, each));
      const Shape& have = file.info(each).shape;
      if (!fits(have, expected))
        raise<ShapeError>(file.origin(), ": tensor '", each, "' is ", have, ", but ", where,
                          " needs ", expected, "; see ", keys_of(keys, each));
    }
  }
  return needed;
}

/// Throws FormatError for a tensor that the model does not have, except for tables of rotary
/// angles, which are computed here.
void require_no_others(const TensorSource& file, const std::string& where,
                       const std::set<std::string>& needed) {
  for (const std::string& name : file.names())
    if (needed.count(name) == 0 && !name.ends_with("rope.freqs_cos") &&
        !name.ends_with("rope.freqs_sin"))
      raise<FormatError>(file.origin(), ": has a tensor '", name, "', which the model of ", where,
                         " does not have; see ", keys_of(kTransformerKeys, name));
}

}  // namespace

void require_weights(const TensorGroup& group, const std::string& where, const ModelConfig& config,
                     NetworkRole role) {
  const std::vector<ParameterShape> parameters = outline_of(config, role).parameters;
  if (role == NetworkRole::decoder)
    (void)require_all(group, where, parameters, kDecoderKeys, "decoder_layers.",
                      "decoder_config_path");
  else
    require_no_others(
        group.tensors, where,
        require_all(group, where, parameters, kTransformerKeys, "blocks.", "params.depth"));
}

}  // namespace rae::official
