#include "frame/options.hpp"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>

namespace rae::experiments {
namespace {

index_t parse_count(const std::string& text) {
  index_t out = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), out);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size() || out < 0)
    raise<ArgumentError>("--points: expected a number of points, got '", text, "'");
  return out;
}

}  // namespace

Options parse_options(int argc, const char* const* argv, const std::string& name) {
  Options out;
  out.name = name;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--quick") {
      out.quick = true;
      continue;
    }
    std::string count, model;
    std::string* value = option == "--data"         ? &out.data
                         : option == "--model"      ? &model
                         : option == "--weak"       ? &out.weak
                         : option == "--finetuned"  ? &out.finetuned
                         : option == "--classifier" ? &out.classifier
                         : option == "--out"        ? &out.out
                         : option == "--docs"       ? &out.docs
                         : option == "--points"     ? &count
                                                    : nullptr;
    if (value == nullptr)
      raise<ArgumentError>("unknown option '", option,
                           "'; known are --quick, --data, --model, --weak, --finetuned, "
                           "--classifier, --out, --docs, --points");
    if (i + 1 == argc) raise<ArgumentError>(option, " needs a value");
    *value = argv[++i];
    if (value->empty()) raise<ArgumentError>(option, " needs a value that is not empty");
    if (value == &model) out.models.push_back(model);
    if (value == &count) out.points = parse_count(count);
  }
  if (out.data.empty() && !out.quick)
    raise<ArgumentError>("--data DIR is missing: a folder of CIFAR-10, of Fashion-MNIST, or of ",
                         "pictures with one sub-folder per class; only --quick needs none");
  if (out.out.empty()) out.out = "experiments/" + name + (out.quick ? "-quick" : "");
  if (out.docs.empty()) out.docs = out.out + "/docs";
  return out;
}

int run_experiment(int argc, const char* const* argv, const std::string& name,
                   const Function<void(const Options&)>& run) {
  Options options;
  try {
    options = parse_options(argc, argv, name);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    return 2;
  }
  try {
    run(options);
    return 0;
  } catch (const Cancelled& stop) {
    std::printf("%s\n", stop.what());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    return 1;
  }
}

}  // namespace rae::experiments
