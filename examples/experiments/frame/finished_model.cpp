#include "frame/finished_model.hpp"

#include <cstdio>

#include "frame/pictures.hpp"
#include "frame/tiny_model.hpp"
#include "rae/io/data_manifest.hpp"
#include "rae/load/model_search.hpp"

namespace rae::experiments {
namespace {

constexpr index_t kTinySize = 32;  // pixels per side of the pictures of the reduced version

std::string hexadecimal(std::uint32_t checksum) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", checksum);
  return text;
}

OwnedPointer<const ImageDataset> pictures_for(const ModelConfig& config, const Options& options,
                                              Split split) {
  const Shape picture = config.image_shape();  // (channels, H, W)
  auto out = open_dataset(
      options.data, split,
      {.size = picture[1], .width = picture[2], .channels = static_cast<int>(picture[0])});
  const auto classes = static_cast<index_t>(out->class_names().size());
  if (classes != config.num_classes())
    raise<ConfigError>(options.data, ": has pictures of ", classes, " classes, the model '",
                       config.name, "' has ", config.num_classes());
  return out;
}

}  // namespace

FinishedModel finished_model(const Options& options) {
  if (options.data.empty()) {
    const auto train = open_pictures(options, Split::train, kTinySize);
    return {tiny_model(train), "tiny", train, open_pictures(options, Split::test, kTinySize)};
  }
  if (options.models.size() > 1)
    raise<ArgumentError>("--model: expected one model, got ", options.models.size());
  const std::string path = options.models.empty() ? find_model() : options.models.front();
  FinishedModel out{Bundle::load(path), identity_of(path)};
  const ModelConfig& config = out.bundle.config;
  if (!config.dit || !config.decoder)
    raise<ConfigError>(path, ": has no diffusion network or no decoder, so that it has no samples");
  out.train = pictures_for(config, options, Split::train);
  out.test = pictures_for(config, options, Split::test);
  return out;
}

std::string identity_of(const std::string& path) {
  return hexadecimal(manifest_file(path, "model", ChecksumExtent::full).checksum);
}

DrawPictures drawn_by(const Generator& generator, GenerateOptions how) {
  return
      [&generator, how = std::move(how)](const std::vector<std::int64_t>& labels, index_t first) {
        GenerateOptions options = how;
        options.labels = labels;
        options.first_index = static_cast<std::uint64_t>(first);
        options.batch_size = static_cast<index_t>(labels.size());  // adaptive solvers depend on it
        return generator.decode_pixels(generator.sample_latents(options));  // (B, C, H, W)
      };
}

ConfigNode settings_of(const FinishedModel& model, const Judge& judge) {
  return ConfigNode::map({{"model", model.identity},
                          {"classifier", hexadecimal(judge.checksum())},
                          {"pictures", hexadecimal(model.test->manifest().checksum())}});
}

}  // namespace rae::experiments
