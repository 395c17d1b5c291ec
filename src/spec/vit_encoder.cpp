// Everything that the library knows about its ViT encoders as a part of a model.
#include "spec/vit_encoder.hpp"

#include "rae/core/owner.hpp"
#include "rae/spec/model_config.hpp"
#include "rae/spec/register_encoder.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae::detail {
namespace {

struct VitEncoderKind : VitEncoder {
  static std::vector<std::string_view> names() {
    return {rae::name_of(EncoderFamily::dinov2), rae::name_of(EncoderFamily::siglip2),
            rae::name_of(EncoderFamily::mae), rae::name_of(EncoderFamily::dinov3)};
  }
  static std::string_view name_of(const Config& c) { return rae::name_of(c.family); }
  static Config parse(const ConfigNode& node) { return parse_encoder_config(node); }
  static ConfigNode to_config(const Config& c) { return rae::to_config(c); }
  static void validate(const Config& c, const ConfigPlace& place) { rae::validate(c, place); }
  static DType weight_type(const Config& c, DType wanted, std::string_view parameter) {
    return rae::weight_type(c, wanted, parameter);
  }
};

}  // namespace

OwnedPointer<const EncoderKind> vit_encoder_kind() {
  return OwnedPointer<AdaptedEncoderKind<VitEncoderKind>>::make();
}

}  // namespace rae::detail
