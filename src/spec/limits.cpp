#include "rae/spec/limits.hpp"

#include "rae/error.hpp"

namespace rae {

void require_size(const ConfigPlace& place, index_t value, index_t lowest, index_t highest) {
  if (value < lowest || value > highest)
    raise<ConfigError>(place.to_string(), ": expected an integer from ", lowest, " to ", highest,
                       ", got ", value);
}

void require_number(const ConfigPlace& place, double value, double lowest, double highest) {
  if (!(value >= lowest && value <= highest))
    raise<ConfigError>(place.to_string(), ": expected a number from ", lowest, " to ", highest,
                       ", got ", value);
}

void require_heads(const ConfigPlace& place, std::string_view name, index_t width, index_t heads) {
  if (width % heads != 0)
    raise<ConfigError>(place.to_string(), ": ", name, " ", width, " does not divide into ", heads,
                       " heads");
}

void require_dit_width(const ConfigPlace& place, std::string_view name, index_t width,
                       index_t heads, bool rope, double mlp_ratio) {
  require_heads(place, name, width, heads);
  if (rope && width / heads % 4 != 0)
    raise<ConfigError>(place.to_string(),
                       ": use_rope needs heads whose width is a multiple of 4, got ", width, " / ",
                       heads);
  if (static_cast<double>(width) * mlp_ratio < 2)
    raise<ConfigError>(place.to_string(), ": mlp_ratio ", mlp_ratio, " leaves no hidden unit");
}

}  // namespace rae
