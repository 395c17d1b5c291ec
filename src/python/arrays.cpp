#include "python/arrays.hpp"

#include <nanobind/stl/string.h>

#include <array>
#include <memory>
#include <utility>

#include "rae/error.hpp"

namespace rae::python {
namespace {

using Bytes = nb::ndarray<nb::numpy, const std::uint8_t, nb::c_contig>;
using Floats = nb::ndarray<nb::numpy, const float, nb::c_contig>;

/// Frees an object when Python no longer needs it.
template <class T>
nb::capsule owner_of(std::unique_ptr<T> object) {
  nb::capsule out(object.get(), [](void* p) noexcept { delete static_cast<T*>(p); });
  object.release();
  return out;
}

nb::module_ numpy() { return nb::module_::import_("numpy"); }

/// str(object.name)
std::string text_of(nb::handle object, const char* name) {
  const nb::object value = object.attr(name);
  return nb::str(value).c_str();
}

std::uint8_t sample_of(std::uint8_t value) { return value; }
std::uint8_t sample_of(float value) {
  if (!math::is_finite(value))
    raise<NumericError>("images: a sample is not finite; expected numbers in [0, 1]");
  if (value < 0 || value > 1)
    raise<ArgumentError>("images: expected floats in [0, 1], got ", value,
                         "; divide 8-bit samples by 255, or give an array of uint8");
  return static_cast<std::uint8_t>(value * 255.0f + 0.5f);
}

/// Adds the pictures of an array (N, H, W, C).
template <class Array>
void add_pictures(const Array& array, std::vector<Image>& out) {
  const auto extent = [&](std::size_t i) { return static_cast<index_t>(array.shape(i)); };
  const auto* from = array.data();
  for (index_t n = 0; n < extent(0); ++n) {
    Image image(extent(2), extent(1), static_cast<int>(extent(3)));
    for (std::uint8_t& sample : image.pixels()) sample = sample_of(*from++);
    out.push_back(std::move(image));
  }
}

/// Adds the pictures of any object that numpy can read.
void add_array(nb::handle object, std::vector<Image>& out) {
  nb::object array = numpy().attr("asarray")(object);
  const auto kind = nb::cast<std::string>(array.attr("dtype").attr("kind"));
  const auto size = nb::cast<int>(array.attr("dtype").attr("itemsize"));
  const bool bytes = kind == "u" && size == 1, boolean = kind == "b";
  if (!bytes && !boolean && kind != "f")
    raise<ArgumentError>("images: expected an array of uint8 or floats, a path or a picture, got ",
                         text_of(array, "dtype"));
  const auto rank = nb::cast<int>(array.attr("ndim"));
  if (rank == 2)
    array = array.attr("__getitem__")(nb::make_tuple(nb::none(), nb::ellipsis(), nb::none()));
  if (rank == 3) array = array.attr("__getitem__")(nb::none());
  if (rank < 2 || rank > 4)
    raise<ShapeError>("images: expected (N, H, W, C), (H, W, C) or (H, W), got ",
                      text_of(array, "shape"));
  const auto channels = nb::cast<index_t>(array.attr("shape").attr("__getitem__")(3));
  if (channels != 1 && channels != 3)
    raise<ShapeError>("images: expected 1 or 3 channels in the last dimension, got ",
                      text_of(array, "shape"));
  if (boolean) array = array.attr("astype")("float32");
  const char* type = bytes ? "uint8" : "float32";
  array = numpy().attr("ascontiguousarray")(array, type);
  if (bytes)
    add_pictures(nb::cast<Bytes>(array), out);
  else
    add_pictures(nb::cast<Floats>(array), out);
}

void add_object(nb::handle object, std::vector<Image>& out) {
  if (nb::isinstance<nb::str>(object) || nb::hasattr(object, "__fspath__"))
    out.push_back(Image::open(path_of(object)));
  else if (nb::isinstance<nb::list>(object) || nb::isinstance<nb::tuple>(object))
    for (const nb::handle element : object) add_object(element, out);
  else
    add_array(object, out);
}

}  // namespace

Tensor<float> tensor_of(const FloatArray& array, const char* name) {
  if (array.ndim() != 4)
    raise<ShapeError>(name, ": expected an array (B, C, h, w), got ", array.ndim(), " dimensions");
  std::array<index_t, 4> extents{};
  for (std::size_t i = 0; i < 4; ++i) extents[i] = static_cast<index_t>(array.shape(i));
  return Tensor<float>(Shape(extents), {array.data(), array.size()});
}

FloatResult array_of(Tensor<float> tensor) {
  auto held = std::make_unique<Tensor<float>>(std::move(tensor));
  std::array<std::size_t, kMaxRank> shape{};
  const auto rank = static_cast<std::size_t>(held->rank());
  for (std::size_t i = 0; i < rank; ++i)
    shape[i] = static_cast<std::size_t>(held->extent(static_cast<int>(i)));
  float* const elements = held->data();
  return {elements, rank, shape.data(), owner_of(std::move(held))};
}

PictureResult array_of(const std::vector<Image>& images) {
  const Image first = images.empty() ? Image() : images.front();
  const std::size_t count = first.pixels().size();
  auto held = std::make_unique<std::vector<std::uint8_t>>();
  held->reserve(count * images.size());
  for (const Image& image : images)
    held->insert(held->end(), image.pixels().begin(), image.pixels().end());
  const std::array shape{images.size(), static_cast<std::size_t>(first.height()),
                         static_cast<std::size_t>(first.width()),
                         static_cast<std::size_t>(first.channels())};
  std::uint8_t* const samples = held->data();
  return {samples, shape.size(), shape.data(), owner_of(std::move(held))};
}

std::vector<Image> images_of(nb::handle object) {
  std::vector<Image> out;
  add_object(object, out);
  return out;
}

std::string path_of(nb::handle object) {
  return nb::cast<std::string>(nb::module_::import_("os").attr("fspath")(object));
}

}  // namespace rae::python
