#include "capi/image.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace rae::capi {
namespace {

/// The layout of one pixel.
struct PixelLayout {
  int channels = 1;
  bool reversed = false;  // blue first
  bool floats = false;
  [[nodiscard]] std::ptrdiff_t bytes() const {
    return channels * static_cast<std::ptrdiff_t>(floats ? sizeof(float) : 1);
  }
};

PixelLayout layout_of(int format) {
  switch (format) {
    case RAE_PIXELS_GRAY8: return {1, false, false};
    case RAE_PIXELS_RGB8: return {3, false, false};
    case RAE_PIXELS_BGR8: return {3, true, false};
    case RAE_PIXELS_GRAY_F32: return {1, false, true};
    case RAE_PIXELS_RGB_F32: return {3, false, true};
    case RAE_PIXELS_BGR_F32: return {3, true, true};
    default: raise<ArgumentError>("format: expected a rae_pixel_format, got ", format);
  }
}

/// Calls put(x, y, c, sample) for every sample, where c = 0 is gray or red and `sample` is its
/// address, of any alignment.
template <class Put>
void for_samples(const unsigned char* rows, const PixelLayout& layout, std::ptrdiff_t stride,
                 index_t width, index_t height, Put put) {
  const std::ptrdiff_t sample_bytes = layout.bytes() / layout.channels;
  for (index_t y = 0; y < height; ++y) {
    const unsigned char* sample = rows + y * stride;
    for (index_t x = 0; x < width; ++x)
      for (int c = 0; c < layout.channels; ++c, sample += sample_bytes)
        put(x, y, layout.reversed ? layout.channels - 1 - c : c, sample);
  }
}

Image image_of(const void* pixels, int format, index_t width, index_t height,
               std::ptrdiff_t stride) {
  require_pointer(pixels, "pixels");
  const PixelLayout layout = layout_of(format);
  Image out(width, height, layout.channels);  // refuses sizes out of range
  const std::ptrdiff_t row = width * layout.bytes();
  if (stride == 0) stride = row;
  if (stride == std::numeric_limits<std::ptrdiff_t>::min() || std::abs(stride) < row)
    raise<ArgumentError>("row_stride: expected at least ", row, " bytes for ", width,
                         " pixels, got ", stride);
  const auto* rows = static_cast<const unsigned char*>(pixels);
  if (layout.floats) {
    Tensor<float> values(Shape{layout.channels, height, width});  // (C, H, W)
    float* target = values.data();
    for_samples(rows, layout, stride, width, height,
                [&](index_t x, index_t y, int c, const unsigned char* sample) {
                  std::memcpy(target + (c * height + y) * width + x, sample, sizeof(float));
                });
    return Image::from_tensor(values);
  }
  std::uint8_t* target = out.pixels().data();
  for_samples(rows, layout, stride, width, height,
              [&](index_t x, index_t y, int c, const unsigned char* sample) {
                target[(y * width + x) * layout.channels + c] = *sample;
              });
  return out;
}

}  // namespace

void clear_images(rae_image** images, std::size_t count) {
  require_pointer(images, "images");
  std::fill_n(images, count, nullptr);
}

void store_images(std::vector<Image> pictures,
                  const std::vector<std::map<std::string, std::string>>& texts,
                  rae_image** images) {
  std::size_t made = 0;
  try {
    for (; made < pictures.size(); ++made)
      images[made] = make_handle<ImageObject>(
          std::move(pictures[made]),
          texts.empty() ? std::map<std::string, std::string>() : texts[made]);
  } catch (...) {
    for (std::size_t i = 0; i < made; ++i) (void)free_handle<ImageObject>(images[i]);
    clear_images(images, pictures.size());
    throw;
  }
}

void require_count(std::size_t count, index_t expected) {
  if (count != static_cast<std::size_t>(expected))
    raise<ArgumentError>("count: expected an array for ", expected, " pictures, got ", count);
}

}  // namespace rae::capi

using namespace rae::capi;

rae_status rae_image_create(const void* pixels, int format, int64_t width, int64_t height,
                            ptrdiff_t row_stride, rae_image** image) {
  return guarded([&] {
    clear_images(image, 1);
    *image = make_handle<ImageObject>(image_of(pixels, format, width, height, row_stride));
  });
}

rae_status rae_image_load(const char* path, rae_image** image) {
  return guarded([&] {
    clear_images(image, 1);
    require_pointer(path, "path");
    *image = make_handle<ImageObject>(rae::Image::open(path));
  });
}

rae_status rae_image_save(const rae_image* image, const char* path) {
  return guarded([&] {
    const auto object = object_of<ImageObject>(image);
    require_pointer(path, "path");
    object->image.save_png(path, object->text);
  });
}

rae_status rae_image_size(const rae_image* image, int64_t* width, int64_t* height,
                          int64_t* channels) {
  return guarded([&] {
    const auto object = object_of<ImageObject>(image);
    if (width != nullptr) *width = object->image.width();
    if (height != nullptr) *height = object->image.height();
    if (channels != nullptr) *channels = object->image.channels();
  });
}

rae_status rae_image_data(const rae_image* image, const uint8_t** samples, size_t* count) {
  return guarded([&] {
    require_pointer(samples, "samples");
    *samples = nullptr;
    if (count != nullptr) *count = 0;
    const auto pixels = object_of<ImageObject>(image)->image.pixels();
    *samples = pixels.data();
    if (count != nullptr) *count = pixels.size();
  });
}

rae_status rae_image_free(rae_image* image) { return free_handle<ImageObject>(image); }
