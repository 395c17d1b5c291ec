// Opens the networks of the decoder's losses: LPIPS, and the backbone of the DINO discriminator.
//
// Source: file layouts of torchvision's VGG16, of LPIPS and of DINO's checkpoints, as official
// train_stage1.py reads them.
#pragma once

#include <string>
#include <vector>

#include "rae/models/dino_disc.hpp"
#include "rae/models/lpips.hpp"

namespace rae {

/// LPIPS on VGG16, with the widths of the weights in the files. One file or several together
/// contain the convolutions ("features.N.weight" of torchvision, "net.sliceS.N.weight" of LPIPS)
/// and the heads ("linS.model.1.weight"); a file may be anything that `TensorSource::open` accepts.
/// Throws FileError, FormatError, naming the missing tensor or file, and ShapeError.
[[nodiscard]] Lpips<Var<float>> open_lpips(const std::vector<std::string>& files);

/// The discriminator on the transformer in a file with the names of DINO's checkpoints. The sizes
/// are those of the file; attention heads (0: one per 64 channels), key layers and kernel size are
/// those of `config`. The weights of the discriminator's own heads are not set. Throws FileError,
/// FormatError, ConfigError and ShapeError.
[[nodiscard]] DinoDiscriminator<Var<float>> open_dino_discriminator(const std::string& file,
                                                                    DinoDiscConfig config = {});

}  // namespace rae
