// Declarations that the commands of `rae` share: functions that add them to the command line,
// common options, and the error of wrong usage.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "rae/core/dtype.hpp"

namespace rae::tool {

/// The command line is wrong or contradicts itself; the program exits with status 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

void add_generate(CLI::App& app);
void add_interpolate(CLI::App& app);
void add_neighbours(CLI::App& app);
void add_reconstruct(CLI::App& app);
void add_encode(CLI::App& app);
void add_decode(CLI::App& app);
void add_velocity(CLI::App& app);
void add_diagnose(CLI::App& app);
void add_init(CLI::App& app);
void add_train(CLI::App& app);
void add_stats(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_convert(CLI::App& app);
void add_info(CLI::App& app);
void add_serve(CLI::App& app);
void add_bench(CLI::App& app);
void add_manual(CLI::App& app);
void add_completion(CLI::App& app);

/// `--model NAME|PATH`.
void add_model_option(CLI::App& command, std::string& model);

/// The value of `--dtype`: a type, or `auto`; neither: the default of the command.
struct DTypeChoice {
  std::optional<DType> type{};
  bool automatic = false;
};

/// `--dtype auto|f32|bf16|int8|int8w|int4` of matrix products.
void add_dtype_option(CLI::App& command, DTypeChoice& choice);

/// `--threads N`, which takes effect when it is parsed.
void add_threads_option(CLI::App& command);

/// Splits "a,b" at commas; empty words are dropped.
[[nodiscard]] std::vector<std::string> split_list(const std::string& text);

}  // namespace rae::tool
