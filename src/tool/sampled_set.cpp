#include "tool/sampled_set.hpp"

#include <algorithm>

#include "generate/batches.hpp"
#include "tool/model.hpp"
#include "tool/ranks.hpp"
#include "tool/text.hpp"
#include "train/shared_work.hpp"

namespace rae::tool {
namespace {

/// True if a picture is the same whatever other pictures are in its batch.
bool pictures_are_independent(const GenerateOptions& options, const ModelConfig& config) {
  if (options.kind.value_or(config.sampling.kind) == SamplerKind::sde)
    return options.rng == Rng::philox;
  const OdeSolver solver = options.solver.value_or(config.sampling.solver);
  return !solver.is_adaptive() && !(solver == OdeSolver(Solver::implicit_adams));
}

/// Copies the samples (n, ...) of a batch to `all` (B, ...), which is allocated by the first.
void place(const Tensor<float>& part, index_t first, index_t count, Tensor<float>& all) {
  if (all.empty()) all = Tensor<float>(part.shape().with(0, count));
  copy_elements(part.data(), part.numel(), all.data() + first * (part.numel() / part.extent(0)));
}

/// One rank: all latents, then all pictures, so that networks need not stay loaded.
SampledSet sample_alone(const Generator& generator, GenerateOptions options, SampleForms forms) {
  const auto count = static_cast<index_t>(options.labels.size());
  ProgressBar bar("sampling");
  bar.update(0, static_cast<double>(count));
  options.on_step = [&, watch = options.on_step](const StepInfo& info) {
    if (watch && !watch(info)) return false;
    const double done = static_cast<double>(count * info.step) / static_cast<double>(info.steps);
    bar.update(done, static_cast<double>(count),
               concat(static_cast<index_t>(done), "/", count, "  ",
                      format_rate(done / bar.seconds()), " pictures/s"));
    return !interrupted();
  };
  SampledSet out;
  out.latents = generator.sample_latents(options);
  bar.begin("decoding");
  if (forms.pixels) out.pixels = decode_all_pixels(generator, out.latents, options.batch_size, bar);
  out.images = forms.pixels ? Image::from_batch(out.pixels)
                            : decode_all(generator, out.latents, options.batch_size, bar);
  return out;
}

SampledSet sample_together(Communicator& all, const Generator& generator,
                           const GenerateOptions& options, SampleForms forms) {
  const ModelConfig& config = generator.config();
  const auto count = static_cast<index_t>(options.labels.size());
  const Shape latent = config.latent_shape(), picture = config.image_shape();
  const bool independent = pictures_are_independent(options, config);
  const index_t largest = options.batch_size > 0 ? options.batch_size
                                                 : detail::default_batch(latent[1] * latent[2]),
                most =
                    independent ? std::min(largest, (count + all.size() - 1) / all.size()) : count;
  // The numbers of PyTorch depend on all pictures before.
  const Tensor<float> noise = options.noise.empty() && options.rng == Rng::torch_cpu && independent
                                  ? generator.noise(options.seed, count, options.first_index,
                                                    options.rng)
                                  : options.noise;  // (B, C, h, w), or empty
  PictureProgress progress("sampling", 0, count);
  const auto compute = [&](index_t batch) {
    const index_t first = batch * most, n = std::min(most, count - first);
    GenerateOptions part = options;
    if (n < count) {
      part.labels.assign(options.labels.begin() + first, options.labels.begin() + first + n);
      part.first_index = options.first_index + static_cast<std::uint64_t>(first);
      if (!noise.empty()) part.noise = detail::samples(noise, first, n);
      for (Tensor<float>* each : {&part.init, &part.mask})
        if (!each->empty() && each->extent(0) > 1) *each = detail::samples(*each, first, n);
    }
    part.on_step = [&](const StepInfo& info) {
      progress.at_step(first, std::min(n * all.size(), count - first), info.step, info.steps);
      return !interrupted();
    };
    const Tensor<float> latents = generator.sample_latents(part);   // (n, C, h, w)
    const Tensor<float> pixels = generator.decode_pixels(latents);  // (n, channels, H, W)
    stop_if_interrupted();
    detail::Piece piece;
    if (forms.latents) piece.put_tensor(latents);
    if (forms.pixels)
      piece.put_tensor(pixels);
    else
      for (const Image& image : Image::from_batch(pixels))
        piece.put(std::span<const std::uint8_t>(image.pixels()));
    return piece;
  };
  SampledSet out;
  const auto take = [&](index_t batch, detail::Piece& piece) {
    const index_t first = batch * most, n = std::min(most, count - first);
    if (forms.latents) place(piece.get_tensor<float>(), first, count, out.latents);
    if (forms.pixels) {
      const auto pixels = piece.get_tensor<float>();  // (n, channels, H, W)
      for (Image& image : Image::from_batch(pixels)) out.images.push_back(std::move(image));
      return place(pixels, first, count, out.pixels);
    }
    for (index_t i = 0; i < n; ++i) {
      Image image(picture[2], picture[1], static_cast<int>(picture[0]));
      piece.get(image.pixels());
      out.images.push_back(std::move(image));
    }
  };
  detail::share_in_order(all, (count + most - 1) / most, compute, take);
  progress.clear();
  return out;
}

}  // namespace

SampledSet sample_set(const Generator& generator, const GenerateOptions& options,
                      SampleForms forms) {
  return ranks().size() == 1 ? sample_alone(generator, options, forms)
                             : sample_together(ranks(), generator, options, forms);
}

}  // namespace rae::tool
