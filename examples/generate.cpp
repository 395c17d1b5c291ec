// Generates pictures of named classes with the built-in model:
//   example_generate [OUT.png [CLASS...]]
#include <cstdio>
#include <exception>
#include <rae/rae.hpp>

int main(int argc, char** argv) {
  try {
    const std::string out = argc > 1 ? argv[1] : "generated.png";
    const auto generator =
        rae::Generator::builtin();  // or rae::Generator::load("model.safetensors")

    // A picture depends only on its class, its noise (seed and index), steps, solver and guidance.
    // The number of pictures or threads does not change it.
    rae::GenerateOptions options{.seed = 7, .guidance = rae::Cfg{.scale = 1.5f}};
    if (argc <= 2)
      for (rae::index_t k = 0; k < generator.num_classes(); ++k) options.labels.push_back(k);
    for (int i = 2; i < argc; ++i)
      options.labels.push_back(generator.label_of(argv[i]));  // "sneaker" or "7"
    options.on_step = [](const rae::StepInfo& s) {
      std::printf("\rstep %d of %d", static_cast<int>(s.step), static_cast<int>(s.steps));
      std::fflush(stdout);
      return true;  // false would stop with rae::Cancelled
    };

    const std::vector<rae::Image> images = generator.sample(options);
    rae::Image::grid(images, static_cast<rae::index_t>(images.size()))
        .save_png(out, generator.png_text(options, 0));
    std::printf("\n%s:", out.c_str());
    for (const std::int64_t label : options.labels)
      std::printf(" %s", generator.class_names()[static_cast<std::size_t>(label)].c_str());
    std::printf("\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
