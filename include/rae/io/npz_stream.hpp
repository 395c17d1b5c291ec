// An .npz archive whose large first array is written record by record, over days if need be: what
// is on the disk survives the end of the program, and the same call goes on from there.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/io/npz.hpp"

namespace rae {

/// Everything about an archive but the records themselves, known before the first is made.
struct NpzStreamPlan {
  index_t count = 0;               ///< records, at least 1
  Shape record{};                  ///< of one record of bytes, for example (H, W, C)
  std::vector<NpzEntry> others{};  ///< further arrays, behind "arr_0"
  std::map<std::string, std::string>
      settings{};  ///< what the records depend on; kept in the archive as the text "settings.json"
};

/// Writes "arr_0" (count, record...) of uint8, the other arrays and the settings into an .npz
/// archive of any size (zip64 above 4 GB). Until `finish` the records lie in `PATH.partial`, which
/// grows in the form of the archive, beside the manifest `PATH.partial.json`; both are then gone
/// and `PATH` has its name at once. Equal plans and records give equal bytes, however often the
/// work was interrupted.
///
/// Movable, not copyable. One process at a time writes an archive; a lock sees to that.
class NpzStream {
 public:
  /// Goes on where a process with the same plan stopped, or begins. Throws ArgumentError for a plan
  /// without records or with wrong arrays, ConfigError naming the first setting that differs from
  /// those of the unfinished archive, FormatError when that is damaged, FileError when it cannot be
  /// written or another process is writing it.
  NpzStream(const std::string& path, NpzStreamPlan plan);
  /// Takes the archive; `other` can no longer write.
  NpzStream(NpzStream&& other) noexcept;
  NpzStream& operator=(NpzStream&&) = delete;
  NpzStream(const NpzStream&) = delete;
  NpzStream& operator=(const NpzStream&) = delete;
  /// Leaves an unfinished archive behind, to be continued from the last checkpoint.
  ~NpzStream();

  /// Records that are there.
  [[nodiscard]] index_t done() const noexcept;

  /// Appends whole records. Throws ArgumentError for parts of records or more than are planned,
  /// FileError.
  void append(std::span<const std::uint8_t> records);

  /// Flushes to the disk what was appended; a process that begins later has at least this. Throws
  /// FileError.
  void checkpoint();

  /// Completes the archive. Throws ArgumentError when records are missing, FileError.
  void finish();

  /// Name of the unfinished archive of a path.
  [[nodiscard]] static std::string partial_name(const std::string& path);

 private:
  struct State;
  OwnedPointer<State> state_;
};

}  // namespace rae
