#include "capi/structures.hpp"

#include <cstddef>

#include "rae/generate/preset.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae::capi {
namespace {

// Members are added at the end, and without padding after the last one: a shorter structure then
// never contains a part of a member that it does not have.
static_assert(offsetof(rae_load_options, size) == 0 && offsetof(rae_sample_options, size) == 0 &&
              offsetof(rae_model_info, size) == 0 && offsetof(rae_step, size) == 0);
static_assert(offsetof(rae_load_options, available_memory) + sizeof(std::uint64_t) ==
                  sizeof(rae_load_options) &&
              offsetof(rae_sample_options, preset) + sizeof(void*) == sizeof(rae_sample_options) &&
              offsetof(rae_model_info, steps) + sizeof(std::int64_t) == sizeof(rae_model_info));

rae_load_options default_load_options() {
  rae_load_options out{};
  out.keep_loaded = 1;
  return out;
}

rae_sample_options default_sample_options() {
  rae_sample_options out{};
  out.atol = out.rtol = out.diffusion_norm = out.last_step_size = -1;
  out.guidance_scale = out.guidance_t_max = out.strength = 1;
  return out;
}

/// The tensor of a handle, or an empty one for null.
Tensor<float> optional_latents(const rae_latents* handle) {
  return handle == nullptr ? Tensor<float>() : object_of<LatentsObject>(handle)->latents;
}

template <class G>
G guidance_of(const rae_sample_options& given) {
  return {.scale = static_cast<float>(given.guidance_scale),
          .t_min = static_cast<float>(given.guidance_t_min),
          .t_max = static_cast<float>(given.guidance_t_max)};
}

void set_guidance(const rae_sample_options& given, GenerateOptions& out) {
  switch (given.guidance) {
    case RAE_GUIDANCE_MODEL: return;
    case RAE_GUIDANCE_NONE: out.guidance = Cfg{}; return;
    case RAE_GUIDANCE_CFG: out.guidance = guidance_of<Cfg>(given); return;
    case RAE_GUIDANCE_GUIDE: out.autoguidance = guidance_of<AutoGuidance>(given); return;
    case RAE_GUIDANCE_INTERNAL:
      out.internal_guidance = guidance_of<InternalGuidance>(given);
      return;
    default:
      raise<ArgumentError>(
          "rae_sample_options: guidance: expected RAE_GUIDANCE_MODEL, _NONE, _CFG, _GUIDE or "
          "_INTERNAL, got ",
          given.guidance);
  }
}

/// True for a number that is given; -1 takes the default.
bool is_given(double value) { return value != -1; }

void set_stochastic(const rae_sample_options& given, const ModelConfig& model,
                    GenerateOptions& out) {
  if (given.sampler != nullptr) out.kind = parse_sampler_kind(given.sampler);
  SdeOptions sde = model.sampling.sde;
  if (given.sde_solver != nullptr) sde.solver = parse_sde_solver(given.sde_solver);
  if (given.diffusion_form != nullptr) sde.form = parse_diffusion_form(given.diffusion_form);
  if (is_given(given.diffusion_norm)) sde.norm = given.diffusion_norm;
  if (given.last_step != nullptr) sde.last_step = parse_sde_last_step(given.last_step);
  if (is_given(given.last_step_size)) sde.last_step_size = given.last_step_size;
  out.sde = sde;
}

}  // namespace

LoadOptions load_options(const rae_load_options* given) {
  const rae_load_options all = read_structure("rae_load_options", default_load_options(), given);
  if (all.keep_loaded != 0 && all.keep_loaded != 1)
    raise<ArgumentError>("rae_load_options: keep_loaded: expected 0 or 1, got ", all.keep_loaded);
  LoadOptions out;
  out.keep_loaded = all.keep_loaded == 1;
  if (all.dtype != nullptr) {
    out.auto_dtype = std::string_view(all.dtype) == "auto";
    if (!out.auto_dtype) out.dtype = parse_weight_type(all.dtype);
  }
  out.available_memory = all.available_memory;
  return out;
}

rae_sample_options sample_options(const rae_sample_options* given) {
  require_pointer(given, "options");
  rae_sample_options out = read_structure("rae_sample_options", default_sample_options(), given);
  if (out.labels == nullptr || out.label_count == 0)
    raise<ArgumentError>("rae_sample_options: no labels; give one class for each picture");
  return out;
}

GenerateOptions generate_options(const rae_sample_options& given, const ModelConfig& model) {
  GenerateOptions out;
  out.labels.assign(given.labels, given.labels + given.label_count);
  out.seed = given.seed;
  out.first_index = given.first_index;
  out.steps = given.steps;
  if (given.grid != nullptr) out.grid = parse_time_grid_kind(given.grid);
  if (given.solver != nullptr) out.solver = parse_ode_solver(given.solver);
  if (is_given(given.atol)) out.atol = given.atol;
  if (is_given(given.rtol)) out.rtol = given.rtol;
  set_guidance(given, out);
  set_stochastic(given, model, out);
  if (given.rng != nullptr) out.rng = parse_rng(given.rng);
  out.batch_size = given.batch_size;
  out.noise = optional_latents(given.noise);
  out.reuse_error = given.reuse_error;
  out.init = optional_latents(given.init);
  out.strength = given.strength;
  out.mask = optional_latents(given.mask);
  if (given.preset != nullptr) apply_preset(parse_preset(given.preset), model, out);
  return out;
}

void write_model_info(const ModelConfig& model, const char* dtype, rae_model_info* info) {
  require_pointer(info, "info");
  const Shape picture = model.image_shape(), latent = model.latent_shape();
  rae_model_info out{};
  out.name = model.name.c_str();
  out.dtype = dtype;
  out.classes = model.num_classes();
  out.null_class = model.has_null_class() ? model.num_classes() : -1;
  out.image_channels = picture[0];
  out.image_height = picture[1];
  out.image_width = picture[2];
  out.latent_channels = latent[0];
  out.latent_height = latent[1];
  out.latent_width = latent[2];
  out.steps = model.sampling.steps;
  std::size_t size = 0;
  std::memcpy(&size, info, sizeof size);
  write_structure("rae_model_info", out, info, size);
}

}  // namespace rae::capi

rae_status rae_load_options_init(rae_load_options* options, size_t size) {
  return rae::capi::guarded([&] {
    rae::capi::write_structure("rae_load_options", rae::capi::default_load_options(), options,
                               size);
  });
}

rae_status rae_sample_options_init(rae_sample_options* options, size_t size) {
  return rae::capi::guarded([&] {
    rae::capi::write_structure("rae_sample_options", rae::capi::default_sample_options(), options,
                               size);
  });
}
