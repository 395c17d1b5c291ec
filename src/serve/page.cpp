#include "serve/page.hpp"

namespace rae::serve {
namespace {

// Both files are text that CMake makes of page.html and openapi.json.
constexpr std::string_view kPage =
#include "serve/page.inc"
    ;
constexpr std::string_view kOpenApi =
#include "serve/openapi.inc"
    ;

}  // namespace

std::string_view page() { return kPage; }

std::string openapi(const Limits& limits) {
  ConfigNode out = ConfigNode::parse_json(kOpenApi, "openapi.json");
  const std::string images = "components.schemas.ImageRequest.properties.";
  out.set_path(images + "count.maximum", limits.count);
  out.set_path(images + "labels.maxItems", limits.count);
  out.set_path(images + "steps.maximum", limits.steps);
  out.set_path(images + "preview_interval.maximum", limits.steps);
  out.set_path("components.schemas.EncodeRequest.properties.images.maxItems", limits.count);
  return out.to_json(2);
}

}  // namespace rae::serve
