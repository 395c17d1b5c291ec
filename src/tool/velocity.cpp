// `rae velocity`: evaluates the diffusion transformer once, to compare this program with others.
#include <cstdio>
#include <memory>

#include "rae/spec/weight_types.hpp"
#include "tool/model.hpp"
#include "tool/numbers.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

struct VelocityCommand {
  ModelChoice model;
  std::string noise_in, out;
  std::vector<std::string> labels;
  float t = 0;
  bool base = false;
};

/// One label for each of `count` samples. The null class has the number after the last class.
std::vector<std::int64_t> labels_of(const VelocityCommand& command, const Generator& generator,
                                    index_t count) {
  std::vector<std::int64_t> labels;
  const std::string null_class = std::to_string(generator.num_classes());
  for (const auto& words : command.labels)
    for (const auto& word : split_list(words)) {
      const bool null = word == null_class && generator.config().has_null_class();
      labels.push_back(null ? generator.num_classes() : generator.label_of(word));
    }
  if (labels.size() == 1) labels.resize(static_cast<std::size_t>(count), labels.front());
  if (static_cast<index_t>(labels.size()) != count)
    raise<ArgumentError>("--labels: expected one label, or one for each of the ", count,
                         " samples of '", command.noise_in, "', got ", labels.size());
  return labels;
}

void run(VelocityCommand& command) {
  CommandFiles files;
  declare_model(files, command.model);
  command.noise_in = files.input("--noise-in", command.noise_in);
  const std::string out = files.output("--out", command.out, {".safetensors"});
  const Generator generator(
      open_model(command.model, {.encoder = false, .decoder = false, .guide = false}),
      load_options(command.model, false));
  const auto x = read_latents(command.noise_in, {"noise", "sample_latent", "latent"},
                              generator.config().latent_shape());  // (B, C, h, w)
  const auto labels = labels_of(command, generator, x.extent(0));
  // (B, C, h, w)
  const Tensor<float> velocity = command.base ? generator.base_output(x, command.t, labels)
                                              : generator.velocity(x, command.t, labels);
  stop_if_interrupted();
  write_tensor(out, "velocity", velocity,
               {{"model", generator.config().name},
                {"t", format_number(command.t, 9)},
                {"dtype", std::string(generator.type_name())}});
  files.finish();
  files.print(concat(command.out, ": velocity ", velocity.shape()));
}

}  // namespace

void add_velocity(CLI::App& app) {
  const auto options = std::make_shared<VelocityCommand>();
  CLI::App* command =
      app.add_subcommand("velocity", "Evaluate the diffusion transformer once, without guidance");
  add_model_options(*command, options->model);
  command
      ->add_option(
          "--noise-in", options->noise_in,
          "latents x_t (B, C, h, w): safetensors, tensor 'noise', 'sample_latent' or 'latent'")
      ->type_name("FILE")
      ->required();
  add_real_option(*command, "--t", options->t, "flow time, from 0 (picture) to 1 (noise)", {0, 1})
      ->type_name("T")
      ->default_str("")
      ->required();
  command
      ->add_option(
          "-c,--class,--labels", options->labels,
          "names or numbers of the classes, a comma list with one per sample, or one for all")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->required();
  command
      ->add_option("-o,--out", options->out,
                   "FILE.safetensors to write, tensor 'velocity' (B, C, h, w)")
      ->type_name("FILE")
      ->required();
  command->add_flag("--base", options->base,
                    "the output of the head on an intermediate layer instead, which models of "
                    "RAEv2 have");
  add_threads_option(*command);
  command->footer(
      "A model that predicts the data, as those of RAEv2, gives its prediction, not a velocity.\n"
      "The number after the last class selects the null class, if the model has one.\n"
      "\n"
      "Examples:\n"
      "  rae velocity --config C.yaml --noise-in n.safetensors --t 0.73 --labels 1,2 --out "
      "v.safetensors");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
