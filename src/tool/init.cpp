// `rae init`: writes a commented recipe for a data set, this machine and a time.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "rae/io/file.hpp"
#include "tool/command.hpp"
#include "tool/output.hpp"
#include "tool/planned_recipe.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

namespace fs = std::filesystem;

struct InitOptions {
  std::string data, out;
  PlanFlags plan;
  DataFlags data_flags;
  bool overwrite = false;
};

/// Refuses a file that must not be written before the pictures are read.
void require_output(const InitOptions& options) {
  if (options.out == "-") return;
  const std::string ending = fs::path(options.out).extension().string();
  if (ending != ".yaml" && ending != ".yml")
    throw UsageError(concat("--out: expected a name that ends in .yaml, or - for stdout, got '",
                            options.out, "'"));
  std::error_code none;
  if (fs::is_directory(options.out, none))
    raise<FileError>("cannot write '", options.out, "': it is a folder");
  if (fs::exists(options.out, none)) {
    if (!options.overwrite) raise<FileError>("'", options.out, "' exists; --overwrite replaces it");
    if (!options.plan.pretrained.empty() &&
        fs::equivalent(options.out, options.plan.pretrained, none))
      throw UsageError("--out is the file of --pretrained");
  }
  require_writable_file(options.out);
}

void run(const InitOptions& options) {
  require_output(options);
  const std::string recipe = planned_recipe(options.data, options.plan, options.data_flags);
  if (options.out == "-") {
    std::fwrite(recipe.data(), 1, recipe.size(), stdout);
    return;
  }
  write_file_atomically(options.out, recipe);
  std::printf("wrote %s; train with: rae train --recipe %s --data %s --out run\n",
              printable(options.out).c_str(), printable(options.out).c_str(),
              printable(options.data).c_str());
}

}  // namespace

void add_init(CLI::App& app) {
  const auto options = std::make_shared<InitOptions>();
  CLI::App* command = app.add_subcommand(
      "init", "Write a recipe for your pictures, this machine and the time that you have");
  command
      ->add_option(
          "-d,--data", options->data,
          "folder of a data set: the files of Fashion-MNIST or CIFAR, or one sub-folder of "
          "pictures per class")
      ->type_name("DIR")
      ->required();
  command->add_option("-o,--out", options->out, "file for the recipe, NAME.yaml, or - for stdout")
      ->type_name("FILE")
      ->required();
  add_plan_flags(*command, options->plan);
  command->add_flag("--overwrite", options->overwrite, "replace an existing file");
  add_data_flags(*command, options->data_flags);
  add_threads_option(*command);
  command->footer(
      "Reads the headers of all pictures and the pixels of up to 2,000, runs a few training\n"
      "steps, and chooses the sizes of the networks and the number of steps so that the\n"
      "training ends in time. The recipe says why each number was chosen; change it as you\n"
      "like, and check it with rae train --dry-run.\n"
      "\n"
      "Examples:\n"
      "  rae init --data photos --out recipe.yaml\n"
      "  rae init --data photos --size 64 --minutes 20 --out recipe.yaml\n"
      "  rae init --data photos --pretrained dinov2-base --out recipe.yaml\n"
      "  rae train --recipe recipe.yaml --data photos --out run");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
