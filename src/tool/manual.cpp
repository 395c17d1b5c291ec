#include "tool/manual.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "rae/io/file.hpp"
#include "rae/version.hpp"
#include "tool/command.hpp"
#include "tool/command_files.hpp"

namespace rae::tool {
namespace {

/// An option or a positional argument.
struct Argument {
  std::vector<std::string> names;  // "-o", "--out"; empty: positional
  std::string value;               // "FILE"; empty for a flag
  std::string text;
  bool takes_value = false;

  [[nodiscard]] bool positional() const { return names.empty(); }
};

/// A command with its arguments; the program itself has no name.
struct Command {
  std::string name, summary, footer;
  std::vector<Argument> arguments;
};

Argument argument_of(const CLI::Option& option) {
  Argument out;
  for (const std::string& name : option.get_snames()) out.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) out.names.push_back("--" + name);
  out.takes_value = option.get_items_expected_max() > 0;
  out.text = option.get_description();
  if (!option.get_default_str().empty()) out.text += " (default: " + option.get_default_str() + ")";
  if (!out.takes_value) return out;
  out.value = out.positional() ? option.get_name(true) : option.get_type_name();
  if (out.value.empty()) out.value = "VALUE";
  return out;
}

Command command_of(const CLI::App& app, bool is_program) {
  Command out{is_program ? "" : app.get_name(), app.get_description(), app.get_footer(), {}};
  for (const CLI::Option* option : app.get_options()) out.arguments.push_back(argument_of(*option));
  return out;
}

/// The program first.
std::vector<Command> commands_of(const CLI::App& app) {
  std::vector<Command> out{command_of(app, true)};
  for (const CLI::App* each : app.get_subcommands({})) out.push_back(command_of(*each, false));
  return out;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text)
    if (c == '\n')
      out.emplace_back();
    else
      out.back() += c;
  return out;
}

// --- Manual pages --------------------------------------------------------------------------------

/// One line of text: no character of it is an instruction.
std::string roff(const std::string& line) {
  std::string out = replaced(replaced(replaced(line, "\\", "\\e"), "-", "\\-"), "\n", " ");
  if (!out.empty() && (out.front() == '.' || out.front() == '\'')) out.insert(0, "\\&");
  return out;
}

/// Paragraphs, and the examples as they are.
std::string roff_footer(const std::string& footer) {
  std::string out;
  bool examples = false, described = false;
  for (const std::string& line : lines_of(footer)) {
    if (line == "Examples:") {
      out += ".SH EXAMPLES\n.nf\n";
      examples = true;
    } else if (examples && !line.empty() && line.front() != ' ') {
      out += ".fi\n.SH NOTES\n" + roff(line) + "\n";
      examples = false;
    } else if (line.empty()) {
      out += examples ? "" : ".PP\n";
    } else {
      if (!examples && !described && out.find(".SH") == std::string::npos)
        out += ".SH DESCRIPTION\n";
      described = true;
      out += roff(line) + "\n";
    }
  }
  return out + (examples ? ".fi\n" : "");
}

std::string page_of(const Command& command, const std::vector<Command>& all) {
  const std::string page = command.name.empty() ? "rae" : "rae-" + command.name;
  std::string title = page;
  std::transform(title.begin(), title.end(), title.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  std::string out =
      concat(".TH ", title, " 1 \"\" \"rae ", kVersion, "\" \"rae\"\n.SH NAME\n", page, " \\- ",
             roff(command.summary), "\n.SH SYNOPSIS\n.B rae",
             command.name.empty() ? std::string(" \\fICOMMAND\\fR") : " " + roff(command.name));
  bool options = false;
  for (const Argument& a : command.arguments) {
    if (a.positional())
      out += " \\fI" + roff(a.value) + "\\fR";
    else
      options = true;
  }
  out += options ? " [\\fIOPTIONS\\fR]\n" : "\n";
  for (const bool positional : {true, false}) {
    const auto is_one = [&](const Argument& a) { return a.positional() == positional; };
    if (std::none_of(command.arguments.begin(), command.arguments.end(), is_one)) continue;
    out += positional ? ".SH ARGUMENTS\n" : ".SH OPTIONS\n";
    for (const Argument& a : command.arguments) {
      if (!is_one(a)) continue;
      out += ".TP\n";
      if (!positional) out += "\\fB" + roff(joined(a.names, ", ")) + "\\fR";
      if (a.takes_value) out += (positional ? "\\fI" : " \\fI") + roff(a.value) + "\\fR";
      out += "\n" + roff(a.text) + "\n";
    }
  }
  if (command.name.empty()) {
    out += ".SH COMMANDS\n";
    for (const Command& each : all)
      if (!each.name.empty())
        out += ".TP\n\\fB" + roff(each.name) + "\\fR\n" + roff(each.summary) + "\n";
  }
  out += roff_footer(command.footer) + ".SH SEE ALSO\n";
  std::vector<std::string> others;
  for (const Command& each : all)
    if (each.name != command.name && (command.name.empty() || each.name.empty()))
      others.push_back(concat("\\fB", each.name.empty() ? "rae" : "rae\\-" + each.name, "\\fR(1)"));
  return out + joined(others, ",\n") + "\n";
}

// --- Completion ----------------------------------------------------------------------------------

/// All names of a command's options.
std::vector<std::string> option_names(const Command& command) {
  std::vector<std::string> out;
  for (const Argument& a : command.arguments) out.insert(out.end(), a.names.begin(), a.names.end());
  return out;
}

std::vector<std::string> names_of(const std::vector<Command>& all) {
  std::vector<std::string> out;
  for (const Command& each : all)
    if (!each.name.empty()) out.push_back(each.name);
  return out;
}

std::string bash_script(const std::vector<Command>& all) {
  std::string out =
      "# Completion of rae for bash.\n"
      "_rae() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} words=\n"
      "  COMPREPLY=()\n"
      "  if ((COMP_CWORD == 1)); then\n"
      "    words='" +
      joined(names_of(all), " ") + " " + joined(option_names(all.front()), " ") +
      "'\n"
      "  elif [[ ${COMP_WORDS[1]} == help && $COMP_CWORD == 2 ]]; then\n"
      "    words='" +
      joined(names_of(all), " ") +
      "'\n"
      "  elif [[ $word == -* ]]; then\n"
      "    case ${COMP_WORDS[1]} in\n";
  for (const Command& each : all)
    if (!each.name.empty())
      out += "      " + each.name + ") words='" + joined(option_names(each), " ") + "' ;;\n";
  return out +
         "    esac\n"
         "  else\n"
         "    return\n"
         "  fi\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
         "}\n"
         "complete -o bashdefault -o default -F _rae rae\n";
}

/// Text within single quotes of zsh's _arguments and _describe, or of fish.
std::string zsh_text(const std::string& text) {
  std::string out = replaced(replaced(text, "\\", "\\\\"), "\n", " ");
  for (const char* special : {"[", "]", ":"}) out = replaced(out, special, concat("\\", special));
  return replaced(out, "'", "'\\''");
}
std::string fish_text(const std::string& text) {
  return replaced(replaced(replaced(text, "\\", "\\\\"), "'", "\\'"), "\n", " ");
}

std::string zsh_script(const std::vector<Command>& all) {
  std::string out =
      "#compdef rae\n"
      "# Completion of rae for zsh.\n"
      "_rae() {\n"
      "  local -a commands\n"
      "  commands=(\n";
  for (const Command& each : all)
    if (!each.name.empty()) out += "    '" + each.name + ":" + zsh_text(each.summary) + "'\n";
  out +=
      "  )\n"
      "  if ((CURRENT == 2)); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  case $words[2] in\n"
      "    help) _describe command commands ;;\n";
  for (const Command& each : all) {
    if (each.name.empty() || each.name == "help") continue;
    out += "    " + each.name + ")\n      _arguments";
    for (const Argument& a : each.arguments)
      for (const std::string& name : a.names)
        out += concat(" \\\n        '*", name, "[", zsh_text(a.text), "]",
                      a.takes_value ? ":" + zsh_text(a.value) + ":_files" : std::string(), "'");
    out += " \\\n        '*:file:_files' ;;\n";
  }
  return out + "  esac\n}\n_rae \"$@\"\n";
}

std::string fish_script(const std::vector<Command>& all) {
  std::string out = "# Completion of rae for fish.\n";
  for (const Command& each : all) {
    if (each.name.empty()) continue;
    out += "complete -c rae -n '__fish_use_subcommand' -f -a " + each.name + " -d '" +
           fish_text(each.summary) + "'\n";
    for (const Argument& a : each.arguments) {
      if (a.positional()) continue;
      out += "complete -c rae -n '__fish_seen_subcommand_from " + each.name + "'";
      for (const std::string& name : a.names)
        out += name.rfind("--", 0) == 0 ? " -l " + name.substr(2) : " -s " + name.substr(1);
      out += concat(a.takes_value ? " -r" : "", " -d '", fish_text(a.text), "'\n");
    }
  }
  return out + "complete -c rae -n '__fish_seen_subcommand_from help' -f -a '" +
         joined(names_of(all), " ") + "'\n";
}

}  // namespace

std::vector<std::pair<std::string, std::string>> manual_pages(const CLI::App& app) {
  const std::vector<Command> all = commands_of(app);
  std::vector<std::pair<std::string, std::string>> out;
  for (const Command& each : all)
    out.emplace_back(each.name.empty() ? "rae.1" : "rae-" + each.name + ".1", page_of(each, all));
  return out;
}

std::string completion_script(const CLI::App& app, const std::string& shell) {
  const std::vector<Command> all = commands_of(app);
  if (shell == "bash") return bash_script(all);
  if (shell == "zsh") return zsh_script(all);
  if (shell == "fish") return fish_script(all);
  raise<ArgumentError>("unknown shell '", shell, "': expected bash, zsh or fish");
}

void add_manual(CLI::App& app) {
  const auto folder = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("manual", "Write manual pages of all commands");
  command->add_option("DIR", *folder, "a new or empty folder for rae.1 and rae-COMMAND.1")
      ->type_name("")
      ->required();
  command->footer(
      "The pages have the text of --help.\n"
      "\n"
      "Examples:\n"
      "  rae manual pages\n"
      "  man -l pages/rae-generate.1");
  command->callback([&app, folder] {
    CommandFiles files;
    files.output_folder("DIR", *folder, {});
    std::filesystem::create_directories(*folder);
    for (const auto& [name, text] : manual_pages(app))
      write_file_atomically((std::filesystem::path(*folder) / name).string(), text);
    files.finish();
  });
}

void add_completion(CLI::App& app) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Print a script that completes commands in a shell");
  command->add_option("SHELL", *shell, "bash, zsh or fish")->type_name("")->required();
  command->footer(
      "Examples:\n"
      "  rae completion bash > ~/.local/share/bash-completion/completions/rae\n"
      "  rae completion zsh > ~/.zfunc/_rae\n"
      "  rae completion fish > ~/.config/fish/completions/rae.fish");
  command->callback([&app, shell] {
    std::string script;
    try {
      script = completion_script(app, *shell);
    } catch (const ArgumentError& error) {
      throw UsageError(error.what());
    }
    std::fputs(script.c_str(), stdout);
  });
}

}  // namespace rae::tool
