// Draws a small data set to try a training: coloured circles, squares and triangles.
//   example_draw_shapes FOLDER [PICTURES_PER_CLASS]
// FOLDER/train gets so many pictures of each class (100), FOLDER/test a fifth as many.
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <rae/core/random.hpp>
#include <rae/rae.hpp>
#include <string>

constexpr rae::index_t kSide = 64;

// Whether (x, y), relative to the centre, is inside of a shape of radius `r`.
bool inside(const std::string& shape, double x, double y, double r) {
  if (shape == "circle") return x * x + y * y < r * r;
  if (shape == "square") return std::max(std::abs(x), std::abs(y)) < 0.85 * r;
  return y > -r && y < 0.8 * r && std::abs(x) < 0.6 * (y + r);  // triangle
}

// A shape of random colour, size and place on a dark ground.
rae::Image draw(const std::string& shape, const rae::Philox& random) {
  const auto between = [&](std::uint64_t k, double low, double high) {
    return low + (high - low) * static_cast<double>(random.uniform(k));
  };
  const double radius = between(0, 12, 20), x0 = between(1, 24, 40), y0 = between(2, 24, 40);
  const double ground = between(3, 30, 90);
  double colour[3];
  for (int c = 0; c < 3; ++c)
    colour[c] = random.uniform(static_cast<std::uint64_t>(4 + c)) < 0.6f
                    ? between(static_cast<std::uint64_t>(8 + c), 120, 255)
                    : between(static_cast<std::uint64_t>(8 + c), 0, 60);
  rae::Image image(kSide, kSide, 3);
  for (rae::index_t i = 0; i < kSide * kSide; ++i) {
    const double x = static_cast<double>(i % kSide) - x0, y = static_cast<double>(i / kSide) - y0;
    for (rae::index_t c = 0; c < 3; ++c)
      image.pixels()[static_cast<std::size_t>(3 * i + c)] =
          static_cast<std::uint8_t>(inside(shape, x, y, radius) ? colour[c] : ground);
  }
  return image;
}

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: %s FOLDER [PICTURES_PER_CLASS]\n", argv[0]);
    return 2;
  }
  try {
    const int count = argc == 3 ? std::stoi(argv[2]) : 100;
    std::uint64_t number = 0;
    for (const std::string part : {"train", "test"})
      for (const std::string shape : {"circle", "square", "triangle"}) {
        const auto folder = std::filesystem::path(argv[1]) / part / shape;
        std::filesystem::create_directories(folder);
        for (int i = 0; i < (part == "train" ? count : std::max(1, count / 5)); ++i)
          draw(shape, rae::Philox(1, number++))
              .save_png((folder / (std::to_string(i) + ".png")).string());
      }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
