// An outline has the same names and shapes as the model with weights.
#include "rae/nn/outline.hpp"

#include <gtest/gtest.h>

#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/lightning_dit.hpp"

namespace rae {
namespace {

template <template <class> class Model, class Config>
void expect_same(const Config& config) {
  const auto shapes = parameter_shapes<Model>(config);
  Model<Tensor<float>> model(config);
  std::size_t i = 0;
  model.parameters([&](const std::string& name, auto& parameter) {
    ASSERT_LT(i, shapes.size());
    EXPECT_EQ(shapes[i].name, name);
    EXPECT_EQ(shapes[i].shape, parameter.shape()) << name;
    ++i;
  });
  EXPECT_EQ(i, shapes.size());
}

TEST(Outline, EqualsTheParametersOfTheModel) {
  for (const EncoderFamily family :
       {EncoderFamily::dinov2, EncoderFamily::siglip2, EncoderFamily::mae})
    expect_same<Encoder>(EncoderConfig{.family = family,
                                       .hidden_size = 8,
                                       .num_layers = 2,
                                       .num_heads = 2,
                                       .intermediate_size = 12});
  expect_same<Decoder>(DecoderConfig{
      .in_dim = 8, .hidden_size = 12, .num_layers = 2, .num_heads = 2, .intermediate_size = 20});
  DitDhConfig dit{.grid_h = 2,
                  .grid_w = 3,
                  .in_channels = 8,
                  .hidden_size = {16, 24},
                  .depth = {2, 1},
                  .num_heads = {2, 2}};
  expect_same<DitDh>(dit);
  dit.use_swiglu = dit.use_rmsnorm = dit.use_pos_embed = false;
  dit.use_qknorm = true;
  expect_same<DitDh>(dit);
  expect_same<LightningDit>(LightningDitConfig{.input_h = 4,
                                               .input_w = 4,
                                               .patch_size = 2,
                                               .in_channels = 3,
                                               .hidden_size = 16,
                                               .depth = 1,
                                               .num_heads = 2});
}

TEST(Outline, TheLargestModelTakesNoMemory) {
  std::vector<ParameterShape> shapes = parameter_shapes<DitDh>(DitDhConfig{});
  index_t elements = 0;
  for (const ParameterShape& parameter : shapes) elements += parameter.shape.numel();
  EXPECT_EQ(elements, 838675796);  // DiT^DH-XL for 256 x 256 pictures
}

}  // namespace
}  // namespace rae
