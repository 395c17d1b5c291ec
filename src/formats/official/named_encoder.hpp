// Finds the weights of an encoder that a configuration of RAEv2 names.
#pragma once

#include <string>
#include <vector>

#include "formats/official/paths.hpp"
#include "rae/formats/official/config.hpp"

namespace rae::official {

/// The file name of a checkpoint of DINOv3, which the official code loads: for "l16",
/// "dinov3_vitl16_pretrain_lvd1689m-8aa4cbdd.pth".
[[nodiscard]] std::string dinov3_file(const std::string& size);

/// Path of the checkpoint of DINOv3 or of a folder of Hugging Face; "" when there is none, and it
/// is added to the missing parts. `files` are the needed files of a folder. The order of the
/// search: for DINOv3 the file in the folder of the variable DINOV3_CKPT_DIR, then in
/// pretrained_models/encoders/dinov3; then the id on Hugging Face; then a folder `encoder`.
[[nodiscard]] std::string find_named_encoder(Paths& paths, const OfficialEncoderName& name,
                                             const std::vector<std::vector<std::string>>& files);

}  // namespace rae::official
