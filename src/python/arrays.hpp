// Arrays and pictures of Python as those of the library, and back.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <string>
#include <vector>

#include "rae/core/tensor.hpp"
#include "rae/io/image.hpp"

namespace rae::python {

namespace nb = nanobind;

/// Floats in row-major order, of numpy or any library with DLPack.
using FloatArray = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
/// A result: an array of numpy, which owns its elements.
using FloatResult = nb::ndarray<nb::numpy, float>;
using PictureResult = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<4>>;

/// A copy of an array (B, C, h, w). Throws ShapeError for another rank.
[[nodiscard]] Tensor<float> tensor_of(const FloatArray& array, const char* name);

/// The elements of a tensor, which are not copied unless others share them.
[[nodiscard]] FloatResult array_of(Tensor<float> tensor);

/// Pictures of equal size as (N, H, W, C), C = 1 (gray) or 3 (RGB).
[[nodiscard]] PictureResult array_of(const std::vector<Image>& images);

/// Pictures of a Python object: an array of 8-bit samples or of floats in [0, 1], which are rounded
/// to 8 bits, of the shape (N, H, W, C), (H, W, C) or (H, W); a path; an object of Pillow; or a
/// sequence of these. Throws ArgumentError, ShapeError, NumericError, and as `Image::open`.
[[nodiscard]] std::vector<Image> images_of(nb::handle object);

/// A path: str or os.PathLike.
[[nodiscard]] std::string path_of(nb::handle object);

}  // namespace rae::python
