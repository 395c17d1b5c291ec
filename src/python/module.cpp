// The module rae._rae: errors, models by name, threads. Its classes are in the other files.
#include "python/module.hpp"

#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <new>
#include <stdexcept>

#include "python/arrays.hpp"
#include "rae/core/parallel.hpp"
#include "rae/error.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/load/model_search.hpp"
#include "rae/version.hpp"

namespace nb = nanobind;

namespace rae::python {
namespace {

void set_error(const char* name, const char* message) {
  try {
    PyErr_SetString(nb::module_::import_("rae.errors").attr(name).ptr(), message);
  } catch (nb::python_error& error) {
    error.restore();
  }
}

/// The exceptions of the library as those of rae/errors.py.
void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Cancelled& error) {
    set_error("Cancelled", error.what());
  } catch (const ArgumentError& error) {
    set_error("ArgumentError", error.what());
  } catch (const ShapeError& error) {
    set_error("ShapeError", error.what());
  } catch (const FileError& error) {
    set_error("FileError", error.what());
  } catch (const FormatError& error) {
    set_error("FormatError", error.what());
  } catch (const ConfigError& error) {
    set_error("ConfigError", error.what());
  } catch (const NumericError& error) {
    set_error("NumericError", error.what());
  } catch (const MemoryError& error) {
    set_error("MemoryError", error.what());
  } catch (const std::bad_alloc&) {
    set_error("MemoryError", "not enough memory");
  } catch (const std::length_error&) {
    set_error("MemoryError", "more elements than any memory can hold");
  } catch (const Error& error) {
    set_error("Error", error.what());
  }
}

}  // namespace
}  // namespace rae::python

NB_MODULE(_rae, module) {
  using namespace rae;
  using namespace rae::python;
  module.doc() = "Latent diffusion on Representation Autoencoders.";
  nb::register_exception_translator(&translate);
  module.attr("__version__") = kVersion;
  module.attr("BUILTIN_MODEL") = kBuiltinModel;
  module.def(
      "builtin_models",
      [] {
        std::map<std::string, std::string> out;
        for (const NamedModel& model : named_models()) out[model.name] = model.path;
        return out;
      },
      "Names of the models that `builtin` finds, with the paths of their files.");
  module.def("num_threads", &num_threads, "Number of threads of parallel loops.");
  module.def("set_num_threads", &set_num_threads, nb::arg("threads"),
             "Sets the number of threads, 1 to 1024; 0 takes all processors of the process. "
             "Results do not depend on it.");
  module.def(
      "system_info",
      [] {
        return concat("rae ", kVersion, ", kernels ", name_of(active_isa()), ", ", num_threads(),
                      " threads (", parallel_backend(), ")");
      },
      "Version, kernels and threads in one line.");
  module.def(
      "open_image", [](nb::handle path) { return array_of({Image::open(path_of(path))}); },
      nb::arg("path"), nb::sig("def open_image(path: str | os.PathLike) -> numpy.ndarray"),
      "Reads a PNG, JPEG, WebP or BMP file as uint8 (1, H, W, C), upright by its EXIF "
      "orientation.");
  module.def(
      "save_png",
      [](nb::handle path, nb::handle image, const std::map<std::string, std::string>& text) {
        const std::vector<Image> images = images_of(image);
        if (images.size() != 1)
          raise<ArgumentError>("save_png: expected one picture, got ", images.size(),
                               "; 'rae.grid' joins several");
        images.front().save_png(path_of(path), text);
      },
      nb::arg("path"), nb::arg("image"), nb::arg("text") = std::map<std::string, std::string>(),
      nb::sig("def save_png(path: str | os.PathLike, image: object, text: dict[str, str] = {}) -> "
              "None"),
      "Writes a picture as a PNG file with pairs of text; it appears whole or not at all.");
  module.def(
      "grid",
      [](nb::handle images, index_t columns, index_t gap) {
        return array_of({Image::grid(images_of(images), columns, gap)});
      },
      nb::arg("images"), nb::arg("columns"), nb::arg("gap") = 2,
      nb::sig("def grid(images: object, columns: int, gap: int = 2) -> numpy.ndarray"),
      "Pictures of equal size in rows, with `gap` white pixels between them: uint8 (1, H, W, C).");
  module.def(
      "read_png_text", [](nb::handle path) { return read_png_text(path_of(path)); },
      nb::arg("path"), nb::sig("def read_png_text(path: str | os.PathLike) -> dict[str, str]"),
      "The pairs of text in a PNG file.");
  bind_sampling(module);
  bind_generator(module);
  bind_autoencoder(module);
  bind_training(module);
}
