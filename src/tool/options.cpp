// Options that several commands share.
#include "rae/core/parallel.hpp"

#include <algorithm>
#include "rae/spec/weight_types.hpp"
#include "tool/command.hpp"
#include "tool/numbers.hpp"
#include "tool/ranks.hpp"

namespace rae::tool {

void add_model_option(CLI::App& command, std::string& model) {
  command
      .add_option("-m,--model", model,
                  "the path of a bundle, or a name that 'rae info builtin' lists; 'builtin' is the "
                  "first of them")
      ->type_name("MODEL")
      ->capture_default_str();
}

void add_dtype_option(CLI::App& command, DTypeChoice& choice) {
  constexpr const char* kAuto = "auto";
  std::vector<std::string> names{kAuto};
  for (const DType type : kWeightTypes) names.emplace_back(name_of(type));
  command
      .add_option_function<std::string>(
          "--dtype",
          [&choice](const std::string& name) {
            choice = {.automatic = name == kAuto};
            if (!choice.automatic) choice.type = parse_weight_type(name);
          },
          "data type of matrix products: f32, bf16 or int8, each smaller, less exact and on most "
          "processors faster than the one before; int8w and int4 narrow only the stored weights "
          "and are as fast as bf16; auto: the fastest on this processor whose error is at most "
          "2 %, or the type that the model is packed for (default: f32, or the type that the model "
          "is packed for)")
      ->type_name("TYPE")
      ->check(CLI::IsMember(names));
}

void add_threads_option(CLI::App& command) {
  constexpr std::uint64_t kMostThreads = 1024;
  const auto set = [](const std::string& text) {
    const auto threads = static_cast<int>(parse_whole("--threads", text, 0, kMostThreads));
    set_num_threads(threads > 0 ? threads : threads_of_rank());
  };
  add_parsed_option(command, "-t,--threads", set,
                    "number of threads, without effect on results; 0, the default: as many as "
                    "affinity, CPU quotas and OMP_NUM_THREADS allow, shared by the ranks of a "
                    "computer",
                    {})
      ->type_name("N");
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string word = CLI::detail::trim_copy(text.substr(begin, end - begin));
    if (!word.empty()) words.push_back(word);
    begin = end + 1;
  }
  return words;
}

}  // namespace rae::tool
