// The AMX instructions in plain loops, for processors without them: included before
// kernels/isa_avx512_amx.cpp, which then uses them for its tiles.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TILELOADD,
// TDPBF16PS and TDPBUSD. A shape that the processor would refuse aborts the program.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace rae::testing {

struct TileRegisters {
  struct {
    int rows = 0, bytes = 0;
    unsigned char data[16][64] = {};
  } tile[8];

  static TileRegisters& mine() {
    static thread_local TileRegisters registers;
    return registers;
  }

  void configure(const void* shapes) {
    unsigned char all[64];
    std::memcpy(all, shapes, sizeof all);
    if (all[0] != 1) std::abort();  // palette
    for (int t = 0; t < 8; ++t) {
      tile[t] = {};
      tile[t].bytes = all[16 + 2 * t] + 256 * all[17 + 2 * t];
      tile[t].rows = all[48 + t];
      if (tile[t].rows > 16 || tile[t].bytes > 64 || (tile[t].rows == 0) != (tile[t].bytes == 0))
        std::abort();
    }
  }
  void release() {
    for (auto& each : tile) each = {};
  }

  void load(int t, const void* from, long stride) {
    if (tile[t].rows == 0) std::abort();
    std::memset(tile[t].data, 0, sizeof tile[t].data);
    for (int r = 0; r < tile[t].rows; ++r)
      std::memcpy(tile[t].data[r], static_cast<const char*>(from) + r * stride,
                  static_cast<std::size_t>(tile[t].bytes));
  }
  void store(int t, void* to, long stride) const {
    if (tile[t].rows == 0) std::abort();
    for (int r = 0; r < tile[t].rows; ++r)
      std::memcpy(static_cast<char*>(to) + r * stride, tile[t].data[r],
                  static_cast<std::size_t>(tile[t].bytes));
  }

  template <class T>
  T& at(int t, int row, int column) {
    return *reinterpret_cast<T*>(tile[t].data[row] + column * static_cast<int>(sizeof(T)));
  }
  void require(int sum, int a, int b) const {
    if (tile[sum].rows == 0 || tile[a].rows != tile[sum].rows || tile[b].bytes != tile[sum].bytes ||
        tile[b].rows * 4 != tile[a].bytes)
      std::abort();
  }

  static float float_of(std::uint16_t bits) {
    const std::uint32_t word = std::uint32_t{bits} << 16;
    float x;
    std::memcpy(&x, &word, sizeof x);
    return x;
  }
  // Elements at even and odd positions along k are summed separately.
  void add_bf16(int sum, int a, int b) {
    require(sum, a, b);
    for (int m = 0; m < tile[sum].rows; ++m)
      for (int n = 0; n < tile[sum].bytes / 4; ++n) {
        float parts[2] = {};
        for (int k = 0; k < tile[a].bytes / 4; ++k)
          for (int i = 0; i < 2; ++i)
            parts[i] += float_of(at<std::uint16_t>(a, m, 2 * k + i)) *
                        float_of(at<std::uint16_t>(b, k, 2 * n + i));
        at<float>(sum, m, n) += parts[0] + parts[1];
      }
  }
  // a is unsigned, b is signed.
  void add_int8(int sum, int a, int b) {
    require(sum, a, b);
    for (int m = 0; m < tile[sum].rows; ++m)
      for (int n = 0; n < tile[sum].bytes / 4; ++n)
        for (int k = 0; k < tile[a].bytes; ++k)
          at<std::int32_t>(sum, m, n) +=
              at<std::uint8_t>(a, m, k) * at<std::int8_t>(b, k / 4, 4 * n + k % 4);
  }
};

}  // namespace rae::testing

#define RAE_TILE_CONFIGURE(shapes) ::rae::testing::TileRegisters::mine().configure(shapes)
#define RAE_TILE_RELEASE() ::rae::testing::TileRegisters::mine().release()
#define RAE_TILE_LOAD(t, p, bytes) ::rae::testing::TileRegisters::mine().load(t, p, bytes)
#define RAE_TILE_STORE(t, p, bytes) ::rae::testing::TileRegisters::mine().store(t, p, bytes)
#define RAE_TILE_BF16(sum, a, b) ::rae::testing::TileRegisters::mine().add_bf16(sum, a, b)
#define RAE_TILE_INT8(sum, a, b) ::rae::testing::TileRegisters::mine().add_int8(sum, a, b)
