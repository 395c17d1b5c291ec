// Every reader of files against every kind of wrong file: missing, a folder, empty, cut anywhere,
// or of another format. Damage that is particular to one format is in that format's test.
#include <gtest/gtest.h>

#include <functional>

#include "rae/io/config.hpp"
#include "rae/io/idx.hpp"
#include "rae/io/image.hpp"
#include "rae/io/npz.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/io/torch_checkpoint.hpp"
#include "support/golden.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

struct Reader {
  std::string name;   // also the file's extension
  std::string whole;  // a good file
  std::function<void(const std::string& path)> read;
};

std::vector<Reader> readers() {
  const auto picture = [](const std::string& path) { (void)Image::open(path); };
  const auto images = [](const std::string& path) { (void)read_idx_images(path); };
  const auto checkpoint = [](const std::string& path) { (void)TorchCheckpoint::open(path); };
  return {
      {"safetensors", slurp(data_path("golden/latent_stats/io.safetensors")),
       [](const std::string& path) { (void)SafetensorsFile::open(path); }},
      {"idx3", idx_images(3, 4, 5), images},
      {"idx3.gz", gzip(idx_images(3, 4, 5)), images},
      {"idx1", idx_labels({3, 1, 2}), [](const std::string& path) { (void)read_idx_labels(path); }},
      {"png", slurp(data_path("io/data/rgb.png")), picture},
      {"jpg", slurp(data_path("io/data/baseline.jpg")), picture},
      {"progressive.jpg", slurp(data_path("io/data/progressive.jpg")), picture},
      {"npz", slurp(data_path("io/data/deflated.npz")),
       [](const std::string& path) { (void)NpzFile::open(path); }},
      {"npy", slurp(data_path("io/data/plain.npy")),
       [](const std::string& path) { (void)read_npy(path); }},
      {"torch.pt", slurp(data_path("golden/ckpt_formats/raw_zip.pt")), checkpoint},
      {"torch.pth", slurp(data_path("golden/ckpt_formats/legacy.pth")), checkpoint},
      {"json", slurp(data_path("golden/ddt_train/config.json")),
       [](const std::string& path) { (void)ConfigNode::load(path); }},
  };
}

/// The reader must throw an Error that names the file.
void expect_refused(const Reader& reader, const std::string& path, const std::string& what) {
  const std::string message = message_of<Error>([&] { reader.read(path); });
  EXPECT_NE(message.find(path), std::string::npos)
      << reader.name << ", " << what << ": " << message;
}

TEST(BadInput, TheGoodFilesAreRead) {
  const TempFolder folder;
  for (const Reader& reader : readers())
    EXPECT_NO_THROW(reader.read(folder.write("good." + reader.name, reader.whole))) << reader.name;
}

TEST(BadInput, MissingFilesAndFolders) {
  const TempFolder folder;
  for (const Reader& reader : readers()) {
    expect_refused(reader, folder / ("missing." + reader.name), "missing");
    const std::string path = folder / ("folder." + reader.name);
    std::filesystem::create_directory(path);
    expect_refused(reader, path, "a folder");
  }
}

TEST(BadInput, TruncatedFiles) {
  const TempFolder folder;
  for (const Reader& reader : readers()) {
    const std::size_t all = reader.whole.size(), step = all / 37 + 1;
    for (std::size_t size = 0; size < all; size += size < 20 ? 1 : step)
      expect_refused(reader, folder.write("cut." + reader.name, reader.whole.substr(0, size)),
                     concat("cut to ", size, " of ", all));
    expect_refused(reader, folder.write("cut." + reader.name, reader.whole.substr(0, all - 1)),
                   "without its last byte");
  }
}

TEST(BadInput, FilesOfAnotherFormat) {
  const TempFolder folder;
  const std::vector<Reader> all = readers();
  const auto is_picture = [](const std::string& name) {
    return name.ends_with("png") || name.ends_with("jpg");
  };
  for (const Reader& reader : all) {
    for (const Reader& other : all) {
      const bool same = other.name.substr(0, 4) == reader.name.substr(0, 4) ||
                        (is_picture(reader.name) && is_picture(other.name));
      if (!same)
        expect_refused(reader, folder.write("other." + reader.name, other.whole),
                       "contents of " + other.name);
    }
    expect_refused(reader, folder.write("zeros." + reader.name, std::string(4096, '\0')), "zeros");
    expect_refused(reader, folder.write("ones." + reader.name, std::string(4096, '\xff')), "ones");
    expect_refused(reader,
                   folder.write("text." + reader.name,
                                "Lorem ipsum dolor sit amet, consectetur adipiscing elit."),
                   "text");
  }
}

}  // namespace
}  // namespace rae::test
