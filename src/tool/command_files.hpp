// The files that one run of a command reads and writes: the rules that hold for every command,
// checked before anything is computed.
//
// - An output is none of the inputs and no other output, whatever the spelling: files are compared
//   by device and inode, so that links, "./x" and "a//x" are recognised.
// - The ending of an output fits its content.
// - "-" is stdin or stdout, once each; an option that cannot use it says so. Pipes are read.
// - Of several ranks, each reads the inputs, and rank 0 writes the outputs: on the others, outputs
//   are not checked, and the errors of rank 0 reach them by `Communicator::agree`.
// - An output folder is new or empty, unless the command continues a run or replaces an old one.
#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rae/error.hpp"
#include "tool/output_folder.hpp"

namespace rae::tool {

/// When a folder that is not empty can be an output.
struct FolderRule {
  /// --overwrite was given. The folder must then contain only files that `own` accepts.
  bool overwrite = false;
  /// The files that this command writes. Null: the command has no --overwrite.
  OwnFile own = nullptr;
  /// Whether a folder with these entries belongs to a run that this command continues. Null: never.
  bool (*continues)(const std::vector<std::string>& entries) = nullptr;
};

/// `--overwrite` of commands that write folders.
void add_overwrite_option(CLI::App& command, bool& overwrite);

/// Files and folders of one run. Options are named in messages; inputs and outputs can be declared
/// in any order.
class CommandFiles {
 public:
  CommandFiles();
  CommandFiles(const CommandFiles&) = delete;
  CommandFiles& operator=(const CommandFiles&) = delete;
  ~CommandFiles();

  /// A file to read; returns the path to open. "-", a pipe or a device is copied to a temporary
  /// file without a name, which can be mapped and opened several times. A missing file and a folder
  /// are left to the reader. Throws UsageError when stdin is used twice or is a terminal, or when
  /// the file is an output; FileError.
  [[nodiscard]] std::string input(const std::string& option, const std::string& path);

  /// A folder of data to read. Throws UsageError for "-" or when it is an output or contains an
  /// output folder.
  void input_folder(const std::string& option, const std::string& path);

  /// A model to read; returns the path to open. The files of a folder and those that an official
  /// configuration names, which are also sought in `models_dir`, are inputs too. Throws as `input`.
  [[nodiscard]] std::string input_model(const std::string& option, const std::string& path,
                                        const std::string& models_dir = {});

  /// A file to write, whose name must end in one of `endings` unless it is a device or a pipe;
  /// returns the path to write. For "-" and /dev/stdout it is a temporary file with the first of
  /// the endings, which `finish` copies to stdout. Throws UsageError for another ending, when the
  /// file is an input or another output, when stdout is used twice or is a terminal; FileError when
  /// it cannot be written.
  [[nodiscard]] std::string output(const std::string& option, const std::string& path,
                                   std::initializer_list<std::string_view> endings);

  /// A folder to write. Throws UsageError for "-", for the name of a file, when the folder is or
  /// would overwrite an input or is inside a folder of data; FileError when it cannot be written,
  /// or is neither new nor empty and `rule` does not allow it.
  void output_folder(const std::string& option, const std::string& path, const FolderRule& rule);

  /// True if an output is stdout; messages then go to stderr.
  [[nodiscard]] bool writes_stdout() const noexcept;

  /// Prints a line about the results: to stdout, or to stderr if stdout is an output. Control
  /// characters are replaced.
  void print(const std::string& line) const;

  /// Copies the temporary file to stdout, if stdout is an output. Call it after the outputs are
  /// written. Throws FileError.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// From now on, messages call a temporary file or folder `shown`.
void show_as(const std::string& temporary, const std::string& shown);

/// A message in which the names of temporary files are replaced by those of `show_as`: "stdin",
/// "stdout", the name of a pipe, or that of an output folder.
[[nodiscard]] std::string with_shown_names(std::string message);

}  // namespace rae::tool
