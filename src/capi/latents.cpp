// rae_latents: a tensor (B, C, h, w) of floats.
#include "capi/handles.hpp"
#include "rae/io/safetensors.hpp"

namespace rae::capi {
namespace {

constexpr const char* kLatent = "latent";  // as `rae encode` names the tensor
constexpr const char* kSampleLatent = "sample_latent";

/// The shape of an array of four extents. Throws ShapeError for an extent below 1.
Shape latents_shape(const int64_t* extents) {
  require_pointer(extents, "shape");
  for (int i = 0; i < 4; ++i)
    if (extents[i] < 1) raise<ShapeError>("shape[", i, "]: expected 1 or more, got ", extents[i]);
  return {extents[0], extents[1], extents[2], extents[3]};
}

Tensor<float> read_latents(const char* path) {
  require_pointer(path, "path");
  const SafetensorsFile file = SafetensorsFile::open(path);
  const char* name =
      file.contains(kLatent) || !file.contains(kSampleLatent) ? kLatent : kSampleLatent;
  const Shape& shape = file.info(name).shape;
  if (shape.rank() != 4 || shape.numel() < 1)
    raise<ShapeError>(path, ": tensor '", name, "': expected (B, C, h, w), got ", shape);
  return file.read<float>(name);
}

}  // namespace
}  // namespace rae::capi

using namespace rae::capi;

rae_status rae_latents_create(const float* values, const int64_t shape[4], rae_latents** latents) {
  return guarded([&] {
    require_pointer(latents, "latents");
    *latents = nullptr;
    require_pointer(values, "values");
    const rae::Shape extents = latents_shape(shape);
    rae::Tensor<float> copy(
        extents, std::span<const float>(values, static_cast<std::size_t>(extents.numel())));
    *latents = make_handle<LatentsObject>(std::move(copy));
  });
}

rae_status rae_latents_load(const char* path, rae_latents** latents) {
  return guarded([&] {
    require_pointer(latents, "latents");
    *latents = nullptr;
    *latents = make_handle<LatentsObject>(read_latents(path));
  });
}

rae_status rae_latents_save(const rae_latents* latents, const char* path) {
  return guarded([&] {
    const auto object = object_of<LatentsObject>(latents);
    require_pointer(path, "path");
    const rae::SafetensorsEntry entry{kLatent, object->latents};
    rae::write_safetensors(path, {&entry, 1});
  });
}

rae_status rae_latents_shape(const rae_latents* latents, int64_t shape[4]) {
  return guarded([&] {
    const auto object = object_of<LatentsObject>(latents);
    require_pointer(shape, "shape");
    for (int i = 0; i < 4; ++i) shape[i] = object->latents.extent(i);
  });
}

rae_status rae_latents_data(const rae_latents* latents, const float** values, size_t* count) {
  return guarded([&] {
    require_pointer(values, "values");
    *values = nullptr;
    if (count != nullptr) *count = 0;
    const auto object = object_of<LatentsObject>(latents);
    *values = object->latents.data();
    if (count != nullptr) *count = static_cast<size_t>(object->latents.numel());
  });
}

rae_status rae_latents_free(rae_latents* latents) { return free_handle<LatentsObject>(latents); }
