// The command's own help in other forms: manual pages, and completion of words in a shell.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

namespace rae::tool {

/// Manual pages by the names of their files, "rae.1" first, then "rae-COMMAND.1", in roff.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> manual_pages(const CLI::App& app);

/// The script that completes commands and options in "bash", "zsh" or "fish"; values are completed
/// as names of files. Throws ArgumentError for another shell.
[[nodiscard]] std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace rae::tool
