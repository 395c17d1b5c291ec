// The members that the classes Generator and Autoencoder have in common.
#pragma once

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <string>

#include "python/arrays.hpp"
#include "python/options.hpp"

namespace rae::python {

template <class Model>
Model load_model(nb::handle path, nb::handle models, const nb::kwargs& options) {
  const std::string file = path_of(path), folder = models.is_none() ? "" : path_of(models);
  const LoadOptions how = load_options(options);
  return call_interruptible([&] { return Model(open_model(file, folder), how); });
}

template <class Model>
Model builtin_model(const std::optional<std::string>& name, const nb::kwargs& options) {
  const LoadOptions how = load_options(options);
  return call_interruptible(
      [&] { return name ? Model::builtin(*name, how) : Model::builtin(how); });
}

/// Pictures of latents.
template <class Model>
PictureResult decode(const Model& self, const FloatArray& latents) {
  const Tensor<float> z = tensor_of(latents, "latents");  // (B, C, h, w)
  return array_of(call_interruptible([&] { return self.decode(z); }));
}

template <class Model>
FloatResult decode_pixels(const Model& self, const FloatArray& latents) {
  const Tensor<float> z = tensor_of(latents, "latents");  // (B, C, h, w)
  return array_of(call_interruptible([&] { return self.decode_pixels(z); }));
}

/// The class of Python for Model, with the common members.
template <class Model>
nb::class_<Model> model_class(nb::module_& module, const std::string& name, const char* text) {
  const std::string options =
      "*, dtype: str | None = None, keep_loaded: bool = True, available_memory: int = 0) -> " +
      name;
  const std::string load =
                        "def load(path: str | os.PathLike, models: str | os.PathLike | None = "
                        "None, " +
                        options,
                    builtin = "def builtin(name: str | None = None, " + options;
  nb::class_<Model> out(module, name.c_str(), text);
  out.def_static("load", &load_model<Model>, nb::arg("path"), nb::arg("models") = nb::none(),
                 nb::arg("options"), nb::sig(load.c_str()),
                 "Loads a bundle, or the model of an official configuration (.yaml), whose files "
                 "are in the folder `models`.");
  out.def_static("builtin", &builtin_model<Model>, nb::arg("name") = nb::none(), nb::arg("options"),
                 nb::sig(builtin.c_str()),
                 "Loads a model by its name, by default `BUILTIN_MODEL`; see `builtin_models`.");
  out.def("decode", &decode<Model>, nb::arg("latents"),
          nb::sig("def decode(self, latents: numpy.ndarray) -> numpy.ndarray"),
          "Pictures of normalised latents (B, C, h, w): uint8 (B, H, W, C).");
  out.def("decode_pixels", &decode_pixels<Model>, nb::arg("latents"),
          nb::sig("def decode_pixels(self, latents: numpy.ndarray) -> numpy.ndarray"),
          "The same as float32 (B, C, H, W), neither clamped to [0, 1] nor rounded.");
  out.def_prop_ro("name", [](const Model& self) { return self.config().name; });
  out.def_prop_ro(
      "image_shape",
      [](const Model& self) {
        const Shape s = self.config().image_shape();
        return nb::make_tuple(s[1], s[2], s[0]);
      },
      "Height, width and channels of a picture.",
      nb::sig("def image_shape(self) -> tuple[int, int, int]"));
  out.def_prop_ro(
      "latent_shape",
      [](const Model& self) {
        const Shape s = self.config().latent_shape();
        return nb::make_tuple(s[0], s[1], s[2]);
      },
      "Channels, height and width of a latent.",
      nb::sig("def latent_shape(self) -> tuple[int, int, int]"));
  out.def_prop_ro(
      "config", [](const Model& self) { return object_of(to_config(self.config())); },
      "Everything about the model except its weights.", nb::sig("def config(self) -> dict"));
  return out;
}

}  // namespace rae::python
