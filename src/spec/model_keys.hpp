// Keys of a model's configuration except those of diffusion networks.
#pragma once

#include <string_view>

namespace rae::detail {

inline constexpr std::string_view kModelKeys[] = {
    "name",        "encoder",     "encoder_size",   "encoder_width",   "pixels",     "image_size",
    "image_width", "decoder",     "path",           "path_formulas",   "time_shift", "prediction",
    "sampling",    "class_names", "decoder_output", "prediction_floor"};

}  // namespace rae::detail
