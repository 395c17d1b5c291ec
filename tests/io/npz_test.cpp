#include "rae/io/npz.hpp"

#include <gtest/gtest.h>

#include "io/zip.hpp"
#include "rae/io/file.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

std::string array_file(const std::string& name) { return data_path("io/data/" + name); }

TEST(Npz, ReadsArraysOfNumPy) {
  const auto file = NpzFile::open(array_file("stored.npz"));
  EXPECT_TRUE(file.contains("arr_0"));
  EXPECT_FALSE(file.contains("arr_1"));
  const auto bytes = file.read<std::uint8_t>("arr_0");
  EXPECT_EQ(bytes.shape(), (Shape{2, 3, 4}));
  const auto f = file.read<float>("f");
  const auto d = file.read<double>("d");
  const auto i64 = file.read<std::int64_t>("i");
  const auto fortran = file.read<float>("fortran");
  const auto half = file.read<float>("half");
  const auto i32 = file.read<std::int32_t>("b");
  for (index_t i = 0; i < 24; ++i) {
    EXPECT_EQ(bytes[i], i);
    EXPECT_EQ(f[i], static_cast<float>(i) / 7.0f);
    EXPECT_EQ(d[i], static_cast<double>(i) / 3.0);
    EXPECT_EQ(i64[i], i - 5);
    EXPECT_EQ(fortran[i], static_cast<float>(i));
    EXPECT_EQ(half[i], static_cast<float>(i));
    EXPECT_EQ(i32[i], i);
  }
  EXPECT_EQ(file.read<double>("scalar").shape(), Shape{});
  EXPECT_EQ(file.read<double>("scalar")[0], 2.5);
  // Conversions.
  EXPECT_EQ(file.read<double>("f")[3], static_cast<double>(3.0f / 7.0f));
  EXPECT_EQ(file.read<std::int64_t>("arr_0")[23], 23);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)file.read<std::uint8_t>("i");
            }).find("stored.npz: i: -5 does not fit into uint8"),
            std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)file.read<float>("i");
            }).find("cannot read int64 as f32"),
            std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)file.read<float>("arr0");
            }).find("did you mean 'arr_0'?"),
            std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)file.read<float>("f", 100);
            }).find("more than the limit of 100"),
            std::string::npos);
}

TEST(Npz, ReadsCompressedArrays) {
  const auto file = NpzFile::open(array_file("deflated.npz"));
  EXPECT_EQ(file.names(), (std::vector<std::string>{"mu", "x"}));
  const auto mu = file.read<double>("mu");
  EXPECT_EQ(mu.shape(), Shape{300});
  EXPECT_EQ(mu[150], 0.5);
  EXPECT_EQ(file.read<std::uint8_t>("x").numel(), 2000);
  EXPECT_THROW((void)file.read_any("x", 1999), FormatError);
}

TEST(Npz, ReadsNpy) {
  const auto array = tensor_cast<float>(read_npy(array_file("plain.npy")), "plain");
  EXPECT_EQ(array.shape(), (Shape{3, 4}));
  EXPECT_EQ(array[11], 11.0f);
}

TEST(Npz, RefusesOtherTypes) {
  const auto file = NpzFile::open(array_file("unsupported.npz"));
  for (const char* name : {"c", "be", "o"}) {
    const auto message = message_of<FormatError>([&] { (void)file.read_any(name); });
    EXPECT_NE(message.find(std::string("unsupported.npz: ") + name), std::string::npos) << message;
    EXPECT_NE(message.find("not supported"), std::string::npos) << message;
  }
}

TEST(Npz, RoundTrips) {
  const TempFolder folder;
  const auto path = folder / "samples.npz";
  Tensor<std::uint8_t> samples({2, 4, 4, 3});  // (N, H, W, C)
  for (index_t i = 0; i < samples.numel(); ++i) samples[i] = static_cast<std::uint8_t>(i);
  write_npz(path, samples);
  const auto back = NpzFile::open(path);
  EXPECT_EQ(back.names(), std::vector<std::string>{"arr_0"});
  expect_close(back.read<std::uint8_t>("arr_0"), samples, 0.0);
  const auto first = slurp(path);
  write_npz(path, samples);
  EXPECT_EQ(slurp(path), first);

  const NpzEntry entries[] = {{"a", Tensor<float>(Shape{1}, 0.5f)},
                              {"b", Tensor<double>(Shape{}, 0.1)},
                              {"c", Tensor<std::int64_t>({2}, {1, -1})},
                              {"d", Tensor<std::int32_t>(Shape{0, 3})},
                              {"e", Tensor<f16>(Shape{2, 1}, f16(2.0f))}};
  write_npz(path, entries);
  const auto all = NpzFile::open(path);
  EXPECT_EQ(all.read<float>("a")[0], 0.5f);
  EXPECT_EQ(all.read<double>("b")[0], 0.1);
  EXPECT_EQ(all.read<std::int64_t>("c")[1], -1);
  EXPECT_EQ(all.read<std::int32_t>("d").shape(), (Shape{0, 3}));
  EXPECT_EQ(static_cast<float>(all.read<f16>("e")[1]), 2.0f);
  EXPECT_EQ(folder.entries().size(), 1u);
}

TEST(Npz, RefusesWrongWrites) {
  const TempFolder folder;
  const auto path = folder / "a.npz";
  const Tensor<float> x(Shape{1}, 0.0f);  // (1)
  const std::vector<NpzEntry> repeated = {{"a", x}, {"a", x}}, unnamed = {{"", x}},
                              empty = {{"a", Tensor<float>()}};
  const std::vector<NpzEntry> brain = {{"a", Tensor<bf16>(Shape{1})}};
  for (const auto& entries : {repeated, unnamed, empty, brain})
    EXPECT_THROW(write_npz(path, entries), ArgumentError);
  EXPECT_THROW(write_npz("/dev/full", x), FileError);
  EXPECT_THROW(write_npz(folder / "none/a.npz", x), FileError);
  EXPECT_TRUE(folder.entries().empty());
}

TEST(Npz, RefusesBadFiles) {
  const auto good = slurp(array_file("deflated.npz"));
  const auto with = [&](std::size_t at, std::string_view bytes) {
    auto out = good;
    return out.replace(at, bytes.size(), bytes);
  };
  const std::size_t end = good.size() - 22, directory = good.find("PK\1\2");
  const std::pair<std::string, const char*> cases[] = {
      {"", "is empty"},
      {"PK", "no end record"},
      {good.substr(0, good.size() - 1), "no end record"},
      {good + "x", "no end record"},
      {good.substr(10), "outside"},
      {with(end + 10, "\xfe\xff"), "directory is too short"},
      {with(end + 16, std::string("\xf0\xff\xff\x7f")), "outside the file"},
      {with(end + 12, std::string("\xff\xff\xff\xff")), "no zip64 locator"},
      {with(directory, "XX"), "wrong directory entry"},
      {with(directory + 28, "\xff\xff"), "wrong directory entry"},
      {with(directory + 8, "\1"), "encrypted"},
      {with(directory + 10, "\x0c"), "unknown method 12"},
      {with(directory + 10, std::string_view("\0", 1)), "two sizes"},
      {with(directory + 42, "\xff\xff\xff\x7f"), "outside the archive"},
      {with(directory + 20, "\xff\xff\xff\x7f"), "outside the archive"},
  };
  const TempFolder folder;
  for (const auto& [contents, expected] : cases) {
    const auto path = folder.write("bad.npz", contents);
    const auto message = message_of<FormatError>([&] { (void)NpzFile::open(path); });
    EXPECT_NE(message.find(expected), std::string::npos) << expected << ": " << message;
    EXPECT_NE(message.find("bad.npz"), std::string::npos) << message;
  }
  // The directory is valid, but the contents are not.
  const std::pair<std::string, const char*> inside[] = {
      {with(directory + 16, "abcd"), "wrong checksum"},
      {with(directory + 24, std::string("\x10\0\0\0", 4)), "more than 16 bytes"},
      {with(directory + 24, "\xff\xff\xff\x7f"), "but the directory declares"},
      {with(60, "\xff\xff\xff\xff\xff\xff"), ""},
  };
  for (const auto& [contents, expected] : inside) {
    const auto file = NpzFile::open(folder.write("bad.npz", contents));
    const auto message = message_of<FormatError>([&] { (void)file.read_any("mu"); });
    EXPECT_NE(message.find(expected), std::string::npos) << expected << ": " << message;
    EXPECT_NE(message.find("bad.npz"), std::string::npos) << message;
  }
  EXPECT_NE(
      message_of<FileError>([&] { (void)NpzFile::open(folder / "none.npz"); }).find("none.npz"),
      std::string::npos);
}

TEST(Npz, RefusesBadNpy) {
  const auto npy = [](std::string dictionary, std::size_t data) {
    std::string out = "\x93NUMPY";
    out += {1, 0, static_cast<char>(dictionary.size()), 0};
    return out + dictionary + std::string(data, '\0');
  };
  ASSERT_NO_THROW((void)parse_npy(
      as_byte_span(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", 8))));
  const std::pair<std::string, const char*> cases[] = {
      {"", "is empty"},
      {"\x93NUMPY\1", "not an .npy"},
      {"\x93NUMPX" + npy("{}", 9).substr(6), "not an .npy"},
      {"\x93NUMPY\7" + npy("{}", 9).substr(7), "unknown version 7"},
      {npy("{'descr': '<f4'", 0).substr(0, 20), "longer than the file"},
      {npy("{}", 8), "cannot understand"},
      {npy("[1, 2]", 8), "cannot understand"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", 8), "cannot understand"},
      {npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", 8), "cannot understand"},
      {npy("{'descr': '<f4', 'descr': '<f4', 'shape': (2,)}", 8), "cannot understand"},
      {npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", 8),
       "cannot understand"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", 8), "cannot understand"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,2)}", 8),
       "cannot understand"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8), "negative"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 8),
       "cannot understand"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 8),
       "too many"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,)}", 8),
       "needs 4000000000 bytes"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 7),
       "needs 8 bytes, the file has 7"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 9),
       "needs 8 bytes, the file has 9"},
      {npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", 8), "not supported"},
  };
  for (const auto& [contents, expected] : cases) {
    const auto& bytes = contents;
    const auto message =
        message_of<FormatError>([&] { (void)parse_npy(as_byte_span(bytes), "bad.npy"); });
    EXPECT_NE(message.find(expected), std::string::npos) << expected << ": " << message;
    EXPECT_EQ(message.rfind("bad.npy: ", 0), 0u) << message;
  }
}

TEST(Zip, RefusesFilesThatOverlap) {
  const std::string path = data_path("fuzz/corpus/npz/overlap.npz");
  EXPECT_NE(message_of<FormatError>([&] { (void)NpzFile::open(path); }).find("two files overlap"),
            std::string::npos);
}

TEST(Zip, WritesAndReadsWideSizes) {
  const TempFolder folder;
  const auto path = folder / "wide.zip";
  detail::ZipWriter writer(path, true);
  writer.add("a", {as_byte_span("one"), as_byte_span("two")});
  writer.add("b", {});
  writer.commit();
  const auto bytes = slurp(path);
  EXPECT_NE(bytes.find("PK\6\6"), std::string::npos);
  const detail::ZipReader reader(as_byte_span(bytes), "wide.zip");
  ASSERT_EQ(reader.entries().size(), 2u);
  EXPECT_EQ(as_text(reader.read(*reader.find("a"), 100)), "onetwo");
  EXPECT_TRUE(reader.read(*reader.find("b"), 100).empty());
}

}  // namespace
}  // namespace rae::test
