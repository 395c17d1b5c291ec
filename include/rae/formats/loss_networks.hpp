// The networks that judge reconstructions, from their files: LPIPS, and the backbone of the DINO
// discriminator.
//
// Source: file layouts of torchvision's VGG16, of LPIPS and of DINO's checkpoints, as official
// train_stage1.py reads them.
#pragma once

#include <string>
#include <vector>

#include "rae/models/dino_disc.hpp"
#include "rae/models/lpips.hpp"

namespace rae {

/// LPIPS on VGG16, whose widths come from the files. These hold together, or one of them alone, the
/// convolutions ("features.N.weight" of torchvision, "net.sliceS.N.weight" of LPIPS) and the heads
/// ("linS.model.1.weight"); each is anything that `TensorSource` opens. Throws FileError,
/// FormatError, naming the missing tensor or file, and ShapeError.
[[nodiscard]] Lpips<Var<float>> open_lpips(const std::vector<std::string>& files);

/// The discriminator on the transformer in a file, under the names of DINO's checkpoints. Sizes
/// come from the file; heads of attention (0: one per 64 channels), key layers and kernel from
/// `config`. The discriminator's own heads are still to be filled. Throws FileError, FormatError,
/// ConfigError and ShapeError.
[[nodiscard]] DinoDiscriminator<Var<float>> open_dino_discriminator(const std::string& file,
                                                                    DinoDiscConfig config = {});

}  // namespace rae
