// The search for weights in training checkpoints, in dicts of PyTorch and in flat names.
#include "io/weights_selection.hpp"

#include <gtest/gtest.h>

#include "rae/io/tensor_source.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/torch_files.hpp"

namespace rae::test {
namespace {

using namespace torch;
using Strings = std::vector<std::string>;

const std::string kSixValues = raw(std::vector<float>{0, 1, 2, 3, 4, 5});

/// A dict with the tensor `name` of one element, of the given value.
std::string one_weight(std::int64_t value, const std::string& name = "w") {
  return dict({{name, tensor_of_six(value, {1}, {1})}});
}

TensorSource open_dict(const std::vector<std::pair<std::string, std::string>>& members) {
  static const TempFolder folder;
  return TensorSource::open(folder.write("file.pt", saved(dict(members), {{"0", kSixValues}})));
}

TEST(WeightsSelection, EveryKeyIsFound) {
  for (const std::string key : {"ema", "ema_model", "model_ema", "state_dict_ema", "teacher",
                                "model", "model_state_dict", "state_dict", "module", "student"}) {
    const auto found = open_dict({{"step", integer(7)}, {key, one_weight(3)}}).weights();
    EXPECT_EQ(found.selected(), key);
    EXPECT_EQ(found.names(), (Strings{"w"}));
    EXPECT_EQ(found.read<float>("w")[0], 3.0f);
    EXPECT_TRUE(found.alternatives().empty());
  }
}

TEST(WeightsSelection, AveragesAreFirstAndTheOthersAreListed) {
  const auto found = open_dict({{"state_dict", one_weight(1)},
                                {"model", one_weight(2)},
                                {"optimizer", one_weight(3)},
                                {"ema_model", one_weight(4)},
                                {"teacher", one_weight(5)}})
                         .weights();
  EXPECT_EQ(found.selected(), "ema_model");
  EXPECT_EQ(found.read<float>("w")[0], 4.0f);
  EXPECT_EQ(found.alternatives(), (Strings{"teacher", "model", "state_dict"}));
  // A key without tensors does not count.
  EXPECT_EQ(open_dict({{"ema", kNone}, {"ema_model", "}"}, {"state_dict", one_weight(1)}})
                .weights()
                .selected(),
            "state_dict");
}

TEST(WeightsSelection, DictsInDictsAndPrefixes) {
  const auto nested =
      open_dict({{"ema", dict({{"module", one_weight(2)}, {"decay", real(0.99)}})}});
  EXPECT_EQ(nested.weights().selected(), "ema.module");
  EXPECT_EQ(nested.weights().names(), (Strings{"w"}));
  // PyTorch Lightning: the module's attribute is part of each name.
  const auto lightning =
      open_dict({{"state_dict", dict({{"model.module.a", tensor_of_six(1, {1}, {1})},
                                      {"model._orig_mod.b", tensor_of_six(2, {1}, {1})}})}})
          .weights();
  EXPECT_EQ(lightning.selected(), "state_dict.model");
  EXPECT_EQ(lightning.names(), (Strings{"a", "b"}));
  // An average among flat names.
  const auto flat = open_dict({{"ema", dict({{"online_model.a", tensor_of_six(1, {1}, {1})},
                                             {"ema_model.a", tensor_of_six(2, {1}, {1})},
                                             {"step", tensor_of_six(3, {}, {})}})}})
                        .weights();
  EXPECT_EQ(flat.selected(), "ema.ema_model");
  EXPECT_EQ(flat.read<float>("a")[0], 2.0f);
  EXPECT_EQ(open_dict({{"teacher", one_weight(1, "module.x")}}).weights().names(), (Strings{"x"}));
  // A module named "model" beside others is not a training checkpoint.
  EXPECT_EQ(
      open_dict({{"model.x", tensor_of_six(1, {1}, {1})}, {"head.y", tensor_of_six(1, {1}, {1})}})
          .weights()
          .names(),
      (Strings{"model.x", "head.y"}));
}

TEST(WeightsSelection, FlatNames) {
  EXPECT_TRUE(detail::select_weights({}).empty());
  EXPECT_TRUE(detail::select_weights({"a", "b.c"}).empty());
  EXPECT_EQ(detail::select_weights({"model.a", "state_dict.b"}), (Strings{"model"}));
  EXPECT_EQ(detail::select_weights({"module.model.a", "model.module.model.b"}), (Strings{"model"}));
  EXPECT_EQ(detail::select_weights({"student.a", "teacher.a"}), (Strings{"teacher"}));
  EXPECT_EQ(detail::select_weights({"model.ema.a", "model.b"}), (Strings{"model", "ema"}));
  EXPECT_EQ(detail::name_in_part({"model"}, "module.model._orig_mod.a"), "a");
  EXPECT_EQ(detail::name_in_part({"model"}, "models.a"), std::nullopt);
  EXPECT_EQ(detail::name_in_part({"model"}, "model"), std::nullopt);
  EXPECT_EQ(detail::name_in_part({}, "module.a"), "a");
  EXPECT_EQ(detail::to_string({"ema", "module"}), "ema.module");
}

TEST(WeightsSelection, UnreadableTensorsKeepTheirNames) {
  const auto found = open_dict({{"model", dict({{"module.w", tensor_of_six(1, {1}, {1})},
                                                {"module.flat", tensor_of_six(0, {3}, {0})}})}})
                         .weights();
  const auto message = message_of<FormatError>([&] { (void)found.info("flat"); });
  EXPECT_NE(message.find("overlapping elements"), std::string::npos) << message;
}

}  // namespace
}  // namespace rae::test
