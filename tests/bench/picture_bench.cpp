// Measures a whole picture by a model of full size, DiT^DH-XL and the ViT-XL decoder, with 50 grid
// points and without guidance, relative to its 49 forward passes and its decoding alone.
//
//   bench_picture FILE [--json FILE]
//
// FILE is a bundle of 5 GB with random weights. It is written if it does not exist.
//
// The forward passes are measured before and after the picture.
#include "bench/arguments.hpp"
#include "bench/xl_bundle.hpp"
#include "rae/generate/generator.hpp"
#include "rae/spec/weight_types.hpp"
#include "tool/bench_model.hpp"
#include "tool/peak.hpp"

namespace {

using rae::DType;
using rae::index_t;
using rae::bench::median;
using rae::bench::seconds;
using rae::tool::BenchModel;
using rae::tool::BenchNetwork;

constexpr index_t kSteps = 50;  // grid points; the number of evaluations is one less

const BenchNetwork& network(std::string_view name) {
  for (const BenchNetwork& each : rae::tool::bench_networks())
    if (each.name == name) return each;
  rae::raise<rae::ArgumentError>("no network ", name);
}

template <class F>
double time_of(F&& run) {
  const double start = seconds();
  run();
  return seconds() - start;
}

struct Times {
  double picture, forward, decode;

  /// The time of the picture divided by the sum of its parts.
  [[nodiscard]] double overhead() const {
    return picture / (static_cast<double>(kSteps - 1) * forward + decode);
  }
};

Times measure(const std::string& path, DType dtype) {
  Times times{};
  BenchModel forward(network("dit-dh-xl"), dtype, 1), decode(network("decoder-xl"), dtype, 1);
  const rae::Generator generator =
      rae::Generator::load(path, {.keep_loaded = true, .dtype = dtype});
  std::vector<double> forwards, decodes;
  const auto alone = [&] {
    for (int i = 0; i < 3; ++i) {
      forwards.push_back(time_of([&] { forward.run(); }));
      decodes.push_back(time_of([&] { decode.run(); }));
    }
  };
  alone();
  times.picture = time_of([&] { (void)generator.sample({.labels = {207}, .steps = kSteps}); });
  alone();
  times.forward = median(forwards);
  times.decode = median(decodes);
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "bench_picture: expected the name of the bundle\n");
    return 2;
  }
  const std::string path = argv[1];
  const rae::bench::Arguments arguments(argc - 1, argv + 1, 1);
  try {
    rae::bench::require_xl_bundle(path);
    rae::bench::Records records;
    std::printf("%-5s %10s %10s %10s   picture / (%td forwards + decoding)\n", "", "picture, s",
                "forward, s", "decode, s", kSteps - 1);
    for (const DType dtype : {DType::f32, DType::bf16, DType::int8}) {
      const Times t = measure(path, dtype);
      const std::string name(rae::name_of(dtype));
      std::printf("%-5s %10.2f %10.3f %10.3f   %.3f\n", name.c_str(), t.picture, t.forward,
                  t.decode, t.overhead());
      std::fflush(stdout);
      records.add({{"dtype", name},
                   {"picture", t.picture},
                   {"forward", t.forward},
                   {"decode", t.decode},
                   {"overhead", t.overhead()}});
    }
    return records.write(arguments) ? 0 : 1;
  } catch (const rae::Error& error) {
    std::fprintf(stderr, "bench_picture: %s\n", error.what());
    return 1;
  }
}
