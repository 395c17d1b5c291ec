// The requests of the server in JSON: checked completely before they wait in the queue, and
// answered in JSON with pictures as PNG files in Base64.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rae/generate/generator.hpp"
#include "rae/io/config.hpp"
#include "serve/models.hpp"
#include "serve/queue.hpp"

namespace rae::serve {

/// The largest requests that a server accepts.
struct Limits {
  std::size_t body = std::size_t{4} << 20;  ///< bytes of a request; JSON has at most 4 MiB
  index_t count = 64;                       ///< pictures of a request
  index_t steps = 1000;                     ///< steps of a request
  index_t pixels = index_t{1} << 24;        ///< of each picture that a request contains
  std::size_t queue = 16;                   ///< requests that wait
  double seconds = 600;                     ///< of the computation of a request
};

/// Pictures to draw.
struct ImageRequest {
  const ServedModel* model = nullptr;
  GenerateOptions options{};
  Image init{}, mask{};  ///< empty: not given
  bool stream = false;
  index_t preview_interval = 0;  ///< steps from one preview to the next; 0: none
};

/// Reads {"model", "class", "labels", "count", "seed", "index", "steps", "guidance", "preset",
/// "init", "mask", "strength", "stream", "preview_interval"}. Throws UnknownModel, and ConfigError,
/// ArgumentError, FormatError or ShapeError for a request that is wrong.
[[nodiscard]] ImageRequest parse_image_request(const ConfigNode& body, const Models& models,
                                               const Limits& limits);
/// Draws them: {"model", "seconds", "images": [{"png", "settings"}]}. `as_png` answers with one PNG
/// file instead, in which several pictures are a grid.
[[nodiscard]] Answer draw(const ImageRequest& request, Job& job, bool as_png);

/// Pictures to encode.
struct EncodeRequest {
  const ServedModel* model = nullptr;
  std::vector<Image> images;
};

/// Reads {"model", "images"}; throws as `parse_image_request`.
[[nodiscard]] EncodeRequest parse_encode_request(const ConfigNode& body, const Models& models,
                                                 const Limits& limits);
/// {"model", "latents": {"shape": [B, C, h, w], "data"}}, normalised, 32-bit floats with the lowest
/// byte first in Base64.
[[nodiscard]] Answer encode(const EncodeRequest& request);

/// Latents to decode.
struct DecodeRequest {
  const ServedModel* model = nullptr;
  Tensor<float> latents{};  // (B, C, h, w)
};

/// Reads {"model", "latents"}; throws as `parse_image_request`.
[[nodiscard]] DecodeRequest parse_decode_request(const ConfigNode& body, const Models& models,
                                                 const Limits& limits);
/// {"model", "images": [{"png"}]}.
[[nodiscard]] Answer decode(const DecodeRequest& request);

}  // namespace rae::serve
