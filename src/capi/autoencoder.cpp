// rae_autoencoder: see autoencoder.hpp.
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/token_mask.hpp"

#include "capi/image.hpp"
#include "capi/structures.hpp"
#include "rae/generate/token_mask.hpp"
#include "rae/load/model_search.hpp"

using namespace rae::capi;

namespace {

using AutoencoderCall = ExclusiveCall<AutoencoderObject>;

}  // namespace

rae_status rae_autoencoder_load(const char* path, const rae_load_options* options,
                                rae_autoencoder** autoencoder) {
  return guarded([&] {
    require_pointer(autoencoder, "autoencoder");
    *autoencoder = nullptr;
    require_pointer(path, "path");
    *autoencoder =
        make_handle<AutoencoderObject>(rae::Autoencoder::load(path, load_options(options)));
  });
}

rae_status rae_autoencoder_builtin(const char* name, const rae_load_options* options,
                                   rae_autoencoder** autoencoder) {
  return guarded([&] {
    require_pointer(autoencoder, "autoencoder");
    *autoencoder = nullptr;
    const rae::LoadOptions load = load_options(options);
    const std::string path = rae::find_model(name == nullptr ? rae::kBuiltinModel : name);
    *autoencoder = make_handle<AutoencoderObject>(rae::Autoencoder::load(path, load));
  });
}

rae_status rae_autoencoder_copy(const rae_autoencoder* autoencoder, rae_autoencoder** copy) {
  return guarded([&] {
    require_pointer(copy, "copy");
    *copy = nullptr;
    *copy = make_handle<AutoencoderObject>(object_of<AutoencoderObject>(autoencoder)->autoencoder);
  });
}

rae_status rae_autoencoder_info(const rae_autoencoder* autoencoder, rae_model_info* info) {
  return guarded([&] {
    write_model_info(object_of<AutoencoderObject>(autoencoder)->autoencoder.config(), nullptr,
                     info);
  });
}

rae_status rae_autoencoder_encode(rae_autoencoder* autoencoder, const rae_image* const* images,
                                  size_t count, rae_latents** latents) {
  return guarded([&] {
    require_pointer(latents, "latents");
    *latents = nullptr;
    const AutoencoderCall call(autoencoder);
    require_pointer(images, "images");
    std::vector<rae::Image> pictures;
    for (std::size_t i = 0; i < count; ++i)
      pictures.push_back(object_of<ImageObject>(images[i])->image);
    *latents = make_handle<LatentsObject>(call->autoencoder.encode(pictures));
  });
}

rae_status rae_autoencoder_decode(rae_autoencoder* autoencoder, const rae_latents* latents,
                                  rae_image** images, size_t count) {
  return guarded([&] {
    clear_images(images, count);
    const AutoencoderCall call(autoencoder);
    const auto object = object_of<LatentsObject>(latents);
    require_count(count, object->latents.extent(0));
    store_images(call->autoencoder.decode(object->latents), {}, images);
  });
}

rae_status rae_autoencoder_prepare(const rae_autoencoder* autoencoder, const rae_image* image,
                                   rae_image** prepared) {
  return guarded([&] {
    clear_images(prepared, 1);
    const auto object = object_of<AutoencoderObject>(autoencoder);
    *prepared =
        make_handle<ImageObject>(object->autoencoder.prepare(object_of<ImageObject>(image)->image));
  });
}

rae_status rae_autoencoder_mask(const rae_autoencoder* autoencoder, const rae_image* image,
                                rae_latents** mask) {
  return guarded([&] {
    require_pointer(mask, "mask");
    *mask = nullptr;
    const auto object = object_of<AutoencoderObject>(autoencoder);
    *mask = make_handle<LatentsObject>(
        rae::token_mask(object_of<ImageObject>(image)->image, object->autoencoder.config()));
  });
}

rae_status rae_autoencoder_reconstruct(rae_autoencoder* autoencoder, const rae_image* image,
                                       rae_image** reconstructed) {
  return guarded([&] {
    clear_images(reconstructed, 1);
    const AutoencoderCall call(autoencoder);
    *reconstructed = make_handle<ImageObject>(
        call->autoencoder.reconstruct(object_of<ImageObject>(image)->image));
  });
}

rae_status rae_autoencoder_cancel(const rae_autoencoder* autoencoder) {
  return guarded([&] { object_of<AutoencoderObject>(autoencoder)->cancel(); });
}

rae_status rae_autoencoder_free(rae_autoencoder* autoencoder) {
  return free_handle<AutoencoderObject>(autoencoder);
}
