// Handles of several pictures at once.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "capi/handles.hpp"

namespace rae::capi {

/// Sets `count` handles to null. Throws ArgumentError for a null array.
void clear_images(rae_image** images, std::size_t count);

/// Makes handles of pictures, with the text of each for its PNG file (or no text at all). Throws
/// without having made any.
void store_images(std::vector<Image> pictures,
                  const std::vector<std::map<std::string, std::string>>& texts, rae_image** images);

/// Throws ArgumentError unless the caller's array has `expected` elements.
void require_count(std::size_t count, index_t expected);

}  // namespace rae::capi
