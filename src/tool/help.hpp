// Help as it is printed: options in two columns, wrapped to 80.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace rae::tool {

/// Breaks the description of an option between words, so that it fits 80 columns.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(28); }
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_subcommand(const CLI::App* command) const override;

 private:
  [[nodiscard]] std::string row(const std::string& name, const std::string& text) const;
};

}  // namespace rae::tool
