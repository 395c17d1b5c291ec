// Compares files by device and inode; stdin and pipes are copied to temporary files, stdout from
// one.
#include "tool/command_files.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "formats/official/paths.hpp"
#include "rae/io/config.hpp"
#include "rae/io/file.hpp"
#include "tool/command.hpp"
#include "tool/interrupt.hpp"
#include "tool/output.hpp"
#include "tool/ranks.hpp"
#include "tool/temporary_folder.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace fs = std::filesystem;

namespace {

/// Endings of files that this program reads or writes.
constexpr const char* kFileEndings[] = {".png", ".jpg",  ".jpeg", ".webp", ".bmp",        ".npz",
                                        ".npy", ".json", ".yaml", ".yml",  ".pt",         ".pth",
                                        ".bin", ".csv",  ".html", ".txt",  ".safetensors"};

[[noreturn]] void fail_with_errno(std::string_view action, std::string_view what) {
  raise<FileError>(action, " ", what, ": ",
                   std::error_code(errno, std::generic_category()).message());
}

/// The place that a dangling link names, or the path itself.
fs::path without_links(fs::path path) {
  constexpr int kMostLinks = 40;
  std::error_code none;
  for (int i = 0; i < kMostLinks && fs::is_symlink(path, none); ++i) {
    const fs::path target = fs::read_symlink(path, none);
    if (none) break;
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  return path;
}

/// A file or folder on the disk, or a place for one: the identity of its folder, and its name.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  std::string name;  // empty if the file exists
  bool operator==(const Identity&) const = default;
};

/// Absent for devices, pipes, and names in missing folders.
std::optional<Identity> identity_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return std::nullopt;
    return Identity{status.st_dev, status.st_ino, {}};
  }
  const fs::path target = without_links(without_slash(path));
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  if (::stat(folder.c_str(), &status) != 0) return std::nullopt;
  return Identity{status.st_dev, status.st_ino, target.filename().string()};
}

/// True if `path` is somewhere inside `folder`.
bool is_inside(const std::string& path, const Identity& folder) {
  std::error_code none;
  fs::path at = fs::weakly_canonical(without_slash(path), none);
  if (none) return false;
  while (at.has_relative_path()) {
    at = at.parent_path();
    if (const auto found = identity_of(at.string()); found && *found == folder) return true;
  }
  return false;
}

enum class Kind { input, input_folder, input_tree, output, output_folder, replaced_folder };

bool is_output(Kind kind) { return kind >= Kind::output; }

/// A declared file or folder.
struct Used {
  Kind kind;
  std::string option, path;
  Identity identity;
};

/// Throws UsageError if `output` and `other` cannot belong to one run.
void require_separate(const Used& output, const Used& other) {
  const std::string place = concat(output.option, ": '", output.path, "' ");
  if (output.identity == other.identity) {
    if (is_output(other.kind))
      throw UsageError(concat(place, "names the same file as ", other.option));
    throw UsageError(concat(place, "is read by ", other.option,
                            "; an output cannot be one of the inputs, choose another name"));
  }
  const bool folder = output.kind != Kind::output;
  const bool in_data =
      folder && (other.kind == Kind::input_folder || other.kind == Kind::input_tree);
  const bool in_model = other.kind == Kind::input_tree && output.identity.name.empty();
  if ((in_data || in_model) && is_inside(output.path, other.identity))
    throw UsageError(concat(place, "is inside '", other.path, "', which ", other.option,
                            " reads; choose a place outside of it"));
  if (output.kind == Kind::replaced_folder && !is_output(other.kind) &&
      is_inside(other.path, output.identity))
    throw UsageError(concat(place, "contains '", other.path, "', which ", other.option,
                            " reads; choose another folder"));
}

/// The descriptor that a name stands for: 0 for "-" as an input, 1 as an output.
bool names_descriptor(const std::string& path, int descriptor, std::string_view word) {
  return path == "-" || path == concat("/dev/", word) || path == concat("/dev/fd/", descriptor) ||
         path == concat("/proc/self/fd/", descriptor);
}

std::string temporary_folder() {
  const char* const folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/tmp";
}

/// A temporary file that vanishes when the process ends. Throws FileError.
int open_nameless() {
  const std::string folder = temporary_folder();
  int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0) return file;
  std::string name = folder + "/rae-XXXXXX";  // some file systems have no O_TMPFILE
  file = ::mkostemp(name.data(), O_CLOEXEC);
  if (file < 0) fail_with_errno("cannot create a temporary file in", concat("'", folder, "'"));
  ::unlink(name.c_str());
  return file;
}

/// Writes all bytes; the message calls the target `what`.
void write_all(int to, const char* bytes, std::size_t count, std::string_view what) {
  while (count > 0) {
    const ssize_t written = ::write(to, bytes, count);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_with_errno("cannot write to", what);
    bytes += written;
    count -= static_cast<std::size_t>(written);
  }
}

/// Copies all that is left. Throws FileError, and Cancelled on Ctrl-C.
void copy_all(int from, const std::string& from_name, int to, const std::string& to_name) {
  std::vector<char> buffer(std::size_t{1} << 18);
  for (;;) {
    stop_if_interrupted();
    pollfd waiting{from, POLLIN, 0};  // unlike a read, Ctrl-C ends it
    if (::poll(&waiting, 1, -1) < 0 && errno == EINTR) continue;
    const ssize_t count = ::read(from, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_with_errno("cannot read", from_name);
    if (count == 0) return;
    write_all(to, buffer.data(), static_cast<std::size_t>(count), to_name);
  }
}

/// Temporary files by their names, and the names by which messages call them.
std::vector<std::pair<std::string, std::string>>& shown_names() {
  static std::vector<std::pair<std::string, std::string>> names;
  return names;
}

/// All strings of a configuration.
void collect_strings(const ConfigNode& node, std::vector<std::string>& out) {
  if (node.is_string()) out.push_back(node.as_string());
  if (node.is_map())
    for (const auto& [key, value] : node.members()) collect_strings(value, out);
  if (node.is_list())
    for (const ConfigNode& value : node.elements()) collect_strings(value, out);
}

std::string list_of(std::initializer_list<std::string_view> endings) {
  std::string out;
  for (const std::string_view ending : endings)
    out += concat(out.empty() ? "" : ending == *(endings.end() - 1) ? " or " : ", ", ending);
  return out;
}

}  // namespace

struct CommandFiles::State {
  std::vector<Used> used;
  std::vector<int> descriptors;          // of temporary files without a name
  std::string stdin_option, out_option;  // the options that are "-"
  std::optional<TemporaryFolder> out_folder;
  std::string out_file;  // in it, copied to stdout

  void declare(Used added) {
    for (const Used& other : used) {
      if (is_output(added.kind)) require_separate(added, other);
      if (is_output(other.kind)) require_separate(other, added);
    }
    used.push_back(std::move(added));
  }

  /// Nothing is declared for devices and pipes.
  void declare(Kind kind, const std::string& option, const std::string& path) {
    if (auto identity = identity_of(path)) declare({kind, option, path, std::move(*identity)});
  }

  /// The path of a copy of a pipe or device.
  std::string copied(const std::string& path, int from, const std::string& shown) {
    const int to = open_nameless();
    descriptors.push_back(to);
    copy_all(from, shown, to, concat("the temporary copy of ", shown));
    std::string name = concat("/proc/self/fd/", to);
    show_as(name, path == "-" ? "stdin" : path);
    return name;
  }
};

CommandFiles::CommandFiles() : state_(std::make_unique<State>()) {}

CommandFiles::~CommandFiles() {
  for (const int descriptor : state_->descriptors) ::close(descriptor);
}

std::string CommandFiles::input(const std::string& option, const std::string& path) {
  struct stat status {};
  const auto require_one_rank = [&] {
    if (ranks().size() > 1)
      throw UsageError(concat(option, ": each of ", ranks().size(),
                              " processes reads the file, so '", path,
                              "' cannot be stdin or a pipe; name a file"));
  };
  if (names_descriptor(path, STDIN_FILENO, "stdin")) {
    require_one_rank();
    if (!state_->stdin_option.empty())
      throw UsageError(concat(option, ": stdin is already read by ", state_->stdin_option));
    if (::isatty(STDIN_FILENO) == 1)
      throw UsageError(concat(option, ": stdin is a terminal; redirect it from a file or a pipe"));
    state_->stdin_option = option;
    if (::fstat(STDIN_FILENO, &status) != 0) fail_with_errno("cannot read", "stdin");
    if (S_ISREG(status.st_mode) && ::lseek(STDIN_FILENO, 0, SEEK_CUR) == 0) {
      state_->declare({Kind::input, option, path, {status.st_dev, status.st_ino, {}}});
      show_as("/proc/self/fd/0", "stdin");
      return "/proc/self/fd/0";
    }
    return state_->copied(path, STDIN_FILENO, "stdin");
  }
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
    require_one_rank();
    const int from = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (from < 0) fail_with_errno("cannot open", concat("'", path, "'"));
    state_->descriptors.push_back(from);
    return state_->copied(path, from, concat("'", path, "'"));
  }
  state_->declare(Kind::input, option, path);
  return path;
}

void CommandFiles::input_folder(const std::string& option, const std::string& path) {
  if (path == "-") throw UsageError(concat(option, ": '-' (stdin) cannot be a folder; name one"));
  state_->declare(Kind::input_folder, option, path);
}

std::string CommandFiles::input_model(const std::string& option, const std::string& path,
                                      const std::string& models_dir) {
  std::error_code none;
  if (fs::is_directory(path, none)) {
    state_->declare(Kind::input_tree, option, path);
    return path;
  }
  std::string out = input(option, path);
  if (!has_extension(path, ".yaml") && !has_extension(path, ".yml") && option != "--config")
    return out;
  std::vector<std::string> words;
  try {
    collect_strings(ConfigNode::load(out), words);
  } catch (const Error&) {
    return out;  // reported when the model is opened
  }
  official::Paths paths(out, models_dir);
  for (const std::string& word : words) {
    if (word.empty()) continue;
    if (const std::string file = paths.file({}, word); !file.empty())
      state_->declare(Kind::input, option, file);
    const std::string folder = paths.folder({}, word, {{"config.json"}});
    if (!folder.empty()) state_->declare(Kind::input_tree, option, folder);
  }
  return out;
}

std::string CommandFiles::output(const std::string& option, const std::string& path,
                                 std::initializer_list<std::string_view> endings) {
  if (!ranks().is_root()) return path;
  struct stat status {};
  if (names_descriptor(path, STDOUT_FILENO, "stdout")) {
    if (!state_->out_option.empty())
      throw UsageError(concat(option, ": stdout is already written by ", state_->out_option));
    if (::isatty(STDOUT_FILENO) == 1)
      throw UsageError(concat(option, ": stdout is a terminal; redirect it to a file or a pipe"));
    state_->out_option = option;
    if (::fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode))
      state_->declare({Kind::output, option, path, {status.st_dev, status.st_ino, {}}});
    state_->out_folder.emplace(temporary_folder() + "/rae-stdout", true);
    state_->out_file = concat(state_->out_folder->path(), "/stdout", *endings.begin());
    show_as(state_->out_file, "stdout");
    return state_->out_file;
  }
  const bool exists = ::stat(path.c_str(), &status) == 0;
  const bool device = exists && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
  const bool fits = std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) {
    return has_extension(path, std::string(ending));
  });
  if (!device && !fits)
    throw UsageError(concat(option, ": expected a name that ends in ", list_of(endings),
                            ", or '-' for stdout, got '", path, "'"));
  state_->declare(Kind::output, option, path);
  require_writable_file(path);
  return path;
}

void CommandFiles::output_folder(const std::string& option, const std::string& path,
                                 const FolderRule& rule) {
  if (!ranks().is_root()) return;
  if (path.empty()) throw UsageError(concat(option, ": expected the name of a folder, got ''"));
  if (path == "-") throw UsageError(concat(option, ": '-' (stdout) cannot be a folder; name one"));
  std::error_code none;
  const bool exists = fs::is_directory(path, none);
  if (!fs::exists(path, none) &&
      std::any_of(std::begin(kFileEndings), std::end(kFileEndings),
                  [&](const char* ending) { return has_extension(without_slash(path), ending); }))
    throw UsageError(concat(option, ": expected a folder, got the name of a file, '", path, "'"));
  require_writable_folder(path);
  state_->declare(rule.overwrite ? Kind::replaced_folder : Kind::output_folder, option, path);
  // Processes that were killed may have left their unfinished files.
  remove_orphaned_folders(without_slash(path));
  if (!exists) return;
  remove_orphaned_folders(without_slash(path) + "/");
  remove_orphaned_temporaries(path);
  std::vector<std::string> entries;
  for (const auto& entry : fs::directory_iterator(path))
    entries.push_back(entry.path().filename().string());
  if (entries.empty() || (rule.continues != nullptr && rule.continues(entries))) return;
  if (!rule.overwrite)
    raise<FileError>(option, ": the folder '", path, "' is not empty; choose another",
                     rule.own == nullptr ? "" : ", or replace its files with --overwrite");
  if (const auto name = first_foreign_file(path, rule.own))
    raise<FileError>(option, ": --overwrite replaces only files of this command, but '", path,
                     "' also contains '", *name, "'; choose another folder");
}

bool CommandFiles::writes_stdout() const noexcept { return !state_->out_option.empty(); }

void CommandFiles::print(const std::string& line) const {
  std::fprintf(writes_stdout() ? stderr : stdout, "%s\n",
               printable(with_shown_names(line), true).c_str());
}

void CommandFiles::finish() {
  if (!writes_stdout()) return;
  const int from = ::open(state_->out_file.c_str(), O_RDONLY | O_CLOEXEC);
  if (from < 0) fail_with_errno("cannot open", concat("'", state_->out_file, "'"));
  state_->descriptors.push_back(from);
  std::fflush(stdout);
  // A reader that ends early is reported as an error, and the temporary file is removed.
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  copy_all(from, "the temporary file of stdout", STDOUT_FILENO, "stdout");
  std::signal(SIGPIPE, before);
}

void add_overwrite_option(CLI::App& command, bool& overwrite) {
  command.add_flag("--overwrite", overwrite,
                   "replace the files in a folder that an earlier run of this command wrote; a "
                   "folder with other files is refused");
}

void show_as(const std::string& temporary, const std::string& shown) {
  shown_names().emplace_back(temporary, shown);
}

std::string with_shown_names(std::string message) {
  for (const auto& [temporary, shown] : shown_names())
    for (std::size_t at = 0; (at = message.find(temporary, at)) != std::string::npos;) {
      const std::size_t end = at + temporary.size();
      const bool longer =
          end < message.size() && std::isdigit(static_cast<unsigned char>(message[end])) != 0;
      if (!longer) message.replace(at, temporary.size(), shown);
      at += longer ? temporary.size() : shown.size();
    }
  return message;
}

}  // namespace rae::tool
