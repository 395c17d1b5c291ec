// libFuzzer target; see entries.hpp.
#include "fuzz/entries.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rae::test::fuzz_cifar(std::as_bytes(std::span(data, size)));
  return 0;
}
