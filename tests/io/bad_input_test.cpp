// Every reader of files with every kind of wrong file: missing, a folder, empty, truncated at any
// place, or of another format. Damage that is specific to one format is tested with that format.
#include <gtest/gtest.h>

#include <functional>

#include "rae/io/cifar.hpp"
#include "rae/io/config.hpp"
#include "rae/io/idx.hpp"
#include "rae/io/image.hpp"
#include "rae/io/npz.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/io/tensor_source.hpp"
#include "rae/io/torch_checkpoint.hpp"
#include "support/cifar_files.hpp"
#include "support/golden.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

struct Reader {
  std::string name;   // also the extension of the file
  std::string whole;  // contents of a valid file
  std::function<void(const std::string& path)> read;
};

std::vector<Reader> readers() {
  const auto picture = [](const std::string& path) { (void)Image::open(path); };
  const auto images = [](const std::string& path) { (void)read_idx_images(path); };
  const auto checkpoint = [](const std::string& path) { (void)TorchCheckpoint::open(path); };
  const auto source = [](const std::string& path) { (void)TensorSource::open(path); };
  return {
      {"safetensors", slurp(data_path("golden/latent_stats/io.safetensors")),
       [](const std::string& path) { (void)SafetensorsFile::open(path); }},
      {"idx3", idx_images(3, 4, 5), images},
      {"idx3.gz", gzip(idx_images(3, 4, 5)), images},
      {"idx1", idx_labels({3, 1, 2}), [](const std::string& path) { (void)read_idx_labels(path); }},
      {"cifar10", cifar10_records({9}),
       [](const std::string& path) {
         (void)CifarRecords(MappedFile(path).bytes(), Cifar::cifar10, path);
       }},
      {"png", slurp(data_path("io/data/rgb.png")), picture},
      {"jpg", slurp(data_path("io/data/baseline.jpg")), picture},
      {"progressive.jpg", slurp(data_path("io/data/progressive.jpg")), picture},
      {"npz", slurp(data_path("io/data/deflated.npz")),
       [](const std::string& path) { (void)NpzFile::open(path); }},
      {"npy", slurp(data_path("io/data/plain.npy")),
       [](const std::string& path) { (void)read_npy(path); }},
      {"torch.pt", slurp(data_path("golden/ckpt_formats/raw_zip.pt")), checkpoint},
      {"torch.pth", slurp(data_path("golden/ckpt_formats/legacy.pth")), checkpoint},
      {"source.safetensors", slurp(data_path("golden/latent_stats/io.safetensors")), source},
      {"source.pt", slurp(data_path("golden/ckpt_formats/raw_zip.pt")), source},
      {"source.pth", slurp(data_path("golden/ckpt_formats/legacy.pth")), source},
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

TEST(BadInput, ValidFilesAreRead) {
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

// Files of a few bytes that begin like one of the formats.
TEST(BadInput, FilesOfAFewBytes) {
  const TempFolder folder;
  for (const Reader& reader : readers()) {
    for (const char* begin :
         {"\x80\x02\x8a\x0a\x6c", "PK\x03\x04\x14", "\x93NUMPY", "\x1f\x8b\x08", "\x89PNG\r\n",
          "\xff\xd8\xff\xe0", "BM\x10", "{\"a\":", "\xef\xbb\xbf{"}) {
      const std::string_view all(begin);
      for (std::size_t size = 0; size <= all.size(); ++size)
        expect_refused(reader, folder.write("few." + reader.name, std::string(all.substr(0, size))),
                       concat(size, " bytes"));
    }
  }
}

TEST(BadInput, GitLfsPointersAreNamed) {
  const TempFolder folder;
  for (const Reader& reader : readers()) {
    const std::string path =
        folder.write("pointer." + reader.name,
                     "version https://git-lfs.github.com/spec/v1\n"
                     "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258d"
                     "aaa5e2ca24d17e2393\nsize 1234567\n");
    const std::string message = message_of<FormatError>([&] { reader.read(path); });
    for (const std::string& part : {path, std::string("git-lfs pointer"), std::string("1234567"),
                                    std::string("git lfs pull")})
      EXPECT_NE(message.find(part), std::string::npos) << reader.name << ": " << message;
  }
}

// Every reader says what was saved in place of the file, and how to fetch the file.
TEST(BadInput, PagesAndMessagesOfServersAreNamed) {
  const TempFolder folder;
  const std::string page = "<html><body>Sign in</body></html>";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "is empty"},
      {"<!DOCTYPE html>\n" + page, "is an HTML page"},
      {"\xef\xbb\xbf \n" + page + std::string(10000, ' '), "is an HTML page"},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "is an XML page"},
      {"Entry not found", "the error message of a server, 'Entry not found'"},
      {"404: Not Found\n", "the error message of a server, '404: Not Found'"},
      {"Access to model x/y is restricted.", "the error message of a server, 'Access to model"},
      {"{\"error\":\"Repository not found\"}", "the error message of a server, '{\"error\""},
      {"{\n \"message\": \"Not Found\"}", "the error message of a server"},
  };
  for (const Reader& reader : readers())
    for (const auto& [contents, part] : cases) {
      const std::string path = folder.write("page." + reader.name, contents);
      const std::string message = message_of<FormatError>([&] { reader.read(path); });
      for (const std::string& piece : {path, part})
        EXPECT_NE(message.find(piece), std::string::npos) << reader.name << ": " << message;
      // An empty picture is hardly a failed download.
      if (!contents.empty()) {
        EXPECT_NE(message.find("hf download"), std::string::npos) << reader.name << ": " << message;
      }
    }
}

TEST(BadInput, AnArchiveWithoutACheckpointListsItsFiles) {
  const TempFolder folder;
  const std::string npz = slurp(data_path("io/data/deflated.npz"));
  const auto message =
      message_of<FormatError>([&] { (void)TensorSource::open(folder.write("model.pt", npz)); });
  EXPECT_NE(message.find("contains no NAME/data.pkl"), std::string::npos) << message;
  EXPECT_NE(message.find(".npy"), std::string::npos) << message;
}

TEST(BadInput, FilesOfAnotherFormat) {
  const TempFolder folder;
  const std::vector<Reader> all = readers();
  const auto is_picture = [](const std::string& name) {
    return name.ends_with("png") || name.ends_with("jpg");
  };
  const auto is_weights = [](const std::string& name) {
    return name.ends_with("safetensors") || name.ends_with("pt") || name.ends_with("pth");
  };
  for (const Reader& reader : all) {
    for (const Reader& other : all) {
      const bool same = other.name.substr(0, 4) == reader.name.substr(0, 4) ||
                        (is_weights(other.name) && reader.name.starts_with("source.")) ||
                        (other.name.starts_with("source.") && is_weights(reader.name)) ||
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
