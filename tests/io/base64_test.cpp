#include "io/base64.hpp"

#include <gtest/gtest.h>

namespace rae::test {
namespace {

std::string encoded(std::string_view text) {
  return detail::base64(std::as_bytes(std::span(text)));
}

std::optional<std::string> decoded(std::string_view text) {
  const auto bytes = detail::parse_base64(text);
  if (!bytes) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

TEST(Base64, TestVectorsOfTheStandard) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, letters] : vectors) {
    EXPECT_EQ(encoded(plain), letters);
    EXPECT_EQ(decoded(letters), plain);
  }
}

TEST(Base64, EveryByteComesBack) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (std::size_t size = 250; size <= all.size(); ++size)
    EXPECT_EQ(decoded(encoded(all.substr(0, size))), all.substr(0, size));
}

TEST(Base64, RefusesEverythingElse) {
  for (const char* wrong : {"Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm-v", "Zm_v",
                            "Zm 9", "=m9v", "Zh==", "Zm9=", "Zg=g"})
    EXPECT_FALSE(decoded(wrong)) << wrong;
}

}  // namespace
}  // namespace rae::test
