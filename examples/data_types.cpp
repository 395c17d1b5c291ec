// Prints the errors of narrower weights and of a reused backbone relative to f32: of the velocities
// between noise and data, and of the sampled latents.
//   example_data_types [PICTURES [MODEL.safetensors]]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <rae/rae.hpp>

/// Relative error |a - b| / |b|.
double error(const rae::Tensor<float>& a, const rae::Tensor<float>& b) {
  const auto norm = [&](auto element) {
    double square = 0;
    for (rae::index_t i = 0; i < b.numel(); ++i)
      square += std::pow(static_cast<double>(element(i)), 2);
    return std::sqrt(square);
  };
  return norm([&](auto i) { return a[i] - b[i]; }) / norm([&](auto i) { return b[i]; });
}

struct Results {
  rae::Tensor<float> velocity, plain, guided;  // (5 B, C, h, w) and sampled latents (B, C, h, w)
  rae::SamplingReport report;                  // of plain and guided sampling
  double seconds = 0;                          // of plain and guided sampling
};
Results results(const rae::Generator& generator, rae::GenerateOptions options,
                const rae::Tensor<float>& picture) {
  Results out;
  options.report = &out.report;
  const auto begin = std::chrono::steady_clock::now();
  options.guidance = rae::Cfg{};
  out.plain = generator.sample_latents(options);  // (B, C, h, w)
  options.guidance = rae::Cfg{.scale = 1.5f};
  out.guided = generator.sample_latents(options);  // (B, C, h, w)
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  // The same states for all types: on the straight lines from the noise to the latents of f32.
  const rae::Tensor<float>& end = picture.empty() ? out.plain : picture;  // (B, C, h, w)
  const rae::Tensor<float> noise =
      generator.noise(options.seed, end.extent(0), options.first_index);      // (B, C, h, w)
  out.velocity = rae::Tensor<float>(end.shape().with(0, 5 * end.extent(0)));  // (5 B, C, h, w)
  float* target = out.velocity.data();
  for (const float t : {0.1f, 0.3f, 0.5f, 0.7f, 0.9f}) {
    rae::Tensor<float> x(end.shape());  // (B, C, h, w)
    float* state = x.data();
    for (rae::index_t i = 0; i < end.numel(); ++i) state[i] = (1 - t) * end[i] + t * noise[i];
    const rae::Tensor<float> v = generator.velocity(x, t, options.labels);  // (B, C, h, w)
    target = std::copy_n(v.data(), v.numel(), target);
  }
  return out;
}

int main(int argc, char** argv) {
  try {
    const int pictures = argc > 1 ? std::stoi(argv[1]) : 100;
    const rae::ModelFiles files = rae::ModelFiles::open(argc > 2 ? argv[2] : rae::find_model());
    Results exact;
    std::printf("weights  reuse  velocity   latent   latent, cfg 1.5   backbones   seconds\n");
    const auto row = [&](rae::DType dtype, double reuse_error) {
      const rae::Generator generator(files, {.dtype = dtype});
      rae::GenerateOptions options{.reuse_error = reuse_error};
      for (int i = 0; i < pictures; ++i) options.labels.push_back(i % generator.num_classes());
      const Results r = results(generator, options, exact.plain);
      if (exact.plain.empty()) exact = r;
      std::printf("%-7s  %5.3g  %8.5f  %7.5f   %15.5f   %7.1f %%   %7.1f\n",
                  rae::name_of(dtype).data(), reuse_error, error(r.velocity, exact.velocity),
                  error(r.plain, exact.plain), error(r.guided, exact.guided),
                  100.0 * static_cast<double>(r.report.model.backbones) /
                      static_cast<double>(r.report.model.evaluations),
                  r.seconds);
    };
    for (const rae::DType dtype : rae::kWeightTypes) row(dtype, 0);  // f32 first
    if (!files.config.dit->has_head()) return 0;                     // nothing to reuse
    for (const double reuse_error : {0.02, 0.05, 0.1, 0.2}) row(rae::DType::f32, reuse_error);
    row(rae::DType::int8, 0.1);
  } catch (const std::exception& failure) {
    return std::fprintf(stderr, "%s\n", failure.what()), 1;
  }
}
