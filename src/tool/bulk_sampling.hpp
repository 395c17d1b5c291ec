// Samples many pictures into one .npz archive, in batches. An interrupted run can be continued, and
// several processes can generate one part each.
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
  /// The part consists of the pictures [begin, end) of a set of `pictures`.
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

/// The options of the command line for large sets.
struct BulkChoice {
  std::optional<std::string> label_sampling, shard;
  std::vector<std::string> join;

  /// How the classes of the pictures are chosen. Throws UsageError.
  [[nodiscard]] LabelSampling labels() const;
  /// The part to generate. Throws UsageError.
  [[nodiscard]] Shard part() const { return shard ? parse_shard(*shard) : Shard{}; }
};

/// `--label-sampling`, `--shard` and `--join`.
void add_bulk_options(CLI::App& command, BulkChoice& choice);

/// A set of pictures and its output file.
struct BulkSampling {
  std::string out;                        ///< the archive
  Shard shard{};                          ///< the part to generate
  Rounding rounding = Rounding::nearest;  ///< of pixels to 8 bits
  std::map<std::string, std::string>
      settings;  ///< settings that affect the pictures, besides those of `png_text`
};

/// A class for each of `count` pictures, chosen with the last random stream of `seed` (philox) or
/// with the numbers that PyTorch would draw (torch_cpu).
[[nodiscard]] std::vector<std::int64_t> choose_labels(LabelSampling sampling, index_t count,
                                                      std::span<const std::int64_t> classes,
                                                      std::uint64_t seed, Rng rng);

/// A checksum that distinguishes models: of the configuration, the latent statistics, and the name,
/// data type, shape and 4 KiB of each tensor of decoder, diffusion network and guide.
[[nodiscard]] std::string fingerprint(const ModelFiles& files);

/// The same of encoder and decoder.
[[nodiscard]] std::string autoencoder_fingerprint(const ModelFiles& files);

/// Generates the pictures of the shard in batches, with a progress bar, and writes arr_0 (N, H, W,
/// channels) of uint8 and arr_1, the labels (N). All networks of the generator must stay loaded;
/// `options.labels` are those of the whole set. Returns a summary for the terminal. Throws
/// Cancelled on Ctrl-C and the errors of NpzStream; the same call then continues.
[[nodiscard]] std::string sample_to_npz(const Generator& generator, const GenerateOptions& options,
                                        const BulkSampling& bulk);

/// Joins the parts of a set, in any order, to the archive that one run would have written. Returns
/// a summary for the terminal. Throws FormatError if a file is not a part, ArgumentError if a part
/// is missing, given twice, or from another set.
[[nodiscard]] std::string join_shards(const std::vector<std::string>& parts,
                                      const std::string& out);

}  // namespace rae::tool
