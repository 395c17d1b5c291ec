#include "rae/spec/layer_types.hpp"

#include <gtest/gtest.h>

#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {
namespace {

/// int4 for every second matrix of a model, int8 for the others.
LayerTypes alternating(const ModelConfig& config) {
  LayerTypes out;
  for (const NetworkRole role : kNetworkRoles)
    for (const ParameterShape& p : outline_of(config, role).parameters)
      if (p.use != ParameterUse::elements)
        out.emplace(concat(name_of(role), ".", p.name),
                    out.size() % 2 == 0 ? DType::int4 : DType::int8);
  return out;
}

TEST(LayerTypes, TheOutlineHasTheTypesWhateverTheModelIs) {
  const ModelConfig config = tiny_config();
  const LayerTypes types = alternating(config);
  for (const NetworkRole role : kNetworkRoles) {
    const NetworkOutline outline = outline_of(config, role, types);
    for (const ParameterShape& p : outline.parameters) {
      if (p.use == ParameterUse::elements) continue;
      for (const DType wanted : {DType::f32, DType::int4})
        EXPECT_EQ(outline.weight_type(wanted, p.name),
                  types.at(concat(name_of(role), ".", p.name)));
    }
  }
}

TEST(LayerTypes, NoneAreOneTypeForAll) {
  const ModelConfig config = tiny_config();
  const NetworkOutline with = outline_of(config, NetworkRole::dit, {}),
                       without = outline_of(config, NetworkRole::dit);
  for (const ParameterShape& p : without.parameters)
    EXPECT_EQ(with.weight_type(DType::int4, p.name), without.weight_type(DType::int4, p.name));
}

TEST(LayerTypes, AMatrixWithoutATypeIsNamed) {
  LayerTypes types = alternating(tiny_config());
  types.erase("dit.blocks.0.attn.qkv.weight");
  const std::string message =
      message_of<ConfigError>([&] { (void)outline_of(tiny_config(), NetworkRole::dit, types); });
  EXPECT_NE(message.find("have none for dit.blocks.0.attn.qkv.weight"), std::string::npos)
      << message;
  types["dit.blocks.0.attn.qkv.weight"] = DType::int64;
  EXPECT_THROW((void)outline_of(tiny_config(), NetworkRole::dit, types), ArgumentError);
}

TEST(LayerTypes, TheNarrowestHasTheFewestBits) {
  EXPECT_EQ(narrowest({{"a", DType::f32}, {"b", DType::int8w}, {"c", DType::bf16}}), DType::int8w);
  EXPECT_EQ(narrowest({{"a", DType::int4}, {"b", DType::int8}}), DType::int4);
  EXPECT_EQ(narrowest({{"a", DType::int8w}, {"b", DType::int8}}), DType::int8);
  EXPECT_EQ(name_of(DType::int4, {{"a", DType::int4}}), "mixed");
  EXPECT_EQ(name_of(DType::int4, {}), "int4");
}

}  // namespace
}  // namespace rae::test
