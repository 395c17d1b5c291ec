// An .npz archive whose large first array is written record by record. A program that was
// interrupted continues with the records that are on the disk.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/io/npz.hpp"

namespace rae {

/// Everything about an archive except the records themselves, known before the first record.
struct NpzStreamPlan {
  index_t count = 0;               ///< number of records, at least 1
  Shape record{};                  ///< shape of one record of bytes, for example (H, W, C)
  std::vector<NpzEntry> others{};  ///< further arrays, stored after "arr_0"
  std::map<std::string, std::string> settings{};  ///< the settings that the records depend on;
                                                  ///< stored in the archive as "settings.json"
};

/// Writes "arr_0" (count, record...) of uint8, the other arrays and the settings into an .npz
/// archive of any size (zip64 above 4 GB). Until `finish` the records are in `PATH.partial`, which
/// has the layout of the archive, beside the manifest `PATH.partial.json`. `finish` renames the
/// first to `PATH` and removes the manifest. Equal plans and records give equal bytes, however
/// often the work was interrupted.
///
/// Movable, not copyable. A lock ensures that only one process at a time writes an archive.
class NpzStream {
 public:
  /// Continues an unfinished archive of the same plan, or begins a new one. Throws ArgumentError
  /// for a plan without records or with invalid arrays, ConfigError for the first setting that
  /// differs from the unfinished archive's, FormatError when that archive is damaged, FileError
  /// when it cannot be written or another process is writing it.
  NpzStream(const std::string& path, NpzStreamPlan plan);
  /// Takes the archive; `other` can no longer write.
  NpzStream(NpzStream&& other) noexcept;
  NpzStream& operator=(NpzStream&&) = delete;
  NpzStream(const NpzStream&) = delete;
  NpzStream& operator=(const NpzStream&) = delete;
  /// An unfinished archive stays on the disk and can be continued from its last checkpoint.
  ~NpzStream();

  /// Number of records that were appended.
  [[nodiscard]] index_t done() const noexcept;

  /// Appends whole records. Throws ArgumentError for incomplete records and for more than are
  /// planned, FileError.
  void append(std::span<const std::uint8_t> records);

  /// Flushes the appended records to the disk; a later process continues after them. Throws
  /// FileError.
  void checkpoint();

  /// Completes the archive and gives it its name. Throws ArgumentError when records are missing,
  /// FileError.
  void finish();

  /// Name of the unfinished archive of a path.
  [[nodiscard]] static std::string partial_name(const std::string& path);

 private:
  struct State;
  OwnedPointer<State> state_;
};

}  // namespace rae
