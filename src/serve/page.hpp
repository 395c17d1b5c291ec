// The documents of the server that are part of the program: its page and the description of its
// interface (OpenAPI 3.0).
#pragma once

#include <string>
#include <string_view>

#include "serve/api.hpp"

namespace rae::serve {

/// The page, HTML with everything that it needs.
[[nodiscard]] std::string_view page();

/// The description of the interface in JSON, with the limits of this server.
[[nodiscard]] std::string openapi(const Limits& limits);

}  // namespace rae::serve
