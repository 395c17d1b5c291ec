// The layout of --help: options in two columns, wrapped at 80 characters.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace rae::tool {

/// Wraps descriptions of options and commands between words at 80 characters.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(28); }
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_subcommand(const CLI::App* command) const override;

 private:
  [[nodiscard]] std::string row(const std::string& name, const std::string& text) const;
};

}  // namespace rae::tool
