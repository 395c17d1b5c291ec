#include "tool/preview.hpp"

#include "tool/numbers.hpp"
#include "tool/sample_output.hpp"

namespace rae::tool {

void add_preview_options(CLI::App& command, PreviewChoice& choice) {
  command
      .add_option("--preview", choice.file,
                  "while sampling, also write the pictures as they are estimated so far: a PNG, "
                  "which is replaced; of several batches the current one")
      ->type_name("FILE");
  add_whole_option(command, "--preview-interval", choice.interval,
                   "number of steps from one preview to the next", 1, 100000)
      ->needs("--preview");
}

void declare_preview(CommandFiles& files, PreviewChoice& choice, int ranks) {
  if (choice.file.empty()) return;
  if (ranks > 1) throw UsageError("--preview: only one process can write previews");
  choice.file = files.output("--preview", choice.file, {".png"});
}

Function<bool(const StepInfo&)> previewing(const PreviewChoice& choice,
                                           const Generator& generator) {
  return [choice, &generator](const StepInfo& info) {
    if (info.step % choice.interval == 0 && info.determines_data()) {
      const std::vector<Image> images = generator.decode(info.denoised());
      const auto count = static_cast<index_t>(images.size());
      Image::grid(images, grid_columns(count, count))
          .save_png(choice.file,
                    {{"step", std::to_string(info.step)}, {"steps", std::to_string(info.steps)}});
    }
    return true;
  };
}

}  // namespace rae::tool
