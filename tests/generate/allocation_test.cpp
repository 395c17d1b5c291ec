// Counts the heap allocations of the whole program, to show that a sampling step makes none.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "rae/generate/generator.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace {
std::atomic<std::uint64_t> allocations{0}, held{0}, most_held{0};

void* take(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  void* memory = std::aligned_alloc(
      alignment, (std::max<std::size_t>(1, bytes) + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  const std::uint64_t now = held += malloc_usable_size(memory);
  for (std::uint64_t most = most_held; now > most && !most_held.compare_exchange_weak(most, now);)
    continue;
  return memory;
}

void give_back(void* memory) noexcept {
  if (memory != nullptr) held -= malloc_usable_size(memory);
  std::free(memory);
}
}  // namespace

// The array forms of new and delete call these.
void* operator new(std::size_t bytes) { return take(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return take(bytes, static_cast<std::size_t>(alignment));
}
// Sanitizers have their own nothrow forms, whose memory the delete operators below could not free.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return take(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return take(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { give_back(memory); }

namespace rae {
namespace {

TEST(GeneratorAllocationTest, StepsAfterTheFirstAllocateNothing) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::int8}) {
    const Generator generator(test::tiny_bundle(), {.dtype = dtype});
    for (const Solver solver : {Solver::euler, Solver::heun}) {
      std::vector<std::uint64_t> counts;
      counts.reserve(100);
      const std::uint64_t before = allocations;
      (void)generator.sample({.labels = {0, 1, 2, 0, 1},
                              .steps = 10,
                              .solver = solver,
                              .guidance = Cfg{.scale = 2.0f},
                              .on_step = [&](const StepInfo&) {
                                counts.push_back(allocations);
                                return true;
                              }});
      ASSERT_EQ(counts.size(), 10u);
      EXPECT_GT(counts.front(), before);
      EXPECT_EQ(counts.back(), counts.front()) << name_of(solver) << ", " << name_of(dtype);
    }
  }
}

TEST(GeneratorAllocationTest, GuidedAndStochasticStepsAllocateNothing) {
  ModelConfig config = test::tiny_config();
  config.sampling.guidance = {};
  config.guide = config.dit;
  const Generator generator(test::random_bundle(config));
  for (const bool stochastic : {false, true}) {
    std::vector<std::uint64_t> counts;
    counts.reserve(100);
    GenerateOptions options{
        .labels = {0, 1, 2}, .steps = 10, .autoguidance = AutoGuidance{.scale = 2.0f}};
    if (stochastic) options.kind = SamplerKind::sde;
    options.on_step = [&](const StepInfo&) {
      counts.push_back(allocations);
      return true;
    };
    (void)generator.sample_latents(options);
    ASSERT_EQ(counts.size(), 10u);
    // The first step allocates the memory of the guide and of the noise; later steps reuse it.
    EXPECT_EQ(counts.back(), counts[1]) << stochastic;
  }
}

/// Networks that are large compared with everything else: 5 MB of weights in the DiT, 3 MB in the
/// decoder.
ModelConfig weighty_config() {
  ModelConfig config = test::tiny_config();
  test::dit_of(config).hidden_size[0] = test::dit_of(config).hidden_size[1] = 192;
  test::dit_of(config).depth[0] = test::dit_of(config).depth[1] = 1;
  config.decoder->hidden_size = 256;
  config.decoder->intermediate_size = 1024;
  return config;
}

TEST(GeneratorAllocationTest, WeightsAreHeldOnce) {
  const test::TempFolder folder;
  const ModelConfig config = weighty_config();
  test::random_bundle(config).save(folder / "m.safetensors");
  const auto dit =
      static_cast<std::uint64_t>(parameter_count(config.dit->parameter_shapes())) * sizeof(float);
  const auto decoder =
      static_cast<std::uint64_t>(parameter_count(parameter_shapes<Decoder>(*config.decoder))) *
      sizeof(float);
  // One tensor while it is read from the file, and the activations of one picture.
  constexpr std::uint64_t kBesides = 1600000;
  for (const bool keep : {false, true}) {
    const std::uint64_t before = held;
    most_held = before;
    {
      const Generator generator = Generator::load(folder / "m.safetensors", {.keep_loaded = keep});
      (void)generator.sample({.labels = {1}});
      const std::uint64_t expected = keep ? dit + decoder : std::max(dit, decoder);
      EXPECT_LT(most_held - before, expected + expected / 10 + kBesides) << keep;
      EXPECT_GT(most_held - before, expected) << keep;
      const std::uint64_t stays = keep ? dit + decoder : decoder;
      EXPECT_LT(held - before, stays + stays / 10 + 100000) << keep;
    }
    EXPECT_LT(held - before, 100000u) << keep;
  }
}

}  // namespace
}  // namespace rae
