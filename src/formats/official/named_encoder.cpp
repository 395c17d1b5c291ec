#include "formats/official/named_encoder.hpp"

#include <cstdlib>
#include <filesystem>

namespace rae::official {
namespace {

constexpr const char* kFolder = "pretrained_models/encoders/dinov3/";

/// The id on Hugging Face.
std::string hub_id(const OfficialEncoderName& name) {
  const std::string& size = name.size;
  const std::string word = size == "s"   ? "small"
                           : size == "l" ? "large"
                           : size == "g" ? "giant"
                           : size == "h" ? "huge"
                           : size == "b" ? "base"
                                         : size;
  switch (name.family) {
    case EncoderFamily::dinov3: return concat("facebook/dinov3-vit", size, "-pretrain-lvd1689m");
    case EncoderFamily::dinov2: return "facebook/dinov2-with-registers-" + word;
    case EncoderFamily::mae: return "facebook/vit-mae-" + word;
    default: return concat("google/siglip2-", size == "g" ? "giant-opt" : word, "-patch16-256");
  }
}

}  // namespace

std::string dinov3_file(const std::string& size) {
  const char* sum = size == "s16"       ? "08c60483"
                    : size == "s16plus" ? "4057cbaa"
                    : size == "b16"     ? "73cec8be"
                    : size == "h16plus" ? "7c1da9a5"
                                        : "8aa4cbdd";
  return concat("dinov3_vit", size, "_pretrain_lvd1689m-", sum, ".pth");
}

std::string find_named_encoder(Paths& paths, const OfficialEncoderName& name,
                               const std::vector<std::vector<std::string>>& files) {
  const bool dinov3 = name.family == EncoderFamily::dinov3;
  const std::string file = dinov3 ? dinov3_file(name.size) : std::string();
  if (dinov3) {
    if (const char* folder = std::getenv("DINOV3_CKPT_DIR"); folder != nullptr && *folder != '\0')
      if (auto found = paths.existing_file((std::filesystem::path(folder) / file).string());
          !found.empty())
        return found;
    if (auto found = paths.existing_file(kFolder + file); !found.empty()) return found;
  }
  const std::string id = hub_id(name);
  for (const std::string& folder : {id, std::string("encoder")})
    if (auto found = paths.existing_folder(folder, files); !found.empty()) return found;
  paths.add_missing("stage_1.params.encoder_name",
                    concat("the encoder '", name.text, "': ",
                           dinov3 ? concat("the file '", kFolder, file, "', ") : std::string(),
                           "a folder '", id, "' or 'encoder'"),
                    concat("hf download ", id, " --local-dir encoder"));
  return {};
}

}  // namespace rae::official
