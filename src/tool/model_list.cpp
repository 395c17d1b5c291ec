#include "tool/model_list.hpp"

#include <filesystem>
#include <map>

#include "formats/grouped_weights.hpp"
#include "rae/formats/model_files.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/load/model_search.hpp"
#include "tool/text.hpp"
#include "tool/weights_info.hpp"

namespace rae::tool {
namespace {

/// Prints one line of a model's description.
void print_property(const std::string& label, const std::string& value) {
  constexpr std::size_t kWidth = 12;
  if (!value.empty())
    print(concat("  ", label, std::string(kWidth - label.size(), ' '), printable(value)));
}

/// The first of these texts that a bundle's metadata have; "" if they have none.
std::string first_of(const std::map<std::string, std::string>& metadata,
                     std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (const auto found = metadata.find(key); found != metadata.end()) return found->second;
  return {};
}

void print_named_model(const NamedModel& model) {
  print(printable(model.name) + (model.name == kBuiltinModel ? "  (the default, 'builtin')" : ""));
  try {
    const ModelConfig config = ModelFiles::open(model.path).config;
    const SafetensorsFile file = SafetensorsFile::open(model.path);
    index_t parameters = 0;
    const TensorSource tensors(file);
    for (const auto& name : file.names())
      if (!name.starts_with("latent_norm.") && !detail::is_group_scale(tensors, name))
        parameters += file.info(name).shape.numel();
    print_property("subject", first_of(file.metadata(), {"subject", "data"}));
    const Shape picture = config.image_shape();  // (channels, H, W)
    print_property("pictures", concat(picture[2], " x ", picture[1],
                                      picture[0] == 1 ? ", gray" : ", in colour"));
    if (config.dit) print_property("classes", format_count(config.dit->num_classes()));
    print_property("parameters", format_count(parameters));
    std::error_code none;
    print_property("size", format_bytes(std::filesystem::file_size(model.path, none)));
  } catch (const Error& error) {
    print_property("unusable", error.what());
  }
  print_property("file", model.path);
}

}  // namespace

void print_model_list() {
  const std::vector<NamedModel> models = named_models();
  if (models.empty()) (void)find_model();  // throws
  for (const NamedModel& model : models) print_named_model(model);
}

}  // namespace rae::tool
