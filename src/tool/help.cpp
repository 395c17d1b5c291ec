// The layout of --help: options in two columns, wrapped at 80 characters.
#include "tool/help.hpp"

#include <sstream>

namespace rae::tool {

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string text = option->get_description();
  if (!option->get_default_str().empty()) text += " (default: " + option->get_default_str() + ")";
  std::string type = option->get_type_name();
  if (!type.empty()) type = " " + type;
  return row("  " + option->get_name(is_positional, true) + type, text);
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  return row("  " + command->get_name(), command->get_description());
}

std::string HelpFormatter::row(const std::string& name, const std::string& text) const {
  constexpr std::size_t kWidth = 80;
  const std::size_t column = get_column_width();
  std::string out, line = name;
  if (name.size() + 2 > column) {
    out = name + "\n";
    line.clear();
  }
  line.resize(column, ' ');
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (line.size() > column && line.size() + 1 + word.size() > kWidth) {
      out += line + "\n";
      line.assign(column, ' ');
    }
    if (line.size() > column) line += ' ';
    line += word;
  }
  return out + line + "\n";
}

}  // namespace rae::tool
