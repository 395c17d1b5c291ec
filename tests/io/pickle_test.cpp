// Checkpoints with objects of Python beside the weights: the weights are read, everything else is
// skipped, and nothing is called.
#include <gtest/gtest.h>

#include "rae/io/torch_checkpoint.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/torch_files.hpp"

namespace rae::test {
namespace {

using namespace torch;
using Strings = std::vector<std::string>;

const std::string kSixFloats = raw(std::vector<float>{0, 1, 2, 3, 4, 5});

std::vector<float> values_of(const TorchCheckpoint& file, const std::string& name) {
  const Tensor<float> tensor = file.read<float>(name);  // any shape
  return {tensor.data(), tensor.data() + tensor.numel()};
}

/// A file with the weight "w" = [0, 1] and a member "other".
std::string beside(const std::string& other) {
  return saved(dict({{"other", other}, {"model", dict({{"w", tensor_of_six(0, {2}, {1})}})}}),
               {{"0", kSixFloats}});
}

/// A tensor of another function of torch._utils.
std::string rebuilt(const std::string& function, const std::vector<std::string>& arguments) {
  return global("torch._utils", function) + tuple(arguments) + "R";
}

const std::string kNamespace = global("argparse", "Namespace");

// Files that the pickle module of Python wrote, with objects of the standard library, NumPy,
// OmegaConf and classes of a program beside averaged weights.
TEST(PickleObjects, FilesOfPythonWithEveryKindOfObject) {
  for (const int protocol : {2, 4, 5}) {
    SCOPED_TRACE(protocol);
    const auto file = TorchCheckpoint::open(
        data_path(concat("fuzz/corpus/torch_checkpoint/objects_protocol", protocol, ".pt")));
    const auto weights = file.state_dict();
    EXPECT_EQ(weights.selected(), "ema_model");
    EXPECT_EQ(weights.alternatives(), (Strings{"model"}));
    EXPECT_EQ(weights.names(), (Strings{"w", "tagged", "buffer"}));
    EXPECT_EQ(values_of(weights, "w"), (std::vector<float>{0, 1, 2, 3}));
    EXPECT_EQ(values_of(weights, "tagged"), (std::vector<float>{4, 5}));
    EXPECT_EQ(values_of(weights, "buffer"), (std::vector<float>{1, 2}));
    EXPECT_EQ(values_of(file, "history.w"), (std::vector<float>{4, 5}));
    EXPECT_EQ(values_of(file, "keys.kept"), (std::vector<float>{0}));

    const ConfigNode tree = file.tree();
    EXPECT_EQ(tree.get<int>("epoch"), 7);
    EXPECT_EQ(tree.get<std::string>("args"), "skipped: argparse.Namespace");
    EXPECT_EQ(tree.get<std::string>("config"), "skipped: omegaconf.dictconfig.DictConfig");
    EXPECT_EQ(tree.get<std::string>("best"), "skipped: numpy.core.multiarray.scalar");
    EXPECT_EQ(tree.get<std::string>("date"), "skipped: datetime.datetime");
    EXPECT_EQ(tree.get<std::string>("path"), "skipped: pathlib.PurePosixPath");
    EXPECT_EQ(tree.get<std::vector<int>>("shape"), (std::vector<int>{3, 4}));
    EXPECT_EQ(tree.at("history").get<std::vector<double>>("loss"), (std::vector<double>{0.5}));
    EXPECT_EQ(tree.at("keys").members().size(), 1u);

    for (const auto& [name, part] : std::vector<std::pair<std::string, std::string>>{
             {"args", "is an object of 'argparse.Namespace'"},
             {"array", "is an object of 'numpy.core.multiarray._reconstruct'"},
             {"big", "is an integer of more than 64 bits"},
             {"storage_class", "is a class or function"},
             {"expanded", "overlapping elements, a stride of 0"},
             {"sparse", "is an object of 'torch._utils._rebuild_sparse_tensor'"},
             {"f8", "is an object of 'torch._utils._rebuild_tensor_v3'"},
             {"complex_tensor", "has elements of 'torch.ComplexFloatStorage'"},
             {"rank7", "has rank 7"},
             {"negated", "has flags"}}) {
      EXPECT_FALSE(file.contains(name));
      EXPECT_NE(file.unreadable().at(name).find(part), std::string::npos)
          << file.unreadable().at(name);
      const std::string message =
          message_of<FormatError>([&, &key = name] { (void)file.read<float>(key); });
      EXPECT_NE(message.find("tensor '" + name + "' in "), std::string::npos) << message;
      EXPECT_NE(message.find("cannot be read: it "), std::string::npos) << message;
    }
  }
}

TEST(PickleObjects, AreSkippedWithTheirArgumentsAndAttributes) {
  const std::string code = global("os", "system") + tuple({text("touch /tmp/never")}) + "R";
  const std::string attributes = dict({{"lr", real(1e-4)}, {"hook", code}});
  for (const std::string& other : std::vector<std::string>{
           code,
           kNamespace + ")\x81" + attributes + "b",     // NEWOBJ, BUILD
           kNamespace + ")}\x92" + attributes + "b",    // NEWOBJ_EX
           kNamespace + "(" + text("a") + code + "u",   // SETITEMS
           kNamespace + text("a") + code + "s",         // SETITEM
           kNamespace + "(" + code + "e" + code + "a",  // APPENDS, APPEND
           "\x8f(" + code + "\x90",                     // EMPTY_SET, ADDITEMS
           "(" + code + "\x91",                         // FROZENSET
           "N" + code + "0",                            // POP
           "N(" + code + "1",                           // POP_MARK
           global("builtins", "eval"),                  // a function
           "C\x03"
           "abc",
           "B" + raw(std::uint32_t{3}) + "abc",  // bytes
           "\x8e" + raw(std::uint64_t{3}) + "abc",
           "\x96" + raw(std::uint64_t{3}) + "abc",
           "\x8a\x09" + std::string(9, '\x01'),  // 72 bits
           "\x8b" + raw(std::uint32_t{300}) + std::string(300, '\x01'),
           kNamespace + "q\x01)\x81" + dict({{"self", "h\x01"}}) + "b",  // refers to itself
           dict_of({{kNone, code}, {real(1.5), code}, {tuple({integer(1)}), code}, {code, code}}),
       }) {
    const std::string bytes = beside(other);
    const auto file = TorchCheckpoint::parse(as_byte_span(bytes), "objects.pt");
    EXPECT_EQ(file.names(), (Strings{"model.w"}));
    EXPECT_EQ(values_of(file.state_dict(), "w"), (std::vector<float>{0, 1}));
  }
  EXPECT_FALSE(std::filesystem::exists("/tmp/never"));
}

TEST(PickleObjects, ATensorThatDependsOnOneIsNamedWhenItIsNeeded) {
  const std::string six = storage("FloatStorage", "0", 6);
  const std::string tail = kFalse + kOrderedDict;
  const std::vector<std::pair<std::string, std::string>> tensors = {
      {rebuilt("_rebuild_parameter",
               {rebuilt("_rebuild_qtensor", {six, integer(0)}), kTrue, kOrderedDict}),
       "_rebuild_qtensor"},
      {rebuilt("_rebuild_tensor_v2", {storage("QInt8Storage", "1", 4), integer(0), integers({4}),
                                      integers({1}), kFalse, kOrderedDict}),
       "QInt8Storage"},
      {rebuilt("_rebuild_tensor_v2", {storage("FutureStorage", "2", 4), integer(0), integers({4}),
                                      integers({1}), kFalse, kOrderedDict}),
       "FutureStorage"},
      {global("torch._tensor", "_rebuild_from_type_v2") +
           tuple({global("torch._utils", "_rebuild_tensor_v2"), global("torchao", "Quantized"),
                  tuple({six}), "}"}) +
           "R",
       "torchao.Quantized"},
  };
  for (const auto& [value, part] : tensors) {
    const std::string bytes = saved(dict({{"w", value}, {"good", tensor_of_six(2, {2}, {1})}}),
                                    {{"0", kSixFloats}, {"1", "abcd"}});
    const auto file = TorchCheckpoint::parse(as_byte_span(bytes), "weights.pt").state_dict();
    EXPECT_EQ(values_of(file, "good"), (std::vector<float>{2, 3}));
    const auto message = message_of<FormatError>([&, &f = file] { (void)f.read<float>("w"); });
    for (const std::string& piece : {std::string("tensor 'w' in weights.pt"), part})
      EXPECT_NE(message.find(piece), std::string::npos) << message;
  }
}

TEST(PickleObjects, StreamsMayHaveStoragesThatCannotBeRead) {
  const auto value = [&](const std::string& type) {
    return dict(
        {{"a", tensor(storage(type, "1", 2), 0, {2}, {1})}, {"w", tensor_of_six(0, {6}, {1})}});
  };
  const std::string known =
      stream(value("ComplexFloatStorage"), {{"1", 2, std::string(16, 'x')}, {"0", 6, kSixFloats}});
  EXPECT_EQ(values_of(TorchCheckpoint::parse(as_byte_span(known)), "w").back(), 5.0f);
  const std::string unknown =
      stream(value("FutureStorage"), {{"1", 2, std::string(16, 'x')}, {"0", 6, kSixFloats}});
  const auto message = message_of<FormatError>(
      [&] { (void)TorchCheckpoint::parse(as_byte_span(unknown), "old.pt"); });
  EXPECT_NE(message.find("'torch.FutureStorage', whose size is unknown"), std::string::npos)
      << message;
}

TEST(PickleObjects, AWholeModuleIsRefusedWithAHint) {
  const std::string bytes =
      saved(global("models", "Decoder") + ")\x81" + dict({{"w", tensor_of_six(0, {2}, {1})}}) + "b",
            {{"0", kSixFloats}});
  const auto file = TorchCheckpoint::parse(as_byte_span(bytes), "module.pt");
  const auto message = message_of<FormatError>([&] { (void)file.state_dict(); });
  for (const std::string part :
       {"module.pt", "contains no tensor", "'models.Decoder'", "torch.save(model.state_dict()"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

/// Memory and time stay within the file's size: an object that refers to many others keeps none.
TEST(PickleObjects, NamesOfManyClassesAreBounded) {
  std::string value = "(";
  for (int i = 0; i < 5000; ++i) value += global("module", concat("Class", i));
  value += "t";
  const std::string bytes = beside(value);
  const auto file = TorchCheckpoint::parse(as_byte_span(bytes));
  EXPECT_EQ(file.unreadable().size(), 5000u);
  EXPECT_EQ(file.unreadable().at("other.7"), "is an object of 'module.Class7', which is not read");
  EXPECT_EQ(file.unreadable().at("other.4999"), "is an object that is not a tensor");
  // A log of a million NumPy scalars costs no more memory than ten thousand.
  std::string log = global("numpy", "scalar") + "q\x05" + "0(";
  for (int i = 0; i < 200000; ++i) log += "h\x05";
  const std::string many = beside(log + "t");
  const auto with_log = TorchCheckpoint::parse(as_byte_span(many));
  EXPECT_EQ(with_log.unreadable().size(), 10000u);
  EXPECT_EQ(values_of(with_log.state_dict(), "w"), (std::vector<float>{0, 1}));
}

}  // namespace
}  // namespace rae::test
