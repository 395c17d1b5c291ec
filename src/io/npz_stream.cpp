// The unfinished archive is the beginning of the finished one, so that no record is written twice
// and finishing copies nothing.
#include "rae/io/npz_stream.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include "deflate.hpp"
#include "file_lock.hpp"
#include "npy_header.hpp"
#include "rae/io/config.hpp"
#include "rae/io/file.hpp"
#include "symbolic_links.hpp"
#include "zip.hpp"

namespace rae {
namespace {

constexpr const char* kFormat = "rae partial npz 1";
constexpr std::size_t kChunk = std::size_t{1} << 20;

[[noreturn]] void fail(std::string_view action, const std::string& path) {
  raise<FileError>(action, " '", path,
                   "': ", std::error_code(errno, std::generic_category()).message());
}

ConfigNode settings_node(const std::map<std::string, std::string>& settings) {
  ConfigNode::Map members;
  for (const auto& [key, value] : settings) members.emplace_back(key, value);
  return ConfigNode::map(std::move(members));
}

}  // namespace

struct NpzStream::State {
  std::string path, partial, manifest;
  NpzStreamPlan plan;
  std::uint64_t record_bytes = 0, data_begin = 0;
  std::string head;            // local header and .npy header
  std::uint32_t head_crc = 0;  // of arr_0's .npy header
  std::uint32_t tail_crc = 0;  // of the other arrays
  std::string tail;            // bytes of the other arrays
  std::vector<detail::ZipStored> files;
  int descriptor = -1;
  index_t done = 0, saved = 0;  // records appended; records that the manifest lists
  std::uint32_t crc = 0;        // of arr_0 so far

  State(const std::string& name, NpzStreamPlan given)
      : path(detail::follow_links(name)),
        partial(partial_name(path)),
        manifest(partial + ".json"),
        plan(std::move(given)) {
    check_plan();
    compute_layout();
  }

  /// Not in the constructor, so that the destructor closes the file when this throws.
  void open() {
    descriptor = detail::open_locked(partial);
    if (descriptor < 0)
      raise<FileError>(
          "cannot write '", partial,
          "': another process is writing it; wait until it ends, or choose another name");
    const std::filesystem::path name(manifest);
    remove_orphaned_temporaries(name.has_parent_path() ? name.parent_path().string() : ".",
                                name.filename().string());
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) fail("cannot read", partial);
    // Without a manifest there is nothing to continue.
    if (status.st_size > 0 && std::filesystem::exists(manifest))
      resume(static_cast<std::uint64_t>(status.st_size));
    else
      begin();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (descriptor >= 0) ::close(descriptor);
  }

  void check_plan() const {
    const std::string where = concat("NpzStream: ", path);
    if (path.empty()) raise<FileError>("cannot write a file without a name");
    if (plan.count < 1 || plan.record.numel() < 1)
      raise<ArgumentError>(where, ": expected at least one record of at least one byte, got ",
                           plan.count, " of ", plan.record);
    if (plan.record.rank() + 1 > kMaxRank)
      raise<ArgumentError>(where, ": records ", plan.record, " have too many axes");
    std::set<std::string> names{"arr_0"};
    for (const auto& entry : plan.others)
      if (entry.name.empty() || entry.name.size() > 1000 || !names.insert(entry.name).second ||
          !detail::npy_descr(dtype_of(entry.tensor)) || shape_of(entry.tensor).numel() == 0)
        raise<ArgumentError>(
            where,
            ": expected arrays with a unique name, elements, and a type that NumPy has; got '",
            entry.name.substr(0, 100), "'");
  }

  /// Computes all bytes except those of the records.
  void compute_layout() {
    std::vector<index_t> extents{plan.count};
    for (int i = 0; i < plan.record.rank(); ++i) extents.push_back(plan.record[i]);
    const std::string npy =
        detail::npy_head(DType::uint8, Shape(std::span<const index_t>(extents)));
    record_bytes = static_cast<std::uint64_t>(plan.record.numel());
    const std::uint64_t size = npy.size() + record_bytes * static_cast<std::uint64_t>(plan.count);
    files.push_back({"arr_0.npy", 0, size, 0});
    head = detail::zip_local_header(files[0]) + npy;
    head_crc = detail::crc32_of(as_byte_span(npy));
    data_begin = head.size();
    const std::uint64_t end = data_begin - npy.size() + size;
    const auto add = [&](const std::string& name, const std::string& contents) {
      files.push_back(
          {name, detail::crc32_of(as_byte_span(contents)), contents.size(), end + tail.size()});
      tail += detail::zip_local_header(files.back()) + contents;
    };
    for (const auto& entry : plan.others)
      std::visit(
          [&](const auto& tensor) {
            add(entry.name + ".npy", detail::npy_head(dtype_of(entry.tensor), tensor.shape()) +
                                         std::string(as_text(std::as_bytes(tensor.span()))));
          },
          entry.tensor);
    if (!plan.settings.empty())
      add("settings.json", settings_node(plan.settings).to_json(2) + "\n");
    tail_crc = detail::crc32_of(as_byte_span(tail));
  }

  void begin() {
    if (::ftruncate(descriptor, 0) != 0) fail("cannot write", partial);
    write_at(0, as_byte_span(head));
    crc = head_crc;
    save_manifest();
  }

  void resume(std::uint64_t size) {
    const ConfigNode node = ConfigNode::load(manifest);
    const std::string hint = concat("; remove '", partial, "' and '", manifest, "' to start again");
    if (node.at("format").as_string() != kFormat)
      raise<FormatError>(manifest, ": not the manifest of an unfinished archive", hint);
    std::map<std::string, std::string> before;
    for (const auto& [key, value] : node.at("settings").members()) before[key] = value.as_string();
    const auto shown = [](const auto& settings, const std::string& key) {
      const auto found = settings.find(key);
      return found == settings.end() ? std::string("nothing") : "'" + found->second + "'";
    };
    std::set<std::string> keys;
    for (const auto* settings : {&before, &plan.settings})
      for (const auto& each : *settings) keys.insert(each.first);
    for (const auto& key : keys)
      if (shown(before, key) != shown(plan.settings, key))
        raise<ConfigError>("cannot continue '", partial, "': it was started with ", key, " ",
                           shown(before, key), ", now it is ", shown(plan.settings, key), hint);
    done = saved = node.at("done").as_integer(0, plan.count);
    const bool fits = static_cast<std::uint64_t>(node.at("head_crc32").as_integer()) == head_crc &&
                      static_cast<std::uint64_t>(node.at("tail_crc32").as_integer()) == tail_crc &&
                      size >= position();
    if (!fits) raise<FormatError>(partial, ": does not agree with its manifest", hint);
    crc = checksum();
    if (crc != static_cast<std::uint64_t>(node.at("crc32").as_integer()))
      raise<FormatError>(partial, ": wrong checksum; the file is damaged", hint);
    if (::ftruncate(descriptor, static_cast<off_t>(position())) != 0) fail("cannot write", partial);
  }

  [[nodiscard]] std::uint64_t position() const {
    return data_begin + record_bytes * static_cast<std::uint64_t>(done);
  }

  /// The checksum of the part of arr_0 that is on the disk.
  [[nodiscard]] std::uint32_t checksum() const {
    std::uint32_t sum = head_crc;
    std::vector<std::byte> chunk(kChunk);
    for (std::uint64_t at = data_begin; at < position();) {
      const auto wanted =
          static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, position() - at));
      const ssize_t count = ::pread(descriptor, chunk.data(), wanted, static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail("cannot read", partial);
      sum = detail::crc32_of({chunk.data(), static_cast<std::size_t>(count)}, sum);
      at += static_cast<std::uint64_t>(count);
    }
    return sum;
  }

  void write_at(std::uint64_t at, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t count =
          ::pwrite(descriptor, bytes.data(), std::min<std::size_t>(bytes.size(), 1u << 30),
                   static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count == 0) errno = ENOSPC;
      if (count <= 0) fail("cannot write", partial);
      at += static_cast<std::uint64_t>(count);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  /// Flushes the records to the disk, then writes the manifest that lists them.
  void save_manifest() {
    if (::fsync(descriptor) != 0) fail("cannot write", partial);
    ConfigNode::Map members{{"format", kFormat},
                            {"done", done},
                            {"count", plan.count},
                            {"crc32", crc},
                            {"head_crc32", head_crc},
                            {"tail_crc32", tail_crc},
                            {"settings", settings_node(plan.settings)}};
    write_file_atomically(manifest, ConfigNode::map(std::move(members)).to_json(2) + "\n");
    saved = done;
  }

  void finish() {
    if (done != plan.count)
      raise<ArgumentError>("NpzStream: ", path, ": only ", done, " of ", plan.count,
                           " records were appended");
    if (saved != done) save_manifest();
    files[0].crc = crc;
    write_at(position(),
             as_byte_span(tail + detail::zip_directory(files, position() + tail.size())));
    write_at(0, as_byte_span(detail::zip_local_header(files[0])));
    if (::fsync(descriptor) != 0) fail("cannot write", partial);
    if (::rename(partial.c_str(), path.c_str()) != 0)
      fail("cannot rename the finished file to", path);
    // Before the lock ends, so that it is not the manifest of another process.
    ::unlink(manifest.c_str());
    ::close(std::exchange(descriptor, -1));
  }
};

NpzStream::NpzStream(const std::string& path, NpzStreamPlan plan)
    : state_(std::make_unique<State>(path, std::move(plan))) {
  state_->open();
}
NpzStream::NpzStream(NpzStream&& other) noexcept = default;
NpzStream::~NpzStream() = default;

index_t NpzStream::done() const noexcept { return state_->done; }

void NpzStream::append(std::span<const std::uint8_t> records) {
  State& s = *state_;
  const std::uint64_t count = records.size() / s.record_bytes;
  if (s.descriptor < 0 || count * s.record_bytes != records.size() ||
      count > static_cast<std::uint64_t>(s.plan.count - s.done))
    raise<ArgumentError>("NpzStream: ", s.path, ": ", records.size(),
                         " bytes are not whole records of ", s.record_bytes,
                         " bytes, or are more than the ", s.plan.count - s.done,
                         " records that are missing");
  const auto bytes = std::as_bytes(records);
  s.write_at(s.position(), bytes);
  s.crc = detail::crc32_of(bytes, s.crc);
  s.done += static_cast<index_t>(count);
}

void NpzStream::checkpoint() {
  if (state_->descriptor >= 0 && state_->saved != state_->done) state_->save_manifest();
}

void NpzStream::finish() { state_->finish(); }

std::string NpzStream::partial_name(const std::string& path) { return path + ".partial"; }

}  // namespace rae
