// rae.Autoencoder.
#include "rae/generate/autoencoder.hpp"

#include "python/model_class.hpp"
#include "python/module.hpp"

namespace rae::python {
namespace {

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
  model_class<Autoencoder>(module, "Autoencoder",
                           "A frozen encoder and its decoder. Threads may share one; each call "
                           "runs without Python's global lock.")
      .def("encode", &encode, nb::arg("images"),
           nb::sig("def encode(self, images: object) -> numpy.ndarray"),
           "Normalised latents float32 (N, C, h, w) of pictures of any sizes, which are prepared "
           "first: an array of uint8 or of floats in [0, 1] of the shape (N, H, W, C), (H, W, C) "
           "or (H, W), a path, a picture of Pillow, or a list of these.")
      .def("encode_pixels", &encode_pixels, nb::arg("pixels"),
           nb::sig("def encode_pixels(self, pixels: numpy.ndarray) -> numpy.ndarray"),
           "Normalised latents of pictures (B, C, H, W) in [0, 1] of the model's size, which are "
           "not rounded to 8 bits.")
      .def("prepare", &prepare, nb::arg("images"),
           nb::sig("def prepare(self, images: object) -> numpy.ndarray"),
           "Pictures as the model takes them, the central part at its size: uint8 (N, H, W, C).")
      .def("reconstruct", &reconstruct, nb::arg("images"),
           nb::sig("def reconstruct(self, images: object) -> numpy.ndarray"),
           "Pictures after encoding and decoding, to be compared with those of `prepare`.");
}

}  // namespace rae::python
