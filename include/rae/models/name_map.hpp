// Names of ViT parameters in official checkpoints. A VitBlock has one matrix for query, key and
// value; files have three.
//
// Diffusion Transformers with Representation Autoencoders, official code, and Hugging Face
// transformers (Dinov2, Siglip, ViTMAE).
#pragma once

#include <string>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/nn/parameter.hpp"

namespace rae {

/// Maps the name of a parameter of this library to the names of the tensors in a file whose
/// concatenated rows are its value.
using NameMap = Function<std::vector<std::string>(const std::string&)>;

/// Names inside one transformer layer, without ".weight" and ".bias". `scale1` and `scale2` are
/// empty if the family has no LayerScale; `fc1_second` is the second half of fc1 where it is stored
/// in two matrices, else empty.
struct VitLayerNames {
  std::string norm1, query, key, value, proj, norm2, fc1, fc2, scale1, scale2, fc1_second{};
};

/// Names of DINOv2 in Hugging Face transformers.
inline VitLayerNames dinov2_layer_names() {
  return {"norm1",
          "attention.attention.query",
          "attention.attention.key",
          "attention.attention.value",
          "attention.output.dense",
          "norm2",
          "mlp.fc1",
          "mlp.fc2",
          "layer_scale1.lambda1",
          "layer_scale2.lambda1"};
}
/// Names of DINOv3 in Hugging Face transformers. A gated feed-forward network has the two matrices
/// `gate_proj` and `up_proj` in place of `up_proj`.
inline VitLayerNames dinov3_layer_names(bool gated = false) {
  return {"norm1",
          "attention.q_proj",
          "attention.k_proj",
          "attention.v_proj",
          "attention.o_proj",
          "norm2",
          gated ? "mlp.gate_proj" : "mlp.up_proj",
          "mlp.down_proj",
          "layer_scale1.lambda1",
          "layer_scale2.lambda1",
          gated ? "mlp.up_proj" : ""};
}
/// Names of MAE, and of RAE's ViT decoder, which has the same layers.
inline VitLayerNames mae_layer_names() {
  return {"layernorm_before",
          "attention.attention.query",
          "attention.attention.key",
          "attention.attention.value",
          "attention.output.dense",
          "layernorm_after",
          "intermediate.dense",
          "output.dense",
          "",
          ""};
}
/// Names of SigLIP and SigLIP2.
inline VitLayerNames siglip_layer_names() {
  return {"layer_norm1",
          "self_attn.q_proj",
          "self_attn.k_proj",
          "self_attn.v_proj",
          "self_attn.out_proj",
          "layer_norm2",
          "mlp.fc1",
          "mlp.fc2",
          "",
          ""};
}

/// Names in a file for the parameter `rest` ("attn.qkv.weight") of the layer with the given prefix
/// ("encoder.layer.3."). Throws ConfigError for a parameter that no ViT layer has.
inline std::vector<std::string> vit_layer_files(const std::string& prefix, const std::string& rest,
                                                const VitLayerNames& names) {
  if (rest == "layer_scale1") return {prefix + names.scale1};
  if (rest == "layer_scale2") return {prefix + names.scale2};
  const std::size_t dot = rest.rfind('.');
  const std::string part = rest.substr(0, dot),
                    kind = dot == std::string::npos ? "" : rest.substr(dot);
  if (part == "attn.qkv")
    return {prefix + names.query + kind, prefix + names.key + kind, prefix + names.value + kind};
  if (part == "attn.proj") return {prefix + names.proj + kind};
  if (part == "norm1") return {prefix + names.norm1 + kind};
  if (part == "norm2") return {prefix + names.norm2 + kind};
  if (part == "mlp.fc1" && !names.fc1_second.empty())
    return {prefix + names.fc1 + kind, prefix + names.fc1_second + kind};
  if (part == "mlp.fc1") return {prefix + names.fc1 + kind};
  if (part == "mlp.fc2") return {prefix + names.fc2 + kind};
  raise<ConfigError>("no ViT layer has a parameter named ", rest);
}

/// If `name` is "<ours><number>.<rest>", the names "<theirs><number>.<...>" in a file; otherwise
/// none.
inline std::vector<std::string> map_layers(const std::string& name, const std::string& ours,
                                           const std::string& theirs, const VitLayerNames& names) {
  if (name.rfind(ours, 0) != 0) return {};
  const std::size_t dot = name.find('.', ours.size());
  if (dot == std::string::npos) return {};
  return vit_layer_files(theirs + name.substr(ours.size(), dot + 1 - ours.size()),
                         name.substr(dot + 1), names);
}

/// Parameter names of the diffusion networks of RAEv2 in official checkpoints, which store query,
/// key and value, and both halves of SwiGLU, in separate matrices. `with_head`: those of DiT^DH.
inline NameMap token_dit_names(bool with_head) {
  return [with_head](const std::string& name) -> std::vector<std::string> {
    const auto replaced = [&name](std::string_view part, std::string_view other) {
      std::string out = name;
      return out.replace(out.find(part), part.size(), other);
    };
    const auto has = [&name](std::string_view part) {
      return name.find(part) != std::string::npos;
    };
    if (has(".attn.qkv."))
      return {replaced("qkv", "q"), replaced("qkv", "k"), replaced("qkv", "v")};
    if (has(".mlp.w12.")) return {replaced("w12", "w1"), replaced("w12", "w2")};
    if (has("adaLN_modulation")) return {replaced("adaLN_modulation", "adaln_modulation")};
    if (with_head && has("norm_final")) return {replaced("norm_final", "norm")};
    return {name};
  };
}

/// Parameter names of the ViT decoder in official checkpoints.
inline NameMap decoder_names() {
  return [](const std::string& name) -> std::vector<std::string> {
    auto mapped = map_layers(name, "decoder_layers.", "decoder_layers.", mae_layer_names());
    return mapped.empty() ? std::vector<std::string>{name} : mapped;
  };
}

}  // namespace rae
