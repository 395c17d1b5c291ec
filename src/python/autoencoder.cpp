// rae.Autoencoder.
#include "rae/generate/autoencoder.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "python/arrays.hpp"
#include "python/module.hpp"
#include "python/options.hpp"

namespace rae::python {
namespace {

Autoencoder load(nb::handle path, nb::handle models, const nb::kwargs& options) {
  const std::string file = path_of(path), folder = models.is_none() ? "" : path_of(models);
  const LoadOptions how = load_options(options);
  return call_interruptible([&] { return Autoencoder(open_model(file, folder), how); });
}

Autoencoder builtin(const std::optional<std::string>& name, const nb::kwargs& options) {
  const LoadOptions how = load_options(options);
  return call_interruptible(
      [&] { return name ? Autoencoder::builtin(*name, how) : Autoencoder::builtin(how); });
}

FloatResult encode(const Autoencoder& self, nb::handle images) {
  const std::vector<Image> given = images_of(images);
  return array_of(call_interruptible([&] { return self.encode(given); }));
}

FloatResult encode_pixels(const Autoencoder& self, const FloatArray& pixels) {
  const Tensor<float> given = tensor_of(pixels, "pixels");  // (B, channels, H, W)
  return array_of(call_interruptible([&] { return self.encode(given); }));
}

PictureResult prepare(const Autoencoder& self, nb::handle images) {
  std::vector<Image> out;
  for (const Image& image : images_of(images)) out.push_back(self.prepare(image));
  return array_of(out);
}

PictureResult reconstruct(const Autoencoder& self, nb::handle images) {
  const std::vector<Image> given = images_of(images);
  return array_of(call_interruptible([&] { return self.decode(self.encode(given)); }));
}

}  // namespace

void bind_autoencoder(nb::module_& module) {
  nb::class_<Autoencoder>(module, "Autoencoder",
                          "A frozen encoder and its decoder. Threads may share one; each call runs "
                          "without Python's global lock.")
      .def_static("load", &load, nb::arg("path"), nb::arg("models") = nb::none(),
                  nb::arg("options"),
                  nb::sig("def load(path: str | os.PathLike, models: str | os.PathLike | None = "
                          "None, *, dtype: str | None = None, keep_loaded: bool = True, "
                          "available_memory: int = 0) -> Autoencoder"),
                  "See `Generator.load`.")
      .def_static("builtin", &builtin, nb::arg("name") = nb::none(), nb::arg("options"),
                  nb::sig("def builtin(name: str | None = None, *, dtype: str | None = None, "
                          "keep_loaded: bool = True, available_memory: int = 0) -> Autoencoder"),
                  "See `Generator.builtin`.")
      .def("encode", &encode, nb::arg("images"),
           nb::sig("def encode(self, images: object) -> numpy.ndarray"),
           "Normalised latents float32 (N, C, h, w) of pictures of any sizes, which are prepared "
           "first: an array of uint8 or of floats in [0, 1] of the shape (N, H, W, C), (H, W, C) "
           "or (H, W), a path, a picture of Pillow, or a list of these.")
      .def("encode_pixels", &encode_pixels, nb::arg("pixels"),
           nb::sig("def encode_pixels(self, pixels: numpy.ndarray) -> numpy.ndarray"),
           "Normalised latents of pictures (B, C, H, W) in [0, 1] of the model's size, which are "
           "not rounded to 8 bits.")
      .def(
          "decode",
          [](const Autoencoder& self, const FloatArray& latents) {
            const Tensor<float> z = tensor_of(latents, "latents");  // (B, C, h, w)
            return array_of(call_interruptible([&] { return self.decode(z); }));
          },
          nb::arg("latents"), nb::sig("def decode(self, latents: numpy.ndarray) -> numpy.ndarray"),
          "Pictures of normalised latents (B, C, h, w): uint8 (B, H, W, C).")
      .def(
          "decode_pixels",
          [](const Autoencoder& self, const FloatArray& latents) {
            const Tensor<float> z = tensor_of(latents, "latents");  // (B, C, h, w)
            return array_of(call_interruptible([&] { return self.decode_pixels(z); }));
          },
          nb::arg("latents"),
          nb::sig("def decode_pixels(self, latents: numpy.ndarray) -> numpy.ndarray"),
          "The same as float32 (B, C, H, W), neither clamped to [0, 1] nor rounded.")
      .def("prepare", &prepare, nb::arg("images"),
           nb::sig("def prepare(self, images: object) -> numpy.ndarray"),
           "Pictures as the model takes them, the central part at its size: uint8 (N, H, W, C).")
      .def("reconstruct", &reconstruct, nb::arg("images"),
           nb::sig("def reconstruct(self, images: object) -> numpy.ndarray"),
           "Pictures after encoding and decoding, to be compared with those of `prepare`.")
      .def_prop_ro("name", [](const Autoencoder& self) { return self.config().name; })
      .def_prop_ro(
          "image_shape",
          [](const Autoencoder& self) {
            const Shape s = self.config().image_shape();
            return nb::make_tuple(s[1], s[2], s[0]);
          },
          "Height, width and channels of a picture.",
          nb::sig("def image_shape(self) -> tuple[int, int, int]"))
      .def_prop_ro(
          "latent_shape",
          [](const Autoencoder& self) {
            const Shape s = self.config().latent_shape();
            return nb::make_tuple(s[0], s[1], s[2]);
          },
          "Channels, height and width of a latent.",
          nb::sig("def latent_shape(self) -> tuple[int, int, int]"))
      .def_prop_ro(
          "config", [](const Autoencoder& self) { return object_of(to_config(self.config())); },
          "Everything about the model except its weights.", nb::sig("def config(self) -> dict"));
}

}  // namespace rae::python
