// Golden files that torch wrote, and files made by hand in forms that torch does not write.
#include "rae/io/torch_checkpoint.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/torch_files.hpp"

namespace rae::test {
namespace {

using namespace torch;
using Strings = std::vector<std::string>;

std::string golden_path(const std::string& name) {
  return data_path("golden/ckpt_formats/" + name);
}

/// The tensors of `checkpoint` whose names begin with `prefix` equal those of the golden file bit
/// for bit.
void expect_golden(const TorchCheckpoint& checkpoint, const std::string& prefix = "") {
  const Golden golden("ckpt_formats/io.safetensors");
  for (const auto& name : golden.file().names()) {
    SCOPED_TRACE(prefix + name);
    ASSERT_TRUE(checkpoint.contains(prefix + name));
    const TensorInfo &info = checkpoint.info(prefix + name), &expected = golden.file().info(name);
    EXPECT_EQ(info.dtype, expected.dtype);
    EXPECT_EQ(info.shape, expected.shape);
    if (expected.dtype == DType::int64 || expected.dtype == DType::uint8 ||
        expected.dtype == DType::boolean) {
      EXPECT_TRUE(test::close(checkpoint.read<std::int64_t>(prefix + name, expected.shape),
                              golden.get<std::int64_t>(name), 0));
    } else {
      EXPECT_TRUE(
          test::close(checkpoint.read<float>(prefix + name, expected.shape), golden(name), 0));
    }
  }
}

std::string six_floats() { return raw(std::vector<float>{0, 1, 2, 3, 4, 5}); }

std::vector<float> values_of(const Tensor<float>& tensor) {
  return {tensor.data(), tensor.data() + tensor.numel()};
}

TEST(TorchCheckpoint, ReadsZipAndStream) {
  const Strings order = golden_config("ckpt_formats").at("keys").as<Strings>();
  for (const std::string file : {"raw_zip.pt", "legacy.pth"}) {
    SCOPED_TRACE(file);
    const auto checkpoint = TorchCheckpoint::open(golden_path(file));
    EXPECT_EQ(checkpoint.origin(), golden_path(file));
    EXPECT_EQ(checkpoint.names(), order);
    expect_golden(checkpoint);
    // A plain state dict is returned unchanged.
    EXPECT_EQ(checkpoint.state_dict().names(), order);
    EXPECT_EQ(checkpoint.state_dict().selected(), "");
    EXPECT_EQ(checkpoint.tree().get<std::string>("transposed"), "f32 (6, 4)");
  }
  const auto statistics = TorchCheckpoint::open(golden_path("stat.pt"));
  EXPECT_EQ(statistics.names(), (Strings{"mean", "var"}));
  EXPECT_EQ(statistics.info("var").shape, (Shape{3, 2, 2}));
}

TEST(TorchCheckpoint, ReadsTrainingCheckpoints) {
  const auto checkpoint = TorchCheckpoint::open(golden_path("train_zip.pt"));
  const ConfigNode tree = checkpoint.tree();
  EXPECT_EQ(tree.get<int>("step"), 123);
  EXPECT_EQ(tree.get<int>("epoch"), 4);
  EXPECT_EQ(tree.get<double>("lr"), 2e-4);
  EXPECT_EQ(tree.get<std::string>("name"), "x");
  EXPECT_TRUE(tree.at("none").is_null());
  EXPECT_TRUE(tree.get<bool>("flag"));
  EXPECT_TRUE(tree.at("list").is_list());
  expect_golden(checkpoint, "model.");
  // In that file the averaged weights equal the others; the next test distinguishes them.
  const auto ema = checkpoint.state_dict();
  EXPECT_EQ(ema.selected(), "ema");
  expect_golden(ema);
  const auto model = checkpoint.state_dict("model");
  EXPECT_EQ(model.selected(), "model");
  expect_golden(model);
}

/// The layout of the official save_checkpoint(), with the prefixes of DistributedDataParallel and
/// torch.compile.
TEST(TorchCheckpoint, TakesTheAverageAndStripsPrefixes) {
  const auto weights = [](std::int64_t offset, const std::string& prefix) {
    return dict({{prefix + "x.weight", tensor_of_six(offset, {2}, {1})},
                 {prefix + "x.bias", tensor_of_six(offset + 2, {}, {})}},
                kOrderedDict) +
           dict({{"_metadata", dict({{"", dict({{"version", integer(1)}})}}, kOrderedDict)}}) + "b";
  };
  const std::string state = dict_of(
      {{integer(0),
        dict({{"step", tensor_of_six(0, {}, {})}, {"exp_avg", tensor_of_six(3, {2}, {1})}})}});
  const std::string groups = list({dict({{"lr", real(1e-3)},
                                         {"betas", tuple({real(0.9), real(0.95)})},
                                         {"params", list({integer(0)})}})});
  const auto file = [&](const std::string& ema) {
    return saved(dict({{"step", integer(7)},
                       {"model", weights(0, "module._orig_mod.")},
                       {"ema", ema},
                       {"optimizer", dict({{"state", state}, {"param_groups", groups}})}}),
                 {{"0", six_floats()}});
  };
  const std::string bytes = file(weights(3, "_orig_mod.module."));
  const auto checkpoint = TorchCheckpoint::parse(as_byte_span(bytes));
  EXPECT_EQ(checkpoint.names(),
            (Strings{"model.module._orig_mod.x.weight", "model.module._orig_mod.x.bias",
                     "ema._orig_mod.module.x.weight", "ema._orig_mod.module.x.bias",
                     "optimizer.state.0.step", "optimizer.state.0.exp_avg"}));
  EXPECT_EQ(values_of(checkpoint.read<float>("optimizer.state.0.exp_avg")),
            (std::vector<float>{3, 4}));
  const ConfigNode tree = checkpoint.tree();
  EXPECT_EQ(tree.at("optimizer").at("param_groups").elements()[0].get<std::vector<double>>("betas"),
            (std::vector<double>{0.9, 0.95}));

  const auto ema = checkpoint.state_dict();
  EXPECT_EQ(ema.names(), (Strings{"x.weight", "x.bias"}));
  EXPECT_EQ(values_of(ema.read<float>("x.weight")), (std::vector<float>{3, 4}));
  EXPECT_EQ(values_of(checkpoint.state_dict("model").read<float>("x.weight")),
            (std::vector<float>{0, 1}));
  EXPECT_NE(message_of<FormatError>([&] {
              (void)checkpoint.state_dict("teacher");
            }).find("it has no key 'teacher'"),
            std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)checkpoint.state_dict("step");
            }).find("'step' contains no tensor"),
            std::string::npos);

  // Without averaged weights, those of the model are returned.
  const std::string without = file(kNone);
  const auto model = TorchCheckpoint::parse(as_byte_span(without)).state_dict();
  EXPECT_EQ(model.selected(), "model");
  EXPECT_EQ(values_of(model.read<float>("x.weight")), (std::vector<float>{0, 1}));

  const std::string twice =
      saved(dict({{"a", tensor_of_six(0, {2}, {1})}, {"module.a", tensor_of_six(0, {2}, {1})}}),
            {{"0", six_floats()}});
  EXPECT_NE(message_of<FormatError>([&] {
              (void)TorchCheckpoint::parse(as_byte_span(twice)).state_dict();
            }).find("two tensors are named 'a'"),
            std::string::npos);
}

TEST(TorchCheckpoint, EveryElementType) {
  const auto read = [](const std::string& type, const std::string& contents, std::int64_t numel) {
    const std::string bytes =
        saved(dict({{"t", tensor(storage(type, "0", numel), 0, {numel}, {1})}}), {{"0", contents}});
    const auto file = TorchCheckpoint::parse(as_byte_span(bytes));
    std::vector<double> out;
    if (const DType dtype = file.info("t").dtype;
        dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16) {
      const Tensor<double> values = file.read<double>("t");  // (2)
      out.assign(values.span().begin(), values.span().end());
    } else {
      const Tensor<std::int64_t> values = file.read<std::int64_t>("t");  // (2)
      for (const std::int64_t value : values.span()) out.push_back(static_cast<double>(value));
    }
    return out;
  };
  const std::vector<double> expected = {-2, 1};
  EXPECT_EQ(read("DoubleStorage", raw(std::vector<double>{-2, 1}), 2), expected);
  EXPECT_EQ(read("FloatStorage", raw(std::vector<float>{-2, 1}), 2), expected);
  EXPECT_EQ(read("HalfStorage", raw(std::vector<std::uint16_t>{0xc000, 0x3c00}), 2), expected);
  EXPECT_EQ(read("BFloat16Storage", raw(std::vector<std::uint16_t>{0xc000, 0x3f80}), 2), expected);
  EXPECT_EQ(read("LongStorage", raw(std::vector<std::int64_t>{-2, 1}), 2), expected);
  EXPECT_EQ(read("IntStorage", raw(std::vector<std::int32_t>{-2, 1}), 2), expected);
  EXPECT_EQ(read("ShortStorage", raw(std::vector<std::int16_t>{-2, 1}), 2), expected);
  EXPECT_EQ(read("CharStorage", raw(std::vector<std::int8_t>{-2, 1}), 2), expected);
  EXPECT_EQ(read("ByteStorage", raw(std::vector<std::uint8_t>{254, 1}), 2),
            (std::vector<double>{254, 1}));
  EXPECT_EQ(read("BoolStorage", raw(std::vector<std::uint8_t>{0, 1}), 2),
            (std::vector<double>{0, 1}));
  // Untyped storages count bytes instead of elements.
  const std::string untyped = tuple({text("storage"), global("torch.storage", "UntypedStorage"),
                                     text("0"), text("cpu"), integer(2)}) +
                              "Q";
  const std::string bytes = saved(dict({{"t", tensor(untyped, 0, {2}, {1})}}), {{"0", "\x07\x09"}});
  EXPECT_EQ(TorchCheckpoint::parse(as_byte_span(bytes)).read<std::uint8_t>("t")[1], 9);
}

TEST(TorchCheckpoint, StridesOffsetsAndViews) {
  const std::string bytes = saved(dict({{"even", tensor_of_six(0, {3}, {2})},
                                        {"columns", tensor_of_six(1, {2, 2}, {1, 3})},
                                        {"ones", tensor_of_six(2, {1, 3, 1}, {0, 1, 0})},
                                        {"none", tensor_of_six(6, {0, 5}, {5, 1})}}),
                                  {{"0", six_floats()}}, {{"archive/byteorder", "little"}});
  const auto file = TorchCheckpoint::parse(as_byte_span(bytes));
  EXPECT_EQ(values_of(file.read<float>("even")), (std::vector<float>{0, 2, 4}));
  EXPECT_EQ(values_of(file.read<float>("columns")), (std::vector<float>{1, 4, 2, 5}));
  EXPECT_EQ(values_of(file.read<float>("ones")), (std::vector<float>{2, 3, 4}));
  EXPECT_EQ(file.read<float>("none").shape(), (Shape{0, 5}));

  // The old stream format: a storage that is a view of another one, the first version of tensors,
  // and an OrderedDict filled from a list of pairs.
  const std::string view =
      tuple({text("storage"), global("torch", "FloatStorage"), text("9"), text("cuda:0"),
             integer(6), tuple({text("8"), integer(2), integer(3)})}) +
      "Q";
  const std::string old = global("torch._utils", "_rebuild_tensor") +
                          tuple({view, integer(1), integers({2}), integers({1})}) + "R";
  const std::string pairs =
      "ccollections\nOrderedDict\n" + tuple({list({list({"U\x01w", old})})}) + "R";
  const std::string legacy = stream(pairs, {{"9", 6, six_floats()}});
  EXPECT_EQ(values_of(TorchCheckpoint::parse(as_byte_span(legacy)).read<float>("w")),
            (std::vector<float>{3, 4}));
}

TEST(TorchCheckpoint, NewerProtocols) {
  const auto short_text = [](const std::string& value) {
    return "\x8c" + std::string(1, static_cast<char>(value.size())) + value;
  };
  const std::string rebuild =
      short_text("torch._utils") + "\x94" + short_text("_rebuild_tensor_v2") + "\x94\x93\x94";
  const std::string six =
      rebuild +
      tuple({storage("FloatStorage", "0", 6), "K" + std::string(1, '\0'),
             "M" + raw(std::uint16_t{6}) + "\x85", "K\x01\x85", kFalse, kOrderedDict, kNone}) +
      "R";
  const std::string value = "\x95" + raw(std::uint64_t{99}) + "}" + short_text("a") + six + "s";
  const std::string bytes = archive({{"x/data.pkl", pickle(value, 4)}, {"x/data/0", six_floats()}});
  EXPECT_EQ(TorchCheckpoint::parse(as_byte_span(bytes)).read<float>("a").numel(), 6);
}

TEST(TorchCheckpoint, OpeningCopiesNoTensor) {
  std::string bytes = saved(dict({{"t", tensor_of_six(0, {6}, {1})}}), {{"0", six_floats()}});
  const auto file = TorchCheckpoint::parse(as_byte_span(bytes));
  const float changed = 42;
  std::memcpy(bytes.data() + bytes.find(six_floats()), &changed, sizeof changed);
  EXPECT_EQ(file.read<float>("t")[0], 42.0f);
}

TEST(TorchCheckpoint, WrongReads) {
  const auto file = TorchCheckpoint::open(golden_path("raw_zip.pt"));
  EXPECT_NE(message_of<FormatError>([&] {
              (void)file.read<float>("i64");
            }).find("cannot read int64 as f32"),
            std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)file.read<std::uint8_t>("w");
            }).find("cannot read f32 as uint8"),
            std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)file.read<float>("vieww");
            }).find("did you mean 'view'?"),
            std::string::npos);
  EXPECT_NE(message_of<ShapeError>([&] {
              (void)file.read<float>("w", Shape{5, 3});
            }).find("expected (5, 3), file has (3, 5)"),
            std::string::npos);
  EXPECT_FALSE(file.contains("nothing"));
}

}  // namespace
}  // namespace rae::test
