// rae.Generator.
#include "rae/generate/generator.hpp"

#include <nanobind/stl/map.h>
#include <nanobind/stl/vector.h>

#include "python/model_class.hpp"
#include "python/module.hpp"

namespace rae::python {
namespace {

#define RAE_SAMPLE_ARGUMENTS                                                                     \
  "(self, labels: object, *, seed: int = 0, first_index: int = 0, steps: int = 0, "              \
  "kind: str | None = None, grid: str | None = None, solver: str | None = None, "                \
  "atol: float | None = None, rtol: float | None = None, sde: SdeOptions | None = None, "        \
  "guidance: float | Cfg | None = None, autoguidance: float | AutoGuidance | None = None, "      \
  "internal_guidance: float | InternalGuidance | None = None, rng: str = 'philox', "             \
  "batch_size: int = 0, noise: numpy.ndarray | None = None, init: numpy.ndarray | None = None, " \
  "strength: float = 1, mask: numpy.ndarray | None = None, reuse_error: float = 0, "             \
  "report: SamplingReport | None = None, "                                                       \
  "on_step: collections.abc.Callable[[StepInfo], bool | None] | None = None, "                   \
  "preset: str | None = None) -> "

PictureResult sample(const Generator& self, nb::handle labels, const nb::kwargs& options) {
  Interrupts interrupts;
  const GenerateOptions how = generate_options(labels, options, self, interrupts);
  return array_of(call_interruptible(interrupts, [&] { return self.sample(how); }));
}

FloatResult sample_latents(const Generator& self, nb::handle labels, const nb::kwargs& options) {
  Interrupts interrupts;
  const GenerateOptions how = generate_options(labels, options, self, interrupts);
  return array_of(call_interruptible(interrupts, [&] { return self.sample_latents(how); }));
}

nb::object png_text(const Generator& self, nb::handle labels, std::size_t i,
                    const nb::kwargs& options) {
  Interrupts interrupts;
  return nb::cast(self.png_text(generate_options(labels, options, self, interrupts), i));
}

FloatResult velocity(const Generator& self, const FloatArray& x, float t, nb::handle labels) {
  const Tensor<float> state = tensor_of(x, "x");  // (B, C, h, w)
  const std::vector<std::int64_t> classes = labels_of(labels, self);
  return array_of(call_interruptible([&] { return self.velocity(state, t, classes); }));
}

}  // namespace

void bind_generator(nb::module_& module) {
  model_class<Generator>(module, "Generator",
                         "A diffusion network with the decoder of its latents. Threads may share "
                         "one; each call runs without Python's global lock.")
      .def("sample", &sample, nb::arg("labels"), nb::arg("options"),
           nb::sig("def sample" RAE_SAMPLE_ARGUMENTS "numpy.ndarray"),
           "One picture for each label, a number or a name: uint8 (N, H, W, C). Absent options "
           "have the model's defaults. `guidance=1` switches guidance off. `init` are latents "
           "(N, C, h, w) to begin with, `strength` the share of the steps that are taken, `mask` "
           "(N, 1, h, w) is 1 for tokens that may change. `preset` is \"exact\", \"balanced\" or "
           "\"fast\". `on_step` may return "
           "False to stop, which raises Cancelled.")
      .def("sample_latents", &sample_latents, nb::arg("labels"), nb::arg("options"),
           nb::sig("def sample_latents" RAE_SAMPLE_ARGUMENTS "numpy.ndarray"),
           "The normalised latents of those pictures: float32 (N, C, h, w).")
      .def("png_text", &png_text, nb::arg("labels"), nb::arg("i"), nb::arg("options"),
           nb::sig("def png_text(self, labels: object, i: int, **options: object) -> dict[str, "
                   "str]"),
           "Settings that reproduce picture `i` of `sample(labels, **options)`.")
      .def("velocity", &velocity, nb::arg("x"), nb::arg("t"), nb::arg("labels"),
           nb::sig("def velocity(self, x: numpy.ndarray, t: float, labels: object) -> "
                   "numpy.ndarray"),
           "The output of the diffusion network without guidance at states x (B, C, h, w) and a "
           "time t in [0, 1], where 1 is noise: float32 (B, C, h, w). The label `num_classes` "
           "is \"no class\", if the model has that.")
      .def(
          "noise",
          [](const Generator& self, std::uint64_t seed, index_t count, std::uint64_t first_index,
             const std::string& rng) {
            return array_of(self.noise(seed, count, first_index, parse_rng(rng)));
          },
          nb::arg("seed"), nb::arg("count"), nb::arg("first_index") = 0, nb::arg("rng") = "philox",
          nb::sig("def noise(self, seed: int, count: int, first_index: int = 0, rng: str = "
                  "'philox') -> numpy.ndarray"),
          "The noise from which `sample` starts: float32 (count, C, h, w).")
      .def("label_of", &Generator::label_of, nb::arg("name"),
           "The class of a name, in any case, or of a number (\"7\").")
      .def_prop_ro("num_classes", &Generator::num_classes)
      .def_prop_ro("class_names", &Generator::class_names,
                   "Names of the classes; empty when the model has none.")
      .def_prop_ro(
          "dtype", [](const Generator& self) { return std::string(self.type_name()); },
          "The type of the weights in matrix products.");
}

}  // namespace rae::python
