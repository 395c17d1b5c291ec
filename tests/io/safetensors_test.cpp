#include "rae/io/safetensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "rae/io/file.hpp"
#include "rae/io/safetensors_writer.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

/// Builds a file from its JSON header and the number of data bytes.
std::string file_of(std::string_view json, std::size_t data_bytes) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>((json.size() >> (8 * i)) & 0xff);
  out += json;
  return out + std::string(data_bytes, '\1');
}

TEST(Safetensors, ReadsAGoldenFile) {
  const Golden golden("ddt_official_flags/io.safetensors");
  const auto x = golden("x");
  EXPECT_EQ(x.rank(), 4);
  EXPECT_TRUE(all_finite(x.span()));
  EXPECT_EQ(golden.get<std::int64_t>("y").rank(), 1);
  EXPECT_EQ(golden.file().info("y").dtype, DType::int64);
  EXPECT_EQ(golden.file().bytes("x").size(), static_cast<std::size_t>(x.numel()) * 4);
  EXPECT_FALSE(golden.contains("no such tensor"));
}

TEST(Safetensors, RoundTripsEveryType) {
  const TempFolder folder;
  const auto path = folder / "all.safetensors";
  // (2, 3)
  const Tensor<float> f(
      {2, 3}, {1.0f, -2.5f, 0.0f, 1e-30f, 65504.0f, std::numeric_limits<float>::infinity()});
  const Tensor<double> d({2}, {0.1, -1e300});                        // (2)
  const Tensor<bf16> b({2}, {bf16(1.5f), bf16(-3.0f)});              // (2)
  const Tensor<f16> h({2}, {f16(1.5f), f16(-3.0f)});                 // (2)
  const Tensor<std::int64_t> i64({2}, {std::int64_t{1} << 40, -7});  // (2)
  const Tensor<std::int32_t> i32({1}, {-70000});                     // (1)
  const Tensor<std::uint8_t> u8({3}, {0, 128, 255});                 // (3)
  const Tensor<float> scalar(Shape{}, {4.0f});                       // ()
  const Tensor<float> none(Shape{0, 4});                             // (0, 4)
  const SafetensorsEntry entries[] = {{"u8", u8},   {"f", f},           {"d", d},
                                      {"b", b},     {"h", h},           {"i64", i64},
                                      {"i32", i32}, {"scalar", scalar}, {"none", none}};
  write_safetensors(path, entries, {{"format", "pt"}, {"quote\"", "a\nb"}});

  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(file.names().front(), "u8");
  EXPECT_EQ(file.names().size(), 9u);
  EXPECT_EQ(file.metadata(),
            (std::map<std::string, std::string>{{"format", "pt"}, {"quote\"", "a\nb"}}));
  const auto f_back = file.read<float>("f", {2, 3});
  for (index_t i = 0; i < f.numel(); ++i) EXPECT_EQ(f_back[i], f[i]) << i;
  EXPECT_EQ(file.read<double>("d")[1], -1e300);
  EXPECT_EQ(file.read<bf16>("b")[1], b[1]);
  EXPECT_EQ(file.read<f16>("h")[1], h[1]);
  EXPECT_EQ(file.read<std::int64_t>("i64")[0], std::int64_t{1} << 40);
  EXPECT_EQ(file.read<std::int32_t>("i32")[0], -70000);
  EXPECT_EQ(file.read<std::uint8_t>("u8")[2], 255);
  EXPECT_EQ(file.read<float>("scalar").shape(), Shape{});
  EXPECT_EQ(file.read<float>("none").shape(), (Shape{0, 4}));

  // Conversions: any float type to any other, integers to integers if the values fit, and nothing
  // between floats and integers.
  EXPECT_EQ(file.read<double>("b")[1], -3.0);
  EXPECT_EQ(static_cast<float>(file.read<f16>("f")[1]), -2.5f);
  EXPECT_EQ(file.read<std::int64_t>("u8")[2], 255);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)file.read<std::int32_t>("i64");
            }).find("does not fit into int32"),
            std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)file.read<float>("u8");
            }).find("cannot read uint8 as f32"),
            std::string::npos);
  EXPECT_THROW((void)file.read<std::int64_t>("f"), FormatError);

  // Equal tensors give equal bytes; the data begin at a multiple of 64.
  write_safetensors(folder / "again.safetensors", entries, {{"format", "pt"}, {"quote\"", "a\nb"}});
  EXPECT_EQ(slurp(path), slurp(folder / "again.safetensors"));
  EXPECT_EQ((8 + static_cast<unsigned char>(slurp(path)[0])) % 64, 0);
  EXPECT_EQ(folder.entries().size(), 2u);
}

TEST(Safetensors, StoresFloatsAsAnyFloatType) {
  const TempFolder folder;
  const auto path = folder / "a.safetensors";
  Tensor<float> x({70000});  // larger than the writer's buffer
  for (index_t i = 0; i < x.numel(); ++i) x.data()[i] = std::sin(static_cast<float>(i));
  const SafetensorsEntry entries[] = {
      {"half", x, DType::f16}, {"brain", x, DType::bf16}, {"double", x, DType::f64}};
  write_safetensors(path, entries);
  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(file.info("half").dtype, DType::f16);
  EXPECT_EQ(file.info("brain").dtype, DType::bf16);
  expect_close(file.read<float>("half"), convert<float>(convert<f16>(x)), 0.0);
  expect_close(file.read<float>("brain"), convert<float>(convert<bf16>(x)), 0.0);
  expect_close(file.read<float>("double"), x, 0.0);
}

TEST(Safetensors, MessagesNameTensorAndFile) {
  const TempFolder folder;
  const auto path = folder / "model.safetensors";
  const SafetensorsEntry entries[] = {{"blocks.0.weight", Tensor<float>(Shape{2, 3}, 1.0f)}};
  write_safetensors(path, entries);
  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(message_of<ShapeError>([&] {
              (void)file.read<float>("blocks.0.weight", {3, 2});
            }),
            "tensor blocks.0.weight in " + path + ": expected (3, 2), file has (2, 3)");
  EXPECT_EQ(message_of<FormatError>([&] { (void)file.read<float>("block.0.weight"); }),
            "tensor 'block.0.weight' is not in " + path +
                " (1 tensors); did you mean 'blocks.0.weight'?");
}

TEST(Safetensors, RefusesWrongWrites) {
  const TempFolder folder;
  const auto path = folder / "a.safetensors";
  const Tensor<float> x(Shape{2}, 0.0f);  // (2)
  const auto write = [&](std::vector<SafetensorsEntry> entries,
                         std::map<std::string, std::string> metadata = {}) {
    write_safetensors(path, entries, metadata);
  };
  EXPECT_THROW(write({{"a", x}, {"a", x}}), ArgumentError);
  EXPECT_THROW(write({{"", x}}), ArgumentError);
  EXPECT_THROW(write({{"__metadata__", x}}), ArgumentError);
  EXPECT_THROW(write({{"a", Tensor<float>()}}), ArgumentError);
  EXPECT_THROW(write({{"a", x, DType::int32}}), ArgumentError);
  EXPECT_THROW(write({{"a", Tensor<std::uint8_t>(Shape{1}, 0), DType::f32}}), ArgumentError);
  EXPECT_THROW(write({{"\xff", x}}), ArgumentError);
  EXPECT_THROW(write({{"a", x}}, {{"k", "\xff"}}), ArgumentError);
  EXPECT_TRUE(folder.entries().empty());
  const SafetensorsEntry entries[] = {{"a", x}};
  EXPECT_THROW(write_safetensors("/dev/full", entries), FileError);
  EXPECT_THROW(write_safetensors(folder / "none/a.safetensors", entries), FileError);
}

struct BadFile {
  const char* name;
  std::string contents;
  const char* message;
};

TEST(Safetensors, RefusesBadFiles) {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  ASSERT_NO_THROW((void)SafetensorsFile::parse(as_byte_span(file_of(good, 8))));
  const auto one = [](const char* dtype, const char* shape, const char* offsets) {
    return R"({"a":{"dtype":")" + std::string(dtype) + R"(","shape":)" + shape +
           R"(,"data_offsets":)" + offsets + "}}";
  };
  const auto two = [](const char* first, const char* second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + std::string(first) +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  std::string many_ones = "[1";
  for (int i = 0; i < 64; ++i) many_ones += ",1";
  many_ones += "]";
  const BadFile cases[] = {
      {"empty", "", "is empty"},
      {"short length", "abc", "truncated"},
      {"length beyond file", std::string("\xff\0\0\0\0\0\0\0{}", 10), "truncated"},
      {"huge length", std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10),
       "is this a safetensors file"},
      {"not JSON", file_of("{nonsense}", 0), "not valid JSON"},
      {"unfinished", file_of(R"({"a":{"dtype":"F32")", 8), "not valid JSON"},
      {"trailing text", file_of("{}{}", 0), "not valid JSON"},
      {"not UTF-8", file_of("{\"\xff\":1}", 0), "not valid JSON"},
      {"top is a list", file_of("[]", 0), "unexpected list"},
      {"top is a number", file_of("1", 0), "unexpected number"},
      {"tensor is null", file_of(R"({"a":null})", 0), "unexpected null"},
      {"tensor is a text", file_of(R"({"a":"b"})", 0), "unexpected string"},
      {"nested", file_of(R"({"a":{"dtype":{"x":1}}})", 0), "unexpected object"},
      {"deep", file_of(R"({"a":{"shape":)" + std::string(100000, '[') + "}}", 0),
       "unexpected list"},
      {"missing dtype", file_of(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8),
       "data_offsets are required"},
      {"missing shape", file_of(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8),
       "data_offsets are required"},
      {"missing offsets", file_of(R"({"a":{"dtype":"F32","shape":[2]}})", 8),
       "data_offsets are required"},
      {"unknown key", file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8),
       "unknown key 'x'"},
      {"unknown dtype beyond the data", file_of(one("F8_E4M3", "[2]", "[0,3]"), 2), "truncated"},
      {"unknown dtype and a hole", file_of(one("F8_E4M3", "[2]", "[1,2]"), 2), "there is a hole"},
      {"unknown dtype, reversed", file_of(one("F8_E4M3", "[2]", "[2,0]"), 2), "wrong order"},
      {"unknown dtype, repeated",
       file_of(R"({"a":{"dtype":"F8","dtype":"F8","shape":[0],"data_offsets":[0,0]}})", 0),
       "duplicate key 'dtype'"},
      {"dtype is a number", file_of(R"({"a":{"dtype":1}})", 0), "unexpected number"},
      {"negative extent", file_of(one("F32", "[-2]", "[0,8]"), 8), "negative"},
      {"fraction", file_of(one("F32", "[2.0]", "[0,8]"), 8), "fraction"},
      {"overflowing number", file_of(one("F32", "[99999999999999999999]", "[0,8]"), 8),
       "out of range"},
      {"number above 2^63", file_of(one("F32", "[18446744073709551615]", "[0,8]"), 8),
       "above 2^63"},
      {"overflowing product", file_of(one("F32", "[4294967296,4294967296]", "[0,0]"), 0),
       "too many elements"},
      {"overflow hidden by zero", file_of(one("F32", "[4294967296,4294967296,0]", "[0,0]"), 0),
       "too many elements"},
      {"rank 65", file_of(one("U8", many_ones.c_str(), "[0,1]"), 1), "more than 64"},
      {"one offset", file_of(one("F32", "[2]", "[8]"), 8), "needs two"},
      {"three offsets", file_of(one("F32", "[2]", "[0,8,8]"), 8), "more than 2"},
      {"reversed offsets", file_of(one("F32", "[2]", "[8,0]"), 8), "do not fit"},
      {"too few bytes", file_of(one("F32", "[2]", "[0,4]"), 4), "do not fit"},
      {"truncated data", file_of(good, 7), "truncated"},
      {"more data", file_of(good, 9), "after the last tensor"},
      {"no tensors but data", file_of("{}", 1), "after the last tensor"},
      {"overlap", file_of(two("[0,4]", "[2,6]"), 6), "overlap"},
      {"same place", file_of(two("[0,4]", "[0,4]"), 4), "overlap"},
      {"hole", file_of(two("[0,4]", "[5,9]"), 9), "hole"},
      {"duplicate name",
       file_of(
           R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
           0),
       "duplicate name 'a'"},
      {"duplicate key",
       file_of(R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0),
       "duplicate key 'dtype'"},
      {"metadata is a list", file_of(R"({"__metadata__":[]})", 0), "unexpected list"},
      {"metadata of numbers", file_of(R"({"__metadata__":{"a":1}})", 0), "unexpected number"},
      {"metadata twice", file_of(R"({"__metadata__":{"a":"1","a":"2"}})", 0), "duplicate key 'a'"},
  };
  const TempFolder folder;
  for (const auto& bad : cases) {
    const auto path = folder.write("bad.safetensors", bad.contents);
    const auto message = message_of<FormatError>([&] { (void)SafetensorsFile::open(path); });
    EXPECT_NE(message.find(bad.message), std::string::npos) << bad.name << ": " << message;
    EXPECT_NE(message.find("bad.safetensors"), std::string::npos) << bad.name << ": " << message;
  }
  EXPECT_THROW((void)SafetensorsFile::open(folder / "missing"), FileError);
  EXPECT_THROW((void)SafetensorsFile::open(folder.path()), FileError);
}

// A tensor that nobody needs does not block the others.
TEST(Safetensors, TensorsOfUnsupportedTypesAreUnreadable) {
  const std::string bytes =
      file_of(R"({"f8":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},)"
              R"("w":{"dtype":"F32","shape":[2],"data_offsets":[2,10]},)"
              R"("deep":{"dtype":"U8","shape":[1,1,1,1,1,1,1],"data_offsets":[10,11]}})",
              11);
  const auto file = SafetensorsFile::parse(as_byte_span(bytes), "f.safetensors");
  EXPECT_EQ(file.names(), (std::vector<std::string>{"w"}));
  EXPECT_EQ(file.read<float>("w").shape(), (Shape{2}));
  EXPECT_EQ(file.unreadable().size(), 2u);
  for (const auto& [name, part] :
       {std::pair("f8", "has the dtype 'F8_E4M3'"), std::pair("deep", "has rank 7; at most 6")}) {
    EXPECT_FALSE(file.contains(name));
    const auto message = message_of<FormatError>([&, &key = name] { (void)file.read<float>(key); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find("f.safetensors"), std::string::npos) << message;
  }
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const auto good = slurp(data_path("golden/latent_stats/io.safetensors"));
  ASSERT_FALSE(good.empty());
  for (std::size_t size = 0; size < good.size(); size += 1 + good.size() / 500)
    EXPECT_THROW((void)SafetensorsFile::parse(as_byte_span(std::string_view(good).substr(0, size))),
                 FormatError)
        << size;
}

TEST(SafetensorsWriter, WriterWritesTensorsOneByOne) {
  const TempFolder folder;
  const std::string path = folder / "f.safetensors";
  const std::vector<SafetensorsSlot> slots = {{"a", DType::bf16, {2, 3}}, {"b", DType::int64, {1}}};
  const Tensor<float> a(Shape{2, 3}, 1.5f);   // (2, 3)
  const Tensor<std::int64_t> b(Shape{1}, 7);  // (1)
  {
    SafetensorsWriter writer(path, slots, {{"k", "v"}});
    writer.write(a);
    EXPECT_THROW(writer.write(a), ArgumentError);  // floats where integers were declared
    EXPECT_THROW(writer.commit(), ArgumentError);
    EXPECT_THROW(writer.write(Tensor<std::int64_t>(Shape{2}, 7)), ShapeError);
    writer.write(b);
    EXPECT_THROW(writer.write(b), ArgumentError);
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.commit();
  }
  const std::vector<SafetensorsEntry> entries = {{"a", a, DType::bf16}, {"b", b}};
  write_safetensors(folder / "whole.safetensors", entries, {{"k", "v"}});
  EXPECT_EQ(slurp(path), slurp(folder / "whole.safetensors"));
  { SafetensorsWriter abandoned(folder / "none.safetensors", slots); }
  EXPECT_THROW(SafetensorsWriter(folder / "none.safetensors", {{"", DType::f32, {1}}}),
               ArgumentError);
  EXPECT_EQ(folder.entries().size(), 2u);
}

}  // namespace
}  // namespace rae::test
