// Many pictures into one .npz archive: in batches, to be continued after an interruption, in parts
// by several processes.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rae/generate/generator.hpp"
#include "rae/generate/label_sampling.hpp"
#include "tool/command.hpp"

namespace rae::tool {

/// Part `index` (1 to `count`) of a set of pictures.
struct Shard {
  index_t index = 1, count = 1;

  [[nodiscard]] bool whole() const noexcept { return count == 1; }
  /// The first picture of the part of a set of `pictures`, and the first behind it.
  [[nodiscard]] index_t begin(index_t pictures) const noexcept {
    return pictures / count * (index - 1) + std::min(index - 1, pictures % count);
  }
  [[nodiscard]] index_t end(index_t pictures) const noexcept {
    return Shard{index + 1, count}.begin(pictures);
  }
  [[nodiscard]] std::string name() const { return concat(index, "/", count); }
};

/// "2/8". Throws UsageError unless 1 <= I <= N <= 100000.
[[nodiscard]] Shard parse_shard(const std::string& text);

/// The options of the command line.
struct BulkChoice {
  std::optional<std::string> label_sampling, shard;
  std::vector<std::string> join;

  /// How classes are dealt out. Throws UsageError.
  [[nodiscard]] LabelSampling labels() const;
  /// The part to be made. Throws UsageError.
  [[nodiscard]] Shard part() const { return shard ? parse_shard(*shard) : Shard{}; }
};

/// `--label-sampling`, `--shard` and `--join`.
void add_bulk_options(CLI::App& command, BulkChoice& choice);

/// A set of pictures and where it goes.
struct BulkSampling {
  std::string out;                        ///< the archive
  Shard shard{};                          ///< the part to be made
  Rounding rounding = Rounding::nearest;  ///< of pixels to 8 bits
  std::map<std::string, std::string>
      settings;  ///< what the pictures depend on besides those of `png_text`
};

/// A class for each of `count` pictures: of the last stream of the seed, or as PyTorch draws them.
[[nodiscard]] std::vector<std::int64_t> deal_labels(LabelSampling sampling, index_t count,
                                                    std::span<const std::int64_t> classes,
                                                    std::uint64_t seed, Rng rng);

/// A number that tells models apart: of the names and shapes of what makes pictures, 4 KiB of each
/// tensor, and the configuration.
[[nodiscard]] std::string fingerprint(const ModelFiles& files);

/// Draws the pictures of the shard with a model whose parts are all loaded, `options.labels` being
/// those of the whole set, and writes arr_0 (N, H, W, channels) of uint8 and arr_1, the labels, in
/// batches, with progress. Returns what was written, for a person. Throws Cancelled on Ctrl-C and
/// what NpzStream throws; the same call then goes on.
[[nodiscard]] std::string sample_to_npz(const Generator& generator, const GenerateOptions& options,
                                        const BulkSampling& bulk);

/// Joins the parts of a set, in any order, to the archive that one run would have written. Returns
/// what was written, for a person. Throws FormatError when a part is no such file, ArgumentError
/// when one is missing, given twice, or of another set.
[[nodiscard]] std::string join_shards(const std::vector<std::string>& parts,
                                      const std::string& out);

}  // namespace rae::tool
