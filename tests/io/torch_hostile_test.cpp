// Malicious checkpoints: each is refused with a message that gives the reason, or its objects are
// skipped, and none makes the reader run code, read outside the file, or allocate more than the
// file justifies.
#include <gtest/gtest.h>

#include "rae/io/torch_checkpoint.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/torch_files.hpp"

namespace rae::test {
namespace {

using namespace torch;

struct Hostile {
  std::string what;
  std::string bytes;
  std::string message;
};

const std::string kSix(24, '\0');

/// An archive of one value, with the storage '0' of six floats.
std::string with(const std::string& value) { return saved(value, {{"0", kSix}}); }
/// The same, with the value as the only member of a dict.
std::string with_member(const std::string& value) { return with(dict({{"a", value}})); }
std::string repeated(const std::string& text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}
std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

std::vector<Hostile> code() {
  return {
      {"INST", with_member("(" + text("true") + "ios\nsystem\n"), "the opcode INST is not allowed"},
      {"OBJ", with_member("(" + global("collections", "OrderedDict") + "o"),
       "the opcode OBJ is not allowed"},
      {"NEWOBJ", with_member(global("collections", "OrderedDict") + ")\x81"),
       "the opcode NEWOBJ is not allowed"},
      {"EXT1", with_member("\x82\x01"), "the opcode EXT1 is not allowed"},
      {"PERSID", with_member("Pstorage\n"), "the opcode PERSID is not allowed"},
      {"unknown opcode", with_member("\xff"), "unknown opcode 255"},
      {"REDUCE of a string", with_member(text("os.system") + tuple({}) + "R"),
       "REDUCE of a string"},
      {"REDUCE of a storage's class",
       with_member(global("torch", "FloatStorage") + tuple({integer(9)}) + "R"),
       "REDUCE of a class of storages"},
      {"REDUCE with a list", with_member(global("collections", "OrderedDict") + "]R"),
       "arguments of REDUCE: expected a tuple, got a list"},
      {"a parameter of a number",
       with_member(global("torch._utils", "_rebuild_parameter") +
                   tuple({integer(1), kTrue, kOrderedDict}) + "R"),
       "_rebuild_parameter: expected a tensor, got an integer"},
      {"BUILD of a dict", with_member("}}b"), "BUILD of a plain dict"},
      {"BUILD of a tensor", with_member(tensor_of_six(0, {6}, {1}) + "}b"), "BUILD of a tensor"},
  };
}

std::vector<Hostile> structure() {
  const std::string deep = repeated("(", 100) + repeated("t", 100);
  std::string laughs = "]q" + std::string(1, '\0');
  for (char i = 1; i < 40; ++i)
    laughs +=
        std::string("](h") + static_cast<char>(i - 1) + "h" + static_cast<char>(i - 1) + "eq" + i;
  const std::string twice = dict({{"a", integer(1)}, {"a", integer(2)}});
  return {
      {"a list in itself",
       with_member("]q\x01h\x01"
                   "a"),
       "a container contains itself"},
      {"a dict in itself, below a list",
       with_member("}q\x01(" + text("b") +
                   "](h\x01"
                   "eu"),
       "a container contains itself"},
      {"too deep", with_member(deep), "nested more than 64 deep"},
      {"forty values", with(laughs), "it stops with 40 values"},
      {"a billion laughs", with(tuple({laughs})), "more than 1000000 values"},
      {"too many objects", with("(" + repeated("N", 1'000'001) + "t"), "more than 1000000 objects"},
      {"too large a stack", with("Nq\x01(" + repeated("h\x01", 1'000'001) + "t"),
       "more than 1000000 values on the stack"},
      {"too many marks", with(repeated("(", 1'000'001)), "too many marks"},
      {"an empty stack", with("a"), "the stack is empty"},
      {"below the mark", with("N(\x85t"), "the stack is empty"},
      {"no mark", with("t"), "a mark is missing"},
      {"stop in a mark", with("(N"), "it stops with an open mark"},
      {"nothing", with(""), "the stack is empty"},
      {"an unknown memo entry", with("j\xff\xff\xff\xff"), "the memo has no entry 4294967295"},
      {"a key without value", with("}(" + text("a") + "u"), "SETITEMS: a key without a value"},
      {"a list as a key", with(dict_of({{"]", "N"}})), "a key is a list"},
      {"a repeated key", with(twice), "the key 'a' appears twice"},
      {"a repeated key of two types", with(dict_of({{text("0"), "N"}, {integer(0), "N"}})),
       "the key '0' appears twice"},
      {"two paths to one name",
       with(dict({{"a.b", tensor_of_six(0, {6}, {1})},
                  {"a", dict({{"b", tensor_of_six(0, {6}, {1})}})}})),
       "two tensors are named 'a.b'"},
      {"a huge key", with(dict({{std::string(5000, 'k'), "N"}})), "a key of 5000 bytes"},
      {"a text beyond the file", with_member("X\xff\xff\xff\x7f"), "it ends early"},
      {"a text of 2^63 bytes", with_member("\x8d" + raw(std::uint64_t{1} << 63)), "it ends early"},
      {"a pickle that goes on", with("N."), "has bytes after its pickle"},
      {"protocol 0", archive({{"a/data.pkl", "I1\n."}}), "does not begin with a protocol"},
      {"protocol 9", archive({{"a/data.pkl", pickle("N", 9)}}), "protocol 9"},
  };
}

std::vector<Hostile> tensors() {
  constexpr std::int64_t kHuge = std::int64_t{1} << 40, kMost = std::int64_t{0x7fffffffffffffff};
  return {
      {"a huge shape", with_member(tensor_of_six(0, {kHuge}, {1})),
       "does not fit into its storage of 6 elements"},
      {"a shape that overflows", with_member(tensor_of_six(0, {kHuge, kHuge}, {kHuge, 1})),
       "too many elements"},
      {"a stride that overflows", with_member(tensor_of_six(0, {3, 2}, {kMost, 1})),
       "does not fit into its storage"},
      {"beyond the storage", with_member(tensor_of_six(1, {6}, {1})),
       "does not fit into its storage"},
      {"beyond the storage by strides", with_member(tensor_of_six(0, {2, 3}, {4, 1})),
       "does not fit into its storage"},
      {"a scalar beyond the storage", with_member(tensor_of_six(6, {}, {})),
       "does not fit into its storage"},
      {"a negative offset", with_member(tensor_of_six(-1, {2}, {1})),
       "does not fit into its storage"},
      {"a huge offset", with_member(tensor_of_six(kMost, {2}, {1})),
       "does not fit into its storage"},
      {"a negative stride", with_member(tensor_of_six(5, {6}, {-1})), "a negative stride -1"},
      {"a negative extent", with_member(tensor_of_six(0, {-6}, {1})), "a negative extent -6"},
      {"one stride too few", with_member(tensor_of_six(0, {2, 3}, {1})), "2 extents and 1 strides"},
      {"a huge storage", with_member(tensor(storage("FloatStorage", "0", kHuge), 0, {6}, {1})),
       "storage '0' has 24 bytes; expected 1099511627776"},
      {"a storage that overflows",
       with_member(tensor(storage("DoubleStorage", "0", kMost), 0, {6}, {1})),
       "a storage of 9223372036854775807"},
      {"a negative storage", with_member(tensor(storage("FloatStorage", "0", -1), 0, {0}, {1})),
       "a storage of -1 elements"},
      {"a storage too large", with_member(tensor(storage("DoubleStorage", "0", 6), 0, {6}, {1})),
       "storage '0' has 24 bytes; expected 6"},
      {"a storage too small", with_member(tensor(storage("ByteStorage", "0", 6), 0, {6}, {1})),
       "storage '0' has 24 bytes; expected 6"},
      {"two types of one storage",
       with(dict({{"a", tensor_of_six(0, {6}, {1})},
                  {"b", tensor(storage("IntStorage", "0", 6), 0, {6}, {1})}})),
       "has 6 elements of f32 and 6 of int32"},
      {"no storage", with_member(tensor(storage("FloatStorage", "1", 6), 0, {6}, {1})),
       "storage '1' is not in the archive"},
      {"path traversal",
       with_member(tensor(storage("FloatStorage", "../../../etc/passwd", 6), 0, {6}, {1})),
       "storage '../../../etc/passwd' is not in the archive"},
      {"another persistent id", with_member(tuple({text("module"), text("x")}) + "Q"),
       "the id of a storage: expected 5 or 6 parts"},
      {"a function as storage",
       with_member(tuple({text("storage"), global("collections", "OrderedDict"), text("0"),
                          text("cpu"), integer(6)}) +
                   "Q"),
       "expected a class of storages"},
      {"an object as storage",
       with_member(tuple({text("storage"), "\x8f", text("0"), text("cpu"), integer(6)}) + "Q"),
       "expected a class of storages"},
  };
}

std::vector<Hostile> archives() {
  const Files good = {{"a/data.pkl", pickle(dict({{"a", tensor_of_six(0, {6}, {1})}}))},
                      {"a/data/0", kSix}};
  const auto also = [&](const std::string& name, const std::string& contents = "") {
    Files files = good;
    files.emplace_back(name, contents);
    return archive(files);
  };
  const std::string checksum = replaced(archive(good), "cpu", "gpu");
  return {
      {"big-endian", also("a/byteorder", "big"), "big-endian machine"},
      {"unknown byte order", also("a/byteorder", "middle"), "unknown byteorder 'middle'"},
      {"a path upwards", also("a/../../b"), "the archive contains the path 'a/../../b'"},
      {"an absolute path", also("/etc/passwd"), "the archive contains the path '/etc/passwd'"},
      {"two folders", also("b/data.pkl"), "two data.pkl"},
      {"TorchScript", also("a/constants.pkl"), "TorchScript"},
      {"no pickle", archive({{"a/data/0", kSix}}), "no NAME/data.pkl"},
      {"a damaged pickle", checksum, "wrong checksum"},
      {"a compressed archive", slurp(data_path("fuzz/corpus/torch_checkpoint/bomb.pt")),
       "is compressed"},
      {"another file", "no checkpoint", "neither a zip archive nor a stream"},
  };
}

std::vector<Hostile> streams() {
  const std::string value = dict({{"a", tensor_of_six(0, {6}, {1})}});
  const std::string good = stream(value, {{"0", 6, kSix}});
  constexpr std::int64_t kHuge = std::int64_t{1} << 60;
  return {
      {"big-endian", stream(value, {{"0", 6, kSix}}, false), "big-endian machine"},
      {"another protocol", replaced(good, integer(1001), integer(1002)), "expected 1001"},
      {"no storage", stream(value, {}), "the list of storages does not contain '0'"},
      {"another storage", stream(value, {{"1", 6, kSix}}), "no tensor uses the storage '1'"},
      {"a storage twice", stream(value, {{"0", 6, kSix}, {"0", 6, kSix}}), "or it is listed twice"},
      {"another number of elements", stream(value, {{"0", 5, kSix}}),
       "storage '0' has 5 elements; expected 6"},
      {"a huge storage",
       stream(dict({{"a", tensor(storage("FloatStorage", "0", kHuge / 4), 0, {6}, {1})}}),
              {{"0", kHuge / 4, kSix}}),
       "is the file truncated?"},
      {"truncated", good.substr(0, good.size() - 1), "storage '0' has 23 bytes"},
      {"truncated before the storage", good.substr(0, good.size() - 30), "storage '0' is missing"},
      {"something after the end", good + "x", "1 bytes after the last storage"},
  };
}

void expect_refused(const std::vector<Hostile>& files) {
  for (const auto& file : files) {
    const auto message = message_of<FormatError>(
        [&] { (void)TorchCheckpoint::parse(as_byte_span(file.bytes), "evil.pt"); });
    EXPECT_NE(message.find(file.message), std::string::npos) << file.what << ": " << message;
    EXPECT_NE(message.find("evil.pt"), std::string::npos) << file.what << ": " << message;
  }
}

TEST(TorchHostile, Code) { expect_refused(code()); }
TEST(TorchHostile, Structure) { expect_refused(structure()); }
TEST(TorchHostile, Tensors) { expect_refused(tensors()); }
TEST(TorchHostile, Archives) { expect_refused(archives()); }
TEST(TorchHostile, Streams) { expect_refused(streams()); }

/// Objects that would run code, and tensors that would read outside of their storage, are skipped:
/// there is nothing to read under their names.
std::vector<Hostile> skipped() {
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  return {
      {"os.system", with_member(global("os", "system") + tuple({text("true")}) + "R"),
       "'os.system'"},
      {"posix.system", with_member("\x8c\x05posix\x8c\x06system\x93" + tuple({text("true")}) + "R"),
       "'posix.system'"},
      {"eval", with_member(global("builtins", "eval") + tuple({text("1")}) + "R"),
       "'builtins.eval'"},
      {"code in a stream",
       stream(dict({{"a", global("os", "system") + tuple({text("true")}) + "R"}}), {}),
       "'os.system'"},
      {"another class of torch", with_member(global("torch", "ComplexFloatStorage")),
       "'torch.ComplexFloatStorage'"},
      {"a class in the tree", with_member(global("torch", "FloatStorage")),
       "is a class or function"},
      {"a storage in the tree", with_member(storage("FloatStorage", "0", 6)), "is a storage"},
      {"bytes", with_member("C\x01x"), "is a byte string"},
      {"an integer of 255 bytes", with_member("\x8a\xff" + std::string(255, '1')),
       "is an integer of more than 64 bits"},
      {"a stride of zero", with_member(tensor_of_six(0, {kHuge}, {0})),
       "overlapping elements, a stride of 0"},
      {"rows that overlap", with_member(tensor_of_six(0, {2, 3}, {2, 1})),
       "overlapping elements, a stride of 2"},
      {"rank 7", with_member(tensor_of_six(0, {1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1})),
       "has rank 7"},
  };
}

TEST(TorchHostile, SkippedObjectsAreNotReadable) {
  for (const auto& file : skipped()) {
    SCOPED_TRACE(file.what);
    const auto checkpoint = TorchCheckpoint::parse(as_byte_span(file.bytes), "evil.pt");
    EXPECT_TRUE(checkpoint.names().empty());
    EXPECT_FALSE(checkpoint.contains("a"));
    for (const auto& message : {message_of<FormatError>([&] { (void)checkpoint.read<float>("a"); }),
                                message_of<FormatError>([&] { (void)checkpoint.state_dict(); })}) {
      EXPECT_NE(message.find(file.message), std::string::npos) << message;
      EXPECT_NE(message.find("evil.pt"), std::string::npos) << message;
    }
  }
}

TEST(TorchHostile, TheirValidCounterpartsAreRead) {
  const std::string zip = with_member(tensor_of_six(0, {6}, {1})),
                    old = stream(dict({{"a", tensor_of_six(0, {6}, {1})}}), {{"0", 6, kSix}});
  for (const auto& bytes : {zip, old})
    EXPECT_EQ(TorchCheckpoint::parse(as_byte_span(bytes)).read<float>("a").numel(), 6);
}

}  // namespace
}  // namespace rae::test
