#include "tool/weights_info.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>

#include "rae/formats/diffusers_autoencoder.hpp"
#include "rae/formats/official/config.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/io/torch_checkpoint.hpp"
#include "rae/spec/model_config.hpp"
#include "rae/spec/weight_types.hpp"
#include "tool/command_files.hpp"
#include "tool/model_source.hpp"
#include "tool/recognize.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

namespace fs = std::filesystem;

void print_fact(const std::string& name, const std::string& value) {
  std::printf("  %-14s  %s\n", printable(name).c_str(), printable(value).c_str());
}

/// "123 tensors, 4,567 numbers, 18.3 kB of f32".
std::string sizes(const TensorSource& source) {
  index_t elements = 0;
  std::uint64_t bytes = 0;
  std::vector<DType> types;
  for (const std::string& name : source.names()) {
    const TensorInfo& info = source.info(name);
    elements += info.shape.numel();
    bytes += static_cast<std::uint64_t>(info.shape.numel()) * size_of(info.dtype);
    if (std::find(types.begin(), types.end(), info.dtype) == types.end())
      types.push_back(info.dtype);
  }
  std::string out = plural(static_cast<index_t>(source.names().size()), "tensor") + ", " +
                    plural(elements, "number") + ", " + format_bytes(bytes);
  for (std::size_t i = 0; i < types.size(); ++i)
    out += (i == 0 ? " of " : ", ") + std::string(name_of(types[i]));
  return out;
}

/// Prints the scalars of a training checkpoint besides its tensors: step, epoch, settings.
void print_scalars(const ConfigNode& tree) {
  if (!tree.is_map()) return;
  for (const auto& [key, value] : tree.members()) {
    if (value.is_map() || value.is_list() || value.is_null()) continue;
    if (value.is_string() && value.as_string().find(" (") != std::string::npos)
      continue;  // a tensor
    print_fact(key, value.is_string() ? value.as_string() : value.to_json());
  }
}

/// Prints the names that are not readable tensors, and the reasons; the first ones if there are
/// many.
void print_unreadable(const TensorSource& source) {
  constexpr std::size_t kShown = 20;
  const auto& all = source.unreadable();
  if (!all.empty()) print("not read:");
  std::size_t count = 0;
  for (const auto& [name, reason] : all) {
    if (count++ == kShown) return print(concat("  ... and ", all.size() - kShown, " more"));
    print(concat("  ", printable(name), ": ", printable(reason)));
  }
}

/// The size parameters in the config.json of a class of diffusers that is not supported.
void print_other_diffusers(const std::string& folder) {
  const std::string name = diffusers_class(folder);
  print(heading(folder, concat(printable(name), " of diffusers",
                               name == "RAEDiT2DModel" ? ", the diffusion network of RAE" : "")));
  print("this program cannot use it yet; it reads folders of AutoencoderRAE");
  std::error_code none;
  const fs::path config = fs::path(folder) / "config.json";
  if (!fs::exists(config, none)) return;
  print("config:");
  print_config(ConfigNode::load(config.string()), "  ");
}

void print_recognized(const TensorSource& weights) {
  const Recognized found = recognize(weights);
  print("weights of: " + (found.summary.empty() ? "an unknown network" : found.summary));
  for (const auto& [name, value] : found.facts) print_fact(name, value);
}

/// Describes the latent statistics: "mean and variance of 768 x 16 x 16".
std::string statistics_of(const LatentNorm<float>& norm) {
  if (norm.mean.empty() && norm.var.empty()) return "none";
  const Shape& shape = (norm.mean.empty() ? norm.var : norm.mean).shape();
  return concat(norm.mean.empty()  ? "variance"
                : norm.var.empty() ? "mean"
                                   : "mean and variance",
                " of ", shape[0], " x ", shape[1], " x ", shape[2]);
}

std::string where_of(const std::optional<TensorGroup>& group, bool described) {
  if (group)
    return group->tensors.origin() +
           (group->tensors.selected().empty() ? "" : ", its " + group->tensors.selected());
  return described ? "described, without weights" : "none";
}

}  // namespace

std::string packing_of(const ModelFiles& files) {
  if (files.layer_types.empty()) return std::string(name_of(*files.packed));
  std::string out;
  for (const DType type : kWeightTypes) {
    const auto count = std::count_if(files.layer_types.begin(), files.layer_types.end(),
                                     [=](const auto& layer) { return layer.second == type; });
    if (count > 0) out += concat(out.empty() ? "" : ", ", count, " ", name_of(type));
  }
  return out + " layers";
}

void print(const std::string& line) { std::printf("%s\n", line.c_str()); }

void print_config(const ConfigNode& node, const std::string& indent) {
  for (const auto& [key, value] : node.members()) {
    if (value.is_map()) {
      print(indent + printable(key) + ":");
      print_config(value, indent + "  ");
    } else {
      print(indent + printable(key) + ": " +
            printable(value.is_string() ? value.as_string() : value.to_json()));
    }
  }
}

std::string heading(const std::string& path, const std::string& kind) {
  std::error_code none;
  const auto size = fs::is_directory(path, none) ? std::uintmax_t{0} : fs::file_size(path, none);
  return printable(with_shown_names(path)) + ": " + kind +
         (none || size == 0 ? "" : ", " + format_bytes(size));
}

void print_texts(const char* title, const std::map<std::string, std::string>& texts) {
  if (texts.empty()) return;
  print(title);
  std::size_t widest = 0;
  for (const auto& [key, value] : texts)
    widest = std::max(widest, std::min<std::size_t>(key.size(), 24));
  for (const auto& [key, value] : texts)
    std::printf("  %-*s  %s\n", static_cast<int>(widest), printable(key).c_str(),
                printable(value).c_str());
}

template <class Source>
void print_tensors(const Source& source) {
  for (const auto& name : source.names()) {
    const TensorInfo& info = source.info(name);
    std::printf("  %-4s  %-20s  %s\n", std::string(name_of(info.dtype)).c_str(),
                info.shape.to_string().c_str(), printable(name).c_str());
  }
}

template void print_tensors(const SafetensorsFile&);
template void print_tensors(const TensorSource&);

void print_weights(const std::string& path, const std::string& kind) {
  const TensorSource source = TensorSource::open(path);
  const TensorSource weights = source.weights();
  print(heading(source.origin(),
                kind + ", " + plural(static_cast<index_t>(source.names().size()), "tensor")));
  print("sizes: " + sizes(source));
  if (!weights.selected().empty()) {
    std::string others;
    for (const std::string& key : weights.alternatives())
      others += (others.empty() ? " (not used: '" : "', '") + key;
    print("training checkpoint with its weights in '" + weights.selected() + "'" +
          (others.empty() ? "" : printable(others) + "')") + ": " + sizes(weights));
    if (kind == "checkpoint of PyTorch")
      print_scalars(TorchCheckpoint::open(source.origin()).tree());
  }
  print_recognized(weights);
  print("tensors:");
  print_tensors(source);
  print_unreadable(source);
  print_texts("metadata:", source.metadata());
}

void print_model(const std::string& path, const std::string& models_dir, bool tensors) {
  std::error_code none;
  if (fs::is_directory(path, none) && !fs::exists(fs::path(path) / "config.json", none) &&
      diffusers_class(path).empty())
    return print_weights(path, "weights");
  const ModelKind kind = model_kind(path);
  if (kind == ModelKind::other_diffusers) return print_other_diffusers(path);
  const char* const kinds[] = {"bundle", "official configuration", "autoencoder of diffusers",
                               "encoder of Hugging Face"};
  std::vector<std::string> notes;
  if (kind == ModelKind::official) notes = load_official_config(path).notes;
  const ModelSource source = open_model_source(path, models_dir);
  print(heading(path, kinds[static_cast<std::size_t>(kind)]));
  for (const std::string& note : notes) print("note: " + printable(note));
  const ModelFiles& files = source.files;
  const ModelConfig& c = files.config;
  if (kind == ModelKind::encoder) {
    print_recognized(files.encoder->tensors);
    print("its tensors match config.json");
  } else {
    const Shape latent = c.latent_shape();
    print("statistics, encoder, resolution and decoder are consistent:");
    print_fact("pictures", concat(c.image_size, " pixels, resized for the encoder to ",
                                  c.encoder_size > 0 ? c.encoder_size : c.image_size));
    print_fact("latents", concat(latent[0], " x ", latent[1], " x ", latent[2]));
    print_fact("statistics", statistics_of(files.latent_norm));
    print_fact("encoder", where_of(files.encoder, true));
    print_fact("decoder", where_of(files.decoder, c.decoder.has_value()));
    print_fact("dit", where_of(files.dit, c.dit.has_value()));
    print_fact("guide", where_of(files.guide, c.guide.has_value()));
    if (files.packed) print_fact("packed for", packing_of(files));
    for (const NetworkRole role : kNetworkRoles) {
      const std::optional<TensorGroup>& group = files.network(role);
      if (!group) continue;
      print_recognized(group->tensors);
      if (kind == ModelKind::diffusers) break;  // one file holds all
    }
  }
  print("config:");
  ConfigNode config = to_config(c);
  if (kind == ModelKind::encoder)
    config = ConfigNode::map({{"encoder", config.at("encoder")}, {"pixels", config.at("pixels")}});
  print_config(config, "  ");
  if (!tensors) return;
  print("tensors:");
  for (const NetworkRole role : kNetworkRoles) {
    const std::optional<TensorGroup>& group = files.network(role);
    if (!group) continue;
    print_tensors(group->tensors);
    if (kind == ModelKind::diffusers) break;
  }
}

}  // namespace rae::tool
