// Passes every file of the corpora, and simple mutations of it, to the entry points of the fuzzers.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "fuzz/entries.hpp"
#include "rae/core/random.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

using Entry = void (*)(Bytes);

struct Reader {
  const char* name;
  Entry entry;
};

class Replay : public testing::TestWithParam<Reader> {};

std::vector<std::string> corpus(const std::string& reader) {
  std::vector<std::string> out;
  for (const auto& file : std::filesystem::directory_iterator(data_path("fuzz/corpus/" + reader)))
    out.push_back(file.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

TEST_P(Replay, Corpus) {
  const auto files = corpus(GetParam().name);
  ASSERT_GE(files.size(), 3u);
  for (const auto& file : files)
    EXPECT_NO_THROW(GetParam().entry(as_byte_span(slurp(file)))) << file;
}

TEST_P(Replay, Truncations) {
  for (const auto& file : corpus(GetParam().name)) {
    const auto contents = slurp(file);
    const std::size_t step = 1 + contents.size() / 60;
    for (std::size_t size = 0; size < contents.size(); size += step)
      EXPECT_NO_THROW(GetParam().entry(as_byte_span(std::string_view(contents).substr(0, size))))
          << file << " cut to " << size;
  }
}

TEST_P(Replay, ChangedBytes) {
  std::uint64_t draw = 0;
  const Philox random(1);
  for (const auto& file : corpus(GetParam().name)) {
    const auto contents = slurp(file);
    if (contents.empty()) continue;
    for (int round = 0; round < 60; ++round) {
      auto changed = contents;
      for (int i = 0; i < 3; ++i) {
        const std::size_t at = random.below(draw++, changed.size());
        changed[at] = static_cast<char>(random.bits(draw++) & 0xffu);
      }
      EXPECT_NO_THROW(GetParam().entry(as_byte_span(changed))) << file << " round " << round;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Readers, Replay,
                         testing::Values(Reader{"safetensors", fuzz_safetensors},
                                         Reader{"packed_weights", fuzz_packed_weights},
                                         Reader{"idx", fuzz_idx}, Reader{"cifar", fuzz_cifar},
                                         Reader{"image", fuzz_image}, Reader{"config", fuzz_config},
                                         Reader{"npz", fuzz_npz},
                                         Reader{"torch_checkpoint", fuzz_torch_checkpoint},
                                         Reader{"shard_index", fuzz_shard_index},
                                         Reader{"pretrained_config", fuzz_pretrained_config},
                                         Reader{"data_manifest", fuzz_data_manifest}),
                         [](const auto& reader) { return std::string(reader.param.name); });

}  // namespace
}  // namespace rae::test
