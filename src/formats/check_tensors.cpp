#include "formats/check_tensors.hpp"

#include <optional>

#include "io/suggestion.hpp"

namespace rae::detail {
namespace {

std::vector<index_t> without_ones(const Shape& shape) {
  std::vector<index_t> out;
  for (const index_t extent : shape)
    if (extent != 1) out.push_back(extent);
  return out;
}

}  // namespace

std::vector<std::string> names_in_file(const TensorGroup& group, const std::string& name) {
  return group.names ? group.names(name) : std::vector<std::string>{name};
}

Shape piece_of(const Shape& parameter, std::size_t pieces) {
  return pieces > 1 ? parameter.with(0, parameter[0] / static_cast<index_t>(pieces)) : parameter;
}

bool fits(const Shape& stored, const Shape& ours) {
  if (stored.numel() != ours.numel()) return false;
  return without_ones(stored) == without_ones(ours) ||
         (stored.rank() == 4 && ours.rank() == 2 && stored[0] == ours[0]);
}

bool has_tensor(const TensorSource& tensors, std::string_view name) {
  if (tensors.unreadable().find(name) != tensors.unreadable().end())
    raise<FormatError>(tensors.origin(), ": the tensor ", name, why_missing(tensors, name));
  return tensors.contains(name);
}

std::string why_missing(const TensorSource& tensors, std::string_view name) {
  const auto reason = tensors.unreadable().find(name);
  if (reason == tensors.unreadable().end())
    return concat(" is missing", suggestion(name, tensors.names()));
  return " cannot be read: it " + reason->second;
}

void require_group(const TensorGroup& group, const std::vector<ParameterShape>& parameters) {
  const TensorSource& tensors = group.tensors;
  std::size_t missing = 0;
  std::string first;
  for (const auto& [name, shape, use] : parameters) {
    const auto names = names_in_file(group, name);
    const Shape expected = piece_of(shape, names.size());
    for (const std::string& each : names) {
      if (!has_tensor(tensors, each)) {
        if (missing++ == 0) first = each;
        continue;
      }
      if (const Shape& found = tensors.info(each).shape; !fits(found, expected))
        raise<FormatError>("tensor ", each, " in ", tensors.origin(), ": has shape ", found,
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
  // Each encoder has one patch embedding.
  const std::string patches = family == EncoderFamily::siglip2 ? "embeddings.patch_embedding.weight"
                              : family == EncoderFamily::dinov3
                                  ? "embeddings.patch_embeddings.weight"
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
  for (const auto& [name, reason] : tensors.unreadable())
    if (!prefix && name.ends_with(patches)) (void)has_tensor(tensors, name);  // throws
  if (!prefix)
    raise<FormatError>(tensors.origin(), ": has no tensor ", patches, "; is it a ", name_of(family),
                       " encoder?");
  return *prefix;
}

}  // namespace rae::detail
