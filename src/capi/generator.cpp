// rae_generator: see generator.hpp.
#include <algorithm>

#include "capi/image.hpp"
#include "capi/structures.hpp"
#include "rae/load/model_search.hpp"

namespace rae::capi {
namespace {

using GeneratorCall = ExclusiveCall<GeneratorObject>;

/// Frees a borrowed handle at the end of a callback.
struct BorrowedLatents {
  rae_latents* handle = nullptr;
  BorrowedLatents() = default;
  BorrowedLatents(const BorrowedLatents&) = delete;
  BorrowedLatents& operator=(const BorrowedLatents&) = delete;
  ~BorrowedLatents() { (void)free_handle<LatentsObject>(handle); }
};

/// The step of the innermost callback that this thread is in.
struct CurrentStep {
  const rae_step* step = nullptr;
  const StepInfo* info = nullptr;
};
thread_local CurrentStep current;

/// Sets `current` for the time of a callback.
struct CurrentStepScope {
  CurrentStep before = current;
  CurrentStepScope(const rae_step& step, const StepInfo& info) { current = {&step, &info}; }
  CurrentStepScope(const CurrentStepScope&) = delete;
  CurrentStepScope& operator=(const CurrentStepScope&) = delete;
  ~CurrentStepScope() { current = before; }
};

/// Calls the callback; false if it asks to stop.
bool report_step(const rae_sample_options& given, const StepInfo& info) {
  BorrowedLatents denoised, state;
  if (info.determines_data()) denoised.handle = make_handle<LatentsObject>(info.denoised());
  rae_step step{};
  step.size = sizeof step;
  step.step = info.step;
  step.steps = info.steps;
  step.time = static_cast<double>(info.t);
  step.first_picture = info.first;
  step.pictures = info.x.extent(0);
  step.denoised = denoised.handle;
  state.handle = make_handle<LatentsObject>(info.x);
  step.state = state.handle;
  const CurrentStepScope scope(step, info);
  return given.on_step(&step, given.user_data) == 0;
}

/// The caller's options as those of C++, with the callback.
GenerateOptions with_callback(const rae_sample_options& given, const ModelConfig& model) {
  GenerateOptions out = generate_options(given, model);
  if (given.on_step != nullptr)
    out.on_step = [&given](const StepInfo& info) { return report_step(given, info); };
  return out;
}

void decode_to(const Generator& generator, const Tensor<float>& latents, rae_image** images,
               std::size_t count) {
  require_count(count, latents.extent(0));
  store_images(generator.decode(latents), {}, images);
}

}  // namespace
}  // namespace rae::capi

using namespace rae::capi;

rae_status rae_generator_load(const char* path, const rae_load_options* options,
                              rae_generator** generator) {
  return guarded([&] {
    require_pointer(generator, "generator");
    *generator = nullptr;
    require_pointer(path, "path");
    *generator = make_handle<GeneratorObject>(rae::Generator::load(path, load_options(options)));
  });
}

rae_status rae_generator_builtin(const char* name, const rae_load_options* options,
                                 rae_generator** generator) {
  return guarded([&] {
    require_pointer(generator, "generator");
    *generator = nullptr;
    const rae::LoadOptions load = load_options(options);
    const std::string path = rae::find_model(name == nullptr ? rae::kBuiltinModel : name);
    *generator = make_handle<GeneratorObject>(rae::Generator::load(path, load));
  });
}

rae_status rae_generator_copy(const rae_generator* generator, rae_generator** copy) {
  return guarded([&] {
    require_pointer(copy, "copy");
    *copy = nullptr;
    *copy = make_handle<GeneratorObject>(object_of<GeneratorObject>(generator)->generator);
  });
}

rae_status rae_generator_info(const rae_generator* generator, rae_model_info* info) {
  return guarded([&] {
    const auto object = object_of<GeneratorObject>(generator);
    write_model_info(object->generator.config(), object->dtype.c_str(), info);
  });
}

rae_status rae_generator_class_name(const rae_generator* generator, int64_t label,
                                    const char** name) {
  return guarded([&] {
    require_pointer(name, "name");
    *name = nullptr;
    const auto object = object_of<GeneratorObject>(generator);
    const auto& names = object->generator.class_names();
    if (label < 0 || label >= object->generator.num_classes())
      rae::raise<rae::ArgumentError>("label: expected 0 to ", object->generator.num_classes() - 1,
                                     ", got ", label);
    if (!names.empty()) *name = names[static_cast<std::size_t>(label)].c_str();
  });
}

rae_status rae_generator_label(const rae_generator* generator, const char* name, int64_t* label) {
  return guarded([&] {
    require_pointer(label, "label");
    require_pointer(name, "name");
    *label = object_of<GeneratorObject>(generator)->generator.label_of(name);
  });
}

rae_status rae_generator_sample(rae_generator* generator, const rae_sample_options* options,
                                rae_image** images, size_t count) {
  return guarded([&] {
    clear_images(images, count);
    const GeneratorCall call(generator);
    const rae_sample_options given = sample_options(options);
    require_count(count, static_cast<rae::index_t>(given.label_count));
    const rae::GenerateOptions how = with_callback(given, call->generator.config());
    std::vector<std::map<std::string, std::string>> texts;
    for (std::size_t i = 0; i < count; ++i) texts.push_back(call->generator.png_text(how, i));
    store_images(call->generator.sample(how), texts, images);
  });
}

rae_status rae_generator_sample_latents(rae_generator* generator, const rae_sample_options* options,
                                        rae_latents** latents) {
  return guarded([&] {
    require_pointer(latents, "latents");
    *latents = nullptr;
    const GeneratorCall call(generator);
    const rae_sample_options given = sample_options(options);
    const rae::GenerateOptions how = with_callback(given, call->generator.config());
    *latents = make_handle<LatentsObject>(call->generator.sample_latents(how));
  });
}

rae_status rae_generator_decode(rae_generator* generator, const rae_latents* latents,
                                rae_image** images, size_t count) {
  return guarded([&] {
    clear_images(images, count);
    const GeneratorCall call(generator);
    decode_to(call->generator, object_of<LatentsObject>(latents)->latents, images, count);
  });
}

rae_status rae_generator_preview(rae_generator* generator, const rae_step* step, int64_t picture,
                                 rae_image** image) {
  return guarded([&] {
    clear_images(image, 1);
    const GeneratorCall call(generator);
    require_pointer(step, "step");
    const auto object = object_of<LatentsObject>(step->denoised);
    const rae::Tensor<float>& batch = object->latents;  // (B, C, h, w)
    if (picture < 0 || picture >= batch.extent(0))
      rae::raise<rae::ArgumentError>("picture: expected 0 to ", batch.extent(0) - 1, ", got ",
                                     picture);
    const rae::index_t n = batch.numel() / batch.extent(0);
    const rae::Tensor<float> one(
        batch.shape().with(0, 1),
        batch.span().subspan(static_cast<std::size_t>(picture * n), static_cast<std::size_t>(n)));
    decode_to(call->generator, one, image, 1);  // one (1, C, h, w)
  });
}

rae_status rae_step_replace(const rae_step* step, const rae_latents* latents) {
  return guarded([&] {
    if (step == nullptr || step != current.step)
      rae::raise<rae::ArgumentError>("step: expected that of the callback that this thread is in");
    current.info->replace(object_of<LatentsObject>(latents)->latents);
  });
}

rae_status rae_generator_velocity(rae_generator* generator, const rae_latents* x, double time,
                                  const int64_t* labels, size_t label_count,
                                  rae_latents** velocity) {
  return guarded([&] {
    require_pointer(velocity, "velocity");
    *velocity = nullptr;
    const GeneratorCall call(generator);
    require_pointer(labels, "labels");
    *velocity = make_handle<LatentsObject>(call->generator.velocity(
        object_of<LatentsObject>(x)->latents, static_cast<float>(time), {labels, label_count}));
  });
}

rae_status rae_generator_noise(const rae_generator* generator, uint64_t seed, uint64_t first_index,
                               int64_t count, rae_latents** noise) {
  return guarded([&] {
    require_pointer(noise, "noise");
    *noise = nullptr;
    *noise = make_handle<LatentsObject>(
        object_of<GeneratorObject>(generator)->generator.noise(seed, count, first_index));
  });
}

rae_status rae_generator_cancel(const rae_generator* generator) {
  return guarded([&] { object_of<GeneratorObject>(generator)->cancel(); });
}

rae_status rae_generator_free(rae_generator* generator) {
  return free_handle<GeneratorObject>(generator);
}
