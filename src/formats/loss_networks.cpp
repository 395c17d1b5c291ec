#include "rae/formats/loss_networks.hpp"

#include <algorithm>
#include <cmath>

#include "formats/check_tensors.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/io/tensor_source.hpp"

namespace rae {

namespace {

/// Possible names of a parameter of `Lpips`. Files of LPIPS number the layers of a slice as
/// torchvision does, or from 0 in each slice, where all slices but the first begin with a pooling
/// layer. A head is layer 1 if layer 0 is dropout, else layer 0.
std::vector<std::string> candidates(const std::string& name) {
  const std::string torchvision = lpips_names()(name).front();
  if (name.rfind("heads.", 0) == 0)
    return {torchvision, "lin" + name.substr(6, 1) + ".model.0.weight"};
  const int stage = name[7] - '0', layer = 2 * (name[9] - '0') + (stage > 0 ? 1 : 0);
  const std::string slice = concat("net.slice", stage + 1, ".");
  return {torchvision, slice + torchvision.substr(9), concat(slice, layer, name.substr(10))};
}

/// The files of LPIPS, searched together.
class Files {
 public:
  explicit Files(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) files_.push_back(TensorSource::open(path).weights());
  }

  /// The file and the name of a parameter in it.
  [[nodiscard]] std::pair<const TensorSource*, std::string> find(
      const std::string& parameter) const {
    for (const std::string& name : candidates(parameter))
      for (const TensorSource& file : files_)
        if (detail::has_tensor(file, name)) return {&file, name};
    std::string origins;
    for (const TensorSource& file : files_)
      origins += (origins.empty() ? "" : ", ") + file.origin();
    raise<FormatError>(
        origins.empty() ? "LPIPS" : origins, ": no tensor ", candidates(parameter).front(),
        "; LPIPS needs the convolutions of VGG16 and its own heads, in one file or two");
  }

 private:
  std::vector<TensorSource> files_;
};

index_t rows_of(const TensorSource& file, const std::string& name) {
  const Shape shape = file.info(name).shape;
  if (shape.rank() < 1)
    raise<ShapeError>(file.origin(), ": tensor ", name, ": expected a weight, got the shape ",
                      shape);
  return shape[0];
}

/// An extent of a stored tensor of the given rank.
index_t required_extent(const TensorSource& file, const std::string& name, int rank, int axis) {
  const Shape shape = file.info(name).shape;
  if (shape.rank() != rank)
    raise<ShapeError>(file.origin(), ": tensor ", name, ": expected ", rank, " extents, got ",
                      shape);
  return shape[axis];
}

}  // namespace

Lpips<Var<float>> open_lpips(const std::vector<std::string>& paths) {
  const Files files(paths);
  LpipsConfig config;
  for (std::size_t stage = 0; stage < config.channels.size(); ++stage) {
    const auto [file, name] =
        files.find(concat("stages.", stage, ".", config.convolutions[stage] - 1, ".weight"));
    config.channels[stage] = rows_of(*file, name);
  }
  Lpips<Var<float>> model(config);
  model.parameters([&](const std::string& parameter, Parameter<Var<float>>& p) {
    const auto [file, name] = files.find(parameter);
    const TensorGroup group{
        *file, [&found = name](const std::string&) { return std::vector<std::string>{found}; }};
    detail::check_weights(group, "LPIPS", {{parameter, p.shape(), p.use()}});
    p.set(detail::read_weight<float>(group, "LPIPS", parameter, p.shape()));
  });
  return model;
}

DinoDiscriminator<Var<float>> open_dino_discriminator(const std::string& path,
                                                      DinoDiscConfig config) {
  const TensorSource file = TensorSource::open(path).weights();
  config.hidden_size = required_extent(file, "cls_token", 3, 2);
  config.patch_size = required_extent(file, "patch_embed.proj.weight", 4, 2);
  config.intermediate_size = required_extent(file, "blocks.0.mlp.fc1.weight", 2, 0);
  config.num_layers = 0;
  while (detail::has_tensor(file, concat("blocks.", config.num_layers, ".attn.qkv.weight")))
    ++config.num_layers;
  const index_t positions = required_extent(file, "pos_embed", 3, 1) - 1;
  const auto side = static_cast<index_t>(
      std::lround(std::sqrt(static_cast<double>(std::max<index_t>(positions, 0)))));
  if (side < 1 || side * side != positions)
    raise<FormatError>(path, ": tensor pos_embed: expected a class token and a square grid, got ",
                       positions + 1, " positions");
  config.image_size = side * config.patch_size;
  if (config.num_heads == 0) config.num_heads = std::max<index_t>(1, config.hidden_size / 64);
  DinoDiscriminator<Var<float>> model(config);
  fill_weights(model.backbone, {file, {}}, "DINO discriminator");
  return model;
}

}  // namespace rae
