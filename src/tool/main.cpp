// The `rae` command: reads the command line, runs one command, and turns errors into messages and
// exit status.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>

#include "io/suggestion.hpp"
#include "rae/version.hpp"
#include "tool/command.hpp"
#include "tool/command_files.hpp"
#include "tool/help.hpp"
#include "tool/interrupt.hpp"
#include "tool/ranks.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

constexpr int kFailed = 1, kUsage = 2;

/// Thrown by `rae help`: the command whose help is printed, or null for that of the program.
struct HelpWanted {
  const CLI::App* command;
};

/// The named subcommand, or the program itself if there is none.
const CLI::App& chosen(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : *commands.front();
}

/// The exit status, and the error that is printed at the end.
struct Outcome {
  int status = 0;
  std::string error{};
};

Outcome report(std::string_view message) {
  return {kFailed,
          concat("rae: error: ", printable(with_shown_names(std::string(message)), true), "\n")};
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* each : app.get_subcommands({})) names.push_back(each->get_name());
  return names;
}

/// `rae help [COMMAND]`: the same text as `rae COMMAND --help`.
void add_help(CLI::App& app) {
  const auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("help", "Print the help of the program or of a command");
  command->add_option("COMMAND", *name, "the command; without it, all commands are listed")
      ->type_name("");
  command->footer(
      "Examples:\n"
      "  rae help generate             the same as rae generate --help");
  command->callback([&app, name] {
    const std::vector<std::string> names = command_names(app);
    if (name->empty()) throw HelpWanted{nullptr};
    if (std::find(names.begin(), names.end(), *name) == names.end())
      throw UsageError(concat("unknown command '", *name, "'", detail::suggestion(*name, names)));
    throw HelpWanted{app.get_subcommand(*name)};
  });
}

/// The message for an unknown word: "unknown option '--sed'; did you mean '--seed'?"
std::string unknown_argument(const CLI::App& app) {
  const CLI::App& command = chosen(app);
  const auto rest = app.remaining(true);
  const std::string word = rest.empty() ? "" : rest.front();
  std::vector<std::string> known;
  const bool is_option = !word.empty() && word.front() == '-';
  if (is_option) {
    for (const CLI::Option* option : command.get_options())
      for (const auto& name : option->get_lnames()) known.push_back("--" + name);
  } else if (&command == &app) {
    known = command_names(app);
  }
  const char* kind = is_option          ? "unknown option '"
                     : &command == &app ? "unknown command '"
                                        : "unexpected argument '";
  return concat(kind, word, "'", detail::suggestion(word, known));
}

Outcome report_usage(const CLI::App& app, const std::string& message) {
  const CLI::App& command = chosen(app);
  const std::string name = &command == &app ? "rae" : "rae " + command.get_name();
  return {kUsage, concat(report(message).error, "See '", name, " --help'.\n")};
}

/// With several ranks, refuses the commands that each of them would run as a whole.
void refuse_alone(CLI::App& app) {
  if (ranks().size() == 1) return;
  for (CLI::App* command : app.get_subcommands({}))
    if (const std::string name = command->get_name(); !shares_work(name))
      command->preparse_callback([name](std::size_t) {
        throw UsageError(concat("'rae ", name, "' does not share its work between ", ranks().size(),
                                " processes; start it without the launcher"));
      });
}

Outcome run(int argc, char** argv) {
  CLI::App app(
      "Latent diffusion on representation autoencoders: generates pictures, encodes\n"
      "and decodes them, and trains the models.",
      "rae");
  app.set_version_flag("--version", concat("rae ", kVersion), "print the version");
  app.set_help_flag("-h,--help", "print this help");
  app.require_subcommand(1);
  app.formatter(std::make_shared<HelpFormatter>());
  app.footer(
      "Examples:\n"
      "  rae generate --out samples.png       ten pictures from the built-in model\n"
      "  rae generate --class sneaker --count 16 --out shoes.png\n"
      "  rae info shoes.png                   the settings that generated it\n"
      "  rae generate --help                  everything about one command\n"
      "\n"
      "Results go to stdout, progress and errors to stderr. Exit status: 0 success,\n"
      "1 failure, 2 wrong usage.");
  add_generate(app);
  add_interpolate(app);
  add_neighbours(app);
  add_reconstruct(app);
  add_encode(app);
  add_decode(app);
  add_velocity(app);
  add_diagnose(app);
  add_init(app);
  add_train(app);
  add_stats(app);
  add_evaluate(app);
  add_convert(app);
  add_info(app);
  add_serve(app);
  add_bench(app);
  add_manual(app);
  add_completion(app);
  add_help(app);
  watch_for_interrupts();
  try {
    connect_ranks();
    refuse_alone(app);
    if (argc < 2) return {kUsage, app.help()};
    app.parse(argc, argv);
    if (std::fflush(stdout) != 0 || std::ferror(stdout))
      return report("cannot write the results to stdout");
    return {};
  } catch (const HelpWanted& wanted) {
    app.clear();  // otherwise the help of the program is that of `rae help`
    const std::string text =
        wanted.command == nullptr ? app.help() : wanted.command->help(app.get_name());
    std::fputs(text.c_str(), stdout);
    return {};
  } catch (const CLI::Success& wanted) {  // --help, --version
    return {app.exit(wanted)};
  } catch (const CLI::ExtrasError&) {
    return report_usage(app, unknown_argument(app));
  } catch (const CLI::ParseError& error) {
    return report_usage(app, app.get_subcommands().empty() && !app.remaining().empty()
                                 ? unknown_argument(app)
                                 : error.what());
  } catch (const UsageError& error) {
    return report_usage(app, error.what());
  } catch (const Cancelled& cancelled) {
    const std::string_view message = cancelled.what();
    return report(message.substr(0, 11) == "interrupted" ? message : "interrupted");
  } catch (const std::bad_alloc&) {
    return report("not enough memory; a smaller --batch or --count needs less");
  } catch (const std::exception& error) {
    return report(error.what());
  }
}

}  // namespace
}  // namespace rae::tool

int main(int argc, char** argv) {
  const rae::tool::Outcome outcome = rae::tool::run(argc, argv);
  return rae::tool::conclude(outcome.status, outcome.error);
}
