#include "formats/check_tensors.hpp"

#include <optional>

#include "rae/spec/model_config.hpp"

namespace rae::detail {
namespace {

/// The first extent that is not one: with the number of elements enough to tell a tensor of another
/// model, whatever its rank.
index_t rows_of(const Shape& shape) {
  for (const index_t extent : shape)
    if (extent != 1) return extent;
  return 1;
}

}  // namespace

std::vector<std::string> files_of(const PartFile& part, const std::string& name) {
  return part.names ? part.names(name) : std::vector<std::string>{name};
}

void require_part(const PartFile& part, const std::vector<ParameterShape>& parameters) {
  const TensorSource& tensors = part.tensors;
  std::size_t missing = 0;
  std::string first;
  for (const auto& [name, shape, use] : parameters) {
    const auto files = files_of(part, name);
    for (const std::string& file : files) {
      if (!tensors.contains(file)) {
        if (missing++ == 0) first = file;
        continue;
      }
      Shape expected = shape;
      if (files.size() > 1) expected = shape.with(0, shape[0] / static_cast<index_t>(files.size()));
      const Shape& found = tensors.info(file).shape;
      if (found.numel() != expected.numel() || rows_of(found) != rows_of(expected))
        raise<FormatError>("tensor ", file, " in ", tensors.origin(), ": has shape ", found,
                           ", the configuration needs ", expected);
    }
  }
  if (missing == 0) return;
  raise<FormatError>(tensors.origin(), ": the tensor ", first, " is missing",
                     missing > 1
                         ? concat(", and ", missing - 1, " more that the configuration needs")
                         : std::string());
}

std::string encoder_prefix(const TensorSource& tensors, EncoderFamily family) {
  // The patch embedding tells, of which there is one in each encoder.
  const std::string patches = family == EncoderFamily::siglip2
                                  ? "embeddings.patch_embedding.weight"
                                  : "embeddings.patch_embeddings.projection.weight";
  std::optional<std::string> prefix;
  for (const std::string& name : tensors.names()) {
    if (!name.ends_with(patches)) continue;
    const std::string before = name.substr(0, name.size() - patches.size());
    if (!before.empty() && before.back() != '.') continue;
    if (prefix)
      raise<FormatError>(tensors.origin(), ": has two encoders, '", *prefix, "' and '", before,
                         "'");
    prefix = before;
  }
  if (!prefix)
    raise<FormatError>(tensors.origin(), ": has no tensor ", patches, "; is it a ", name_of(family),
                       " encoder?");
  return *prefix;
}

}  // namespace rae::detail
