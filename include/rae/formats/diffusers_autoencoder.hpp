// Autoencoders in the format of diffusers (nyu-visionx/RAE-*): a folder with encoder, decoder and
// statistics of the latents in one file of weights. Other classes of diffusers are recognised.
//
// Source: AutoencoderRAE in huggingface/diffusers.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"

namespace rae {

/// Opens a folder with the config.json of an `AutoencoderRAE` and its diffusion_pytorch_model. The
/// decoder's attention may have the names of diffusers (`to_q`) or those of the official code. The
/// decoder's position table is a buffer that `save_pretrained` does not store: it is computed as
/// diffusers does, from positions divided by grid / 16; a file that has it is read with its values.
/// Names and shapes of all needed tensors are checked. Only the statistics are read, broadcast to
/// (C, h, w), and combined with `scaling_factor`, so that the latents are exactly those of
/// diffusers, which divides by std + 1e-5. Throws FileError, ConfigError, FormatError, ShapeError.
[[nodiscard]] ModelFiles open_diffusers_autoencoder(const std::string& folder);

/// The class that the config.json, or the model_index.json, of a folder of diffusers names:
/// "AutoencoderRAE", "RAEDiT2DModel", "RAEDiTPipeline". Empty when there is no such file, or it
/// names none or cannot be read.
[[nodiscard]] std::string diffusers_class(const std::string& folder) noexcept;

/// True when the folder's config.json names the class AutoencoderRAE.
[[nodiscard]] bool is_diffusers_autoencoder(const std::string& folder) noexcept;

/// Throws ConfigError for a folder of diffusers of another class than AutoencoderRAE. The message
/// says what the class is and, for a pipeline, which of its folders can be opened. `name` is the
/// class.
[[noreturn]] void refuse_diffusers_class(const std::string& folder, const std::string& name);

/// (1, 1 + grid * grid, D): the position table of the decoder in diffusers. The row of the class
/// token is zero; the others are the sin-cos vectors of kernels/rope.hpp for the coordinates
/// i / (grid / 16), rounded to f32. Source: get_2d_sincos_pos_embed of diffusers with its default
/// base size of 16. Throws ArgumentError unless D is a positive multiple of 4 and grid is positive.
[[nodiscard]] Tensor<float> diffusers_position_table(index_t grid, index_t dim);

}  // namespace rae
