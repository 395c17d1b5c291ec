#include "formats/statistics_file.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <string_view>

#include "formats/check_tensors.hpp"
#include "rae/io/tensor_source.hpp"

namespace rae::detail {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::string_view kMeans[] = {"mean", "latents_mean", "latent_mean", "_latents_mean"};
constexpr std::string_view kVariances[] = {"var", "latents_var", "latent_var"};
constexpr std::string_view kDeviations[] = {"std", "latents_std", "latent_std", "_latents_std"};
/// Dicts that may hold the statistics; "" is the file itself.
constexpr std::string_view kPlaces[] = {"", "stats.", "latent_stats."};

/// The first of these names that the file has; empty for none.
std::string find(const TensorSource& file, Names names) {
  for (const std::string_view name : names)
    if (has_tensor(file, name)) return std::string(name);
  return {};
}

/// The first names of a file, for a message.
std::string names_in(const TensorSource& file) {
  constexpr std::size_t kShown = 8;
  std::vector<std::string> all = file.names();
  for (const auto& [name, reason] : file.unreadable()) all.push_back(name);
  if (all.empty()) return "no tensor";
  std::string out;
  for (std::size_t i = 0; i < std::min(all.size(), kShown); ++i)
    out += concat(i == 0 ? "'" : ", '", all[i].substr(0, 100), "'");
  if (all.size() > kShown) out += concat(" and ", all.size() - kShown, " more");
  return out;
}

/// A statistic as (C, h, w), from any shape that PyTorch would broadcast to it. Throws FormatError
/// for a value below `lowest`, NaN and infinity.
Tensor<float> statistic(const TensorSource& file, const std::string& name, const Shape& latent,
                        const std::string& where, float lowest) {
  const Tensor<float> stored = file.read<float>(name);  // (C, h, w), (1, C, h, w), (C, 1, 1)
  const int skipped = stored.rank() - 3;
  bool fits = stored.rank() >= 1;
  for (int i = 0; i < skipped; ++i) fits = fits && stored.extent(i) == 1;
  std::array<index_t, 3> extents{1, 1, 1};
  for (int i = std::max(0, -skipped); i < 3; ++i) {
    const auto at = static_cast<std::size_t>(i);
    extents[at] = stored.rank() == 0 ? 1 : stored.extent(i + skipped);
    fits = fits && (extents[at] == 1 || extents[at] == latent[i]);
  }
  if (!fits)
    raise<ShapeError>(file.origin(), ": '", name, "' is ", stored.shape(), ", but ", where,
                      " makes latents ", latent,
                      "; statistics belong to one encoder at one resolution");
  Tensor<float> out(latent);  // (C, h, w)
  float* target = out.data();
  for (index_t c = 0; c < latent[0]; ++c)
    for (index_t y = 0; y < latent[1]; ++y)
      for (index_t x = 0; x < latent[2]; ++x) {
        const index_t from =
            ((extents[0] == 1 ? 0 : c) * extents[1] + (extents[1] == 1 ? 0 : y)) * extents[2] +
            (extents[2] == 1 ? 0 : x);
        const float value = stored[from];
        if (!std::isfinite(value) || value < lowest)
          raise<FormatError>(file.origin(), ": '", name, "' has the value ", value,
                             ", which is not a valid statistic");
        *target++ = value;
      }
  return out;
}

}  // namespace

LatentNorm<float> read_statistics(const std::string& path, const Shape& latent,
                                  const std::string& where) {
  const TensorSource whole = TensorSource::open(path);
  for (const std::string_view place : kPlaces) {
    const TensorSource file = place.empty() ? whole : whole.under(place);
    const std::string mean = find(file, kMeans), var = find(file, kVariances),
                      std = find(file, kDeviations);
    if (mean.empty() && var.empty() && std.empty()) continue;
    constexpr float kLowest = std::numeric_limits<float>::lowest();
    LatentNorm<float> out;
    if (!mean.empty()) out.mean = statistic(file, mean, latent, where, kLowest);
    if (!var.empty()) {
      out.var = statistic(file, var, latent, where, 0);
    } else if (!std.empty()) {
      out.var = statistic(file, std, latent, where, 0);
      float* value = out.var.data();
      for (index_t i = 0; i < latent.numel(); ++i) {
        const double deviation = value[i];
        value[i] = static_cast<float>(deviation * deviation);
        if (!std::isfinite(value[i]))
          raise<FormatError>(path, ": '", std, "' has the value ", deviation,
                             ", whose square is not a valid variance");
      }
    } else {
      out.var = Tensor<float>(latent, 1.0f);
    }
    return out;
  }
  raise<FormatError>(path,
                     ": contains no statistics of latents: expected 'mean' and 'var' (or 'std', or "
                     "'latents_mean' and 'latents_std'), found ",
                     names_in(whole));
}

}  // namespace rae::detail
