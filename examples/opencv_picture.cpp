// A picture of OpenCV through an autoencoder and back, without files between the two libraries;
// built where OpenCV is found: example_opencv_picture IN OUT.png
#include <cstdio>
#include <exception>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <rae/rae.hpp>

namespace {

/// A copy of an 8-bit picture of OpenCV: blue first, rows perhaps with a gap.
rae::Image image_of(const cv::Mat& mat) {
  const auto row = static_cast<rae::index_t>(mat.step[0]);
  const rae::index_t channels = mat.channels();
  return rae::Image::from_view(
      rae::View<const std::uint8_t>(mat.data, {mat.rows, mat.cols, channels}, {row, channels, 1}),
      rae::ChannelOrder::bgr);
}

/// A copy of a picture for OpenCV, blue first. The order is exchanged by `from_view`.
cv::Mat mat_of(const rae::Image& image) {
  const rae::Image bgr = rae::Image::from_view(image.view(), rae::ChannelOrder::bgr);
  cv::Mat out(static_cast<int>(bgr.height()), static_cast<int>(bgr.width()),
              CV_8UC(bgr.channels()));
  for (rae::index_t y = 0; y < bgr.height(); ++y)
    for (rae::index_t x = 0; x < bgr.width(); ++x)
      for (rae::index_t c = 0; c < bgr.channels(); ++c)
        out.ptr(static_cast<int>(y))[x * bgr.channels() + c] = bgr.view()(y, x, c);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s IN OUT.png\n", argv[0]);
    return 2;
  }
  try {
    const cv::Mat picture = cv::imread(argv[1]);
    if (picture.empty()) throw rae::FileError(std::string("cannot read '") + argv[1] + "'");
    const auto autoencoder = rae::Autoencoder::builtin();
    const rae::Image again = autoencoder.reconstruct(image_of(picture));
    return cv::imwrite(argv[2], mat_of(again)) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
