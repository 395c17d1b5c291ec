#include "tool/recognize.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "tool/text.hpp"

namespace rae::tool {
namespace {

/// Queries names and shapes of tensors; missing tensors are not errors.
class Names {
 public:
  explicit Names(const TensorSource& tensors) : tensors_(tensors) {}

  [[nodiscard]] bool has(std::string_view name) const { return tensors_.contains(name); }

  /// Extent of a tensor in a dimension; 0 if it does not exist.
  [[nodiscard]] index_t extent(std::string_view name, int dimension) const {
    if (!has(name)) return 0;
    const Shape& shape = tensors_.info(name).shape;
    return dimension < shape.rank() ? shape[dimension] : 0;
  }

  /// Number of layers: the tensors "prefix0ending", "prefix1ending", ... that exist.
  [[nodiscard]] index_t layers(const std::string& prefix, const std::string& ending) const {
    index_t n = 0;
    while (has(concat(prefix, n, ending))) ++n;
    return n;
  }

  /// The first name with this ending, without the ending; `found` is false if there is none.
  [[nodiscard]] std::string before(std::string_view ending, bool& found) const {
    for (const std::string& name : tensors_.names()) {
      if (!name.ends_with(ending)) continue;
      found = true;
      return name.substr(0, name.size() - ending.size());
    }
    found = false;
    return {};
  }

 private:
  const TensorSource& tensors_;
};

index_t root(index_t n) {
  return static_cast<index_t>(std::lround(std::sqrt(static_cast<double>(n))));
}

/// "16 x 16", or the number of tokens if they form no square.
std::string grid_of(index_t tokens) {
  const index_t side = root(tokens);
  return side * side == tokens ? concat(side, " x ", side) : plural(tokens, "token");
}

std::string dit_options(const Names& names) {
  std::string out = names.has("blocks.0.mlp.w12.weight") ? "SwiGLU" : "GELU";
  out += names.has("blocks.0.norm1.weight") ? ", RMSNorm" : ", LayerNorm";
  if (names.has("enc_feat_rope.freqs_cos") || names.has("feat_rope.freqs_cos"))
    out += ", rotary positions";
  if (names.has("pos_embed")) out += ", position table";
  if (names.has("blocks.0.attn.q_norm.weight")) out += ", norm of queries and keys";
  return out;
}

Recognized dit(const Names& names) {
  Recognized out;
  const std::string ending = ".attn.qkv.weight";
  const index_t blocks = names.layers("blocks.", ending),
                outer = names.extent("x_embedder.proj.weight", 0);
  const index_t inner = names.extent("s_embedder.proj.weight", 0),
                channels = names.extent("x_embedder.proj.weight", 1);
  const index_t tokens =
      std::max({names.extent("pos_embed", 1), names.extent("enc_feat_rope.freqs_cos", 0),
                names.extent("feat_rope.freqs_cos", 0)});
  const auto heads = [&](const char* rope, index_t width) {
    const index_t head = names.extent(concat(rope, ".freqs_cos"), 1);
    return head > 0 ? plural(width / head, "head") : std::string("heads unknown");
  };
  if (inner > 0) {
    index_t backbone = 0;
    while (backbone < blocks && names.extent(concat("blocks.", backbone, ending), 1) == inner)
      ++backbone;
    const bool equal = inner == outer;
    std::string size;
    if (outer == 2048 && inner == 1152 && blocks == 30) size = ", DiTDH-XL";
    if (outer == 2048 && inner == 384 && blocks == 14) size = ", DiTDH-S";
    if (!size.empty() && channels == 768 && (tokens == 256 || tokens == 1024))
      size += tokens == 256 ? " for 256 x 256 pictures" : " for 512 x 512 pictures";
    out.summary = "DiT^DH" + size;
    out.facts.emplace_back(
        "backbone", concat("width ", inner, equal ? "" : ", " + plural(backbone, "block"), ", ",
                           heads("enc_feat_rope", inner)));
    out.facts.emplace_back(
        "head", concat("width ", outer, equal ? "" : ", " + plural(blocks - backbone, "block"),
                       ", ", heads("dec_feat_rope", outer)));
    if (equal) out.facts.emplace_back("blocks", concat(blocks, ", of both"));
  } else {
    const bool xl = outer == 1152 && blocks == 28;
    out.summary = concat("LightningDiT", xl ? ", LightningDiT-XL" : "");
    out.facts.emplace_back("backbone", concat("width ", outer, ", ", plural(blocks, "block"), ", ",
                                              heads("feat_rope", outer)));
  }
  const index_t patch = names.extent("x_embedder.proj.weight", 2);
  out.facts.emplace_back(
      "latents",
      concat(channels, " channels", tokens > 0 ? ", " + grid_of(tokens) + " tokens" : std::string(),
             ", patch ", patch > 0 ? patch : 1));
  out.facts.emplace_back("classes",
                         concat(names.extent("y_embedder.embedding_table.weight", 0),
                                " rows, with the null class if it was trained with label dropout"));
  out.facts.emplace_back("options", dit_options(names));
  return out;
}

Recognized decoder(const Names& names, const std::string& prefix) {
  Recognized out;
  const index_t width = names.extent(prefix + "decoder_embed.weight", 0),
                in = names.extent(prefix + "decoder_embed.weight", 1);
  const index_t layers = names.layers(prefix + "decoder_layers.", ".layernorm_before.weight");
  const index_t tokens = std::max<index_t>(names.extent(prefix + "decoder_pos_embed", 1) - 1, 0);
  const index_t patch = root(names.extent(prefix + "decoder_pred.weight", 0) / 3);
  std::string size;
  if (width == 1152 && layers == 28) size = ", ViT-XL";
  if (width == 1024 && layers == 24) size = ", ViT-L";
  if (width == 768 && layers == 12) size = ", ViT-B";
  // Files of diffusers do not store the position table, so that the resolution is unknown.
  const index_t side = root(tokens) * patch;
  out.summary = concat("ViT decoder", size,
                       tokens > 0 ? concat(" for ", side, " x ", side, " pictures") : "");
  out.facts.emplace_back(
      "decoder", concat("width ", width, ", ", plural(layers, "layer"), ", hidden ",
                        names.extent(prefix + "decoder_layers.0.intermediate.dense.weight", 0)));
  out.facts.emplace_back("latents",
                         concat(in, " channels, ", tokens > 0 ? grid_of(tokens) + " tokens, " : "",
                                "patches of ", patch, " x ", patch, " pixels"));
  return out;
}

/// ", S", ", B", ... for the usual sizes, "" for others.
std::string size_of_vit(index_t width, index_t layers) {
  if (width == 384 && layers == 12) return ", S";
  if (width == 768 && layers == 12) return ", B";
  if (width == 1024 && layers == 24) return ", L";
  if (width == 1536 && layers == 40) return ", giant";
  return "";
}

/// Recognizes the encoders; the summary is empty if there is none.
Recognized encoder(const Names& names) {
  Recognized out;
  bool found = false;
  std::string prefix = names.before("embeddings.patch_embedding.weight", found);
  const auto facts = [&](index_t width, index_t layers, index_t patch, index_t positions) {
    out.summary += size_of_vit(width, layers);
    out.facts.emplace_back(
        "encoder", concat("width ", width, ", ", plural(layers, "layer"), ", patches of ", patch));
    out.facts.emplace_back("position table", grid_of(positions));
  };
  if (found) {
    out.summary = "SigLIP 2 encoder";
    facts(names.extent(prefix + "embeddings.patch_embedding.weight", 0),
          names.layers(prefix + "encoder.layers.", ".layer_norm1.weight"),
          names.extent(prefix + "embeddings.patch_embedding.weight", 2),
          names.extent(prefix + "embeddings.position_embedding.weight", 0));
    bool text = false;
    (void)names.before("text_model.embeddings.token_embedding.weight", text);
    if (text) out.facts.emplace_back("text tower", "present, and ignored");
    return out;
  }
  const std::string patches = "embeddings.patch_embeddings.projection.weight";
  prefix = names.before(patches, found);
  if (!found) return out;
  const bool dino = names.has(prefix + "encoder.layer.0.layer_scale1.lambda1");
  const index_t registers = names.extent(prefix + "embeddings.register_tokens", 1);
  out.summary = !dino           ? "MAE encoder"
                : registers > 0 ? "DINOv2 encoder with registers"
                                : "DINOv2 encoder without registers";
  facts(
      names.extent(prefix + patches, 0),
      names.layers(prefix + "encoder.layer.", dino ? ".norm1.weight" : ".layernorm_before.weight"),
      names.extent(prefix + patches, 2),
      names.extent(prefix + "embeddings.position_embeddings", 1) - 1);
  if (registers > 0) out.facts.emplace_back("registers", std::to_string(registers));
  if (names.has("decoder.decoder_pred.weight") && names.has("decoder.mask_token"))
    out.facts.emplace_back("MAE decoder", "present, and ignored");
  return out;
}

/// A diffusion network of RAEv2.
Recognized token_dit(const Names& names) {
  Recognized out;
  const bool with_head = names.has("s_embedder.proj.weight");
  const std::string embedder = with_head ? "s_embedder" : "x_embedder",
                    rope = with_head ? "enc_rope.freqs_cos" : "rope.freqs_cos";
  const index_t width = names.extent(embedder + ".proj.weight", 0),
                channels = names.extent(embedder + ".proj.weight", 1),
                patch = names.extent(embedder + ".proj.weight", 2),
                blocks = names.layers("blocks.", ".attn.q.weight");
  index_t backbone = 0;
  while (backbone < blocks && !names.has(concat("blocks.", backbone, ".adaln_modulation.1.weight")))
    ++backbone;
  const auto heads = [&](const std::string& table, index_t d) {
    const index_t head = names.extent(table, 1);
    return head > 0 ? plural(d / head, "head") : std::string("heads unknown");
  };
  const bool base = names.has("base_final_layer.linear.weight");
  out.summary = with_head ? "DiT^DH of RAEv2" : "LightningDiT of RAEv2";
  out.facts.emplace_back("backbone", concat("width ", width, ", ", plural(backbone, "block"), ", ",
                                            heads(rope, width)));
  if (with_head) {
    const index_t outer = names.extent("x_embedder.proj.weight", 0);
    out.facts.emplace_back("head", concat("width ", outer, ", ", plural(blocks - backbone, "block"),
                                          ", ", heads("dec_rope.freqs_cos", outer)));
  }
  const index_t times = names.extent("t_embedder.learnable_tokens", 0),
                classes = names.extent("ctx_embedder.learnable_tokens", 0);
  out.facts.emplace_back("condition tokens",
                         concat(times, " of the time, ", classes, " of the class"));
  const index_t tokens = names.extent(rope, 0) - times - classes;
  out.facts.emplace_back(
      "latents",
      concat(channels, " channels", tokens > 0 ? ", " + grid_of(tokens) + " tokens" : std::string(),
             ", patch ", patch));
  const index_t rows = names.extent("ctx_embedder.embedding_table.weight", 0);
  out.facts.emplace_back("classes", rows > 0 ? concat(rows - 1, " and the null class")
                                             : std::string("none: conditioned by text or frames, "
                                                           "which is not supported"));
  if (base) out.facts.emplace_back("base head", "for internal guidance");
  if (names.has("repa_projector.weight"))
    out.facts.emplace_back(
        "REPA", concat("a projection to width ", names.extent("repa_projector.weight", 0)));
  return out;
}

/// A DINOv3 encoder; `patches`, `layers` and `registers` are names of its tensors.
Recognized dinov3(const Names& names, const std::string& patches, const std::string& layers,
                  const std::string& registers) {
  Recognized out;
  const index_t width = names.extent(patches, 0), depth = names.layers(layers, ".norm1.weight");
  const bool gated =
      names.has(layers + "0.mlp.w1.weight") || names.has(layers + "0.mlp.gate_proj.weight");
  out.summary = concat("DINOv3 encoder", size_of_vit(width, depth), gated ? ", gated" : "");
  out.facts.emplace_back("encoder", concat("width ", width, ", ", plural(depth, "layer"),
                                           ", patches of ", names.extent(patches, 2)));
  out.facts.emplace_back("positions", "rotary, for any grid");
  if (const index_t count = names.extent(registers, 1); count > 0)
    out.facts.emplace_back("registers", std::to_string(count));
  return out;
}

void join(Recognized& out, Recognized more) {
  out.summary += (out.summary.empty() ? "" : "; ") + more.summary;
  for (auto& fact : more.facts) out.facts.push_back(std::move(fact));
}

}  // namespace

Recognized recognize(const TensorSource& weights) {
  const Names names(weights);
  const auto& all = weights.names();
  if (names.has("t_embedder.learnable_tokens")) return token_dit(names);
  if (names.has("rope_embed.periods") && names.has("blocks.0.attn.qkv.weight"))
    return dinov3(names, "patch_embed.proj.weight", "blocks.", "storage_tokens");
  if (names.has("layer.0.layer_scale1.lambda1") && names.has("layer.0.mlp.up_proj.weight"))
    return dinov3(names, "embeddings.patch_embeddings.weight", "layer.",
                  "embeddings.register_tokens");
  if (names.has("s_embedder.proj.weight") && names.has("blocks.0.mlp.net.0.proj.weight"))
    return {"a diffusion network of diffusers (RAEDiT2DModel), which is not supported yet", {}};
  if (names.has("x_embedder.proj.weight") && names.has("final_layer.linear.weight"))
    return dit(names);
  if (names.has("decoder_embed.weight") && names.has("decoder_pred.weight"))
    return decoder(names, "");
  if (names.has("decoder.decoder_embed.weight") && names.has("decoder.trainable_cls_token")) {
    Recognized out;
    out.summary = names.has("_latents_mean") ? "autoencoder of diffusers (AutoencoderRAE)"
                                             : "official autoencoder (RAE)";
    join(out, encoder(names));
    join(out, decoder(names, "decoder."));
    return out;
  }
  if (Recognized out = encoder(names); !out.summary.empty()) return out;
  if (names.has("patch_embed.proj.weight") && names.has("blocks.0.attn.qkv.weight") &&
      names.has("cls_token")) {
    const index_t width = names.extent("patch_embed.proj.weight", 0),
                  patch = names.extent("patch_embed.proj.weight", 2);
    const index_t layers = names.layers("blocks.", ".attn.qkv.weight");
    Recognized out;
    out.summary = concat("DINO ViT",
                         width == 384   ? "-S"
                         : width == 768 ? "-B"
                                        : "",
                         "/", patch, ", the discriminator's backbone");
    out.facts.emplace_back("backbone",
                           concat("width ", width, ", ", plural(layers, "block"), ", ",
                                  grid_of(names.extent("pos_embed", 1) - 1), " positions"));
    return out;
  }
  if (names.has("heads.0.0.0.weight_orig"))
    return {"heads of the DINO discriminator",
            {{"heads", concat(names.layers("heads.", ".0.0.weight_orig"), ", width ",
                              names.extent("heads.0.0.0.weight_orig", 0))}}};
  if (names.has("lin0.model.1.weight"))
    return {names.has("net.slice1.0.weight") ? "LPIPS with VGG-16"
                                             : "linear layers of LPIPS (VGG-16 is another file)",
            {}};
  if (names.has("features.0.weight") && names.has("features.28.weight"))
    return {"VGG-16 of torchvision", {}};
  if (names.has("Conv2d_1a_3x3.conv.weight") && names.has("Mixed_7c.branch_pool.conv.weight"))
    return {"Inception-v3", {}};
  const auto is_statistic = [](const std::string& name) {
    const std::string last = name.substr(name.rfind('.') + 1);
    return last == "mean" || last == "var" || last == "std" || last == "latents_mean" ||
           last == "latents_std";
  };
  if (!all.empty() && std::all_of(all.begin(), all.end(), is_statistic)) {
    const Shape& shape = weights.info(all.front()).shape;
    if (shape.rank() == 3)
      return {"statistics of latents",
              {{"latents", concat(shape[0], " channels, ", shape[1], " x ", shape[2], " tokens")}}};
  }
  return {};
}

}  // namespace rae::tool
