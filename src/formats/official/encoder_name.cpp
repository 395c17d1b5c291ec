// Names of encoders in configurations of RAEv2. Source: vision_encoder.py of nanovisionx/RAEv2.
#include <algorithm>
#include <charconv>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "formats/official/values.hpp"
#include "formats/official/version_2.hpp"

namespace rae::official {
namespace {

/// A type of encoders, with its sizes, and the layers that its multi-layer variant averages unless
/// the name lists others.
struct Type {
  std::string_view name;
  EncoderFamily family;
  std::vector<std::string_view> sizes;
  bool several_layers = false, add_last_mean = false, ordered = false;
};

const std::vector<Type>& types() {
  static const std::vector<std::string_view> kDino3{"s16", "s16plus", "b16", "l16", "h16plus"},
      kDino2{"s", "b", "l", "g"}, kSiglip{"b", "l", "so400m", "g"}, kMae{"b", "l", "h"};
  static const std::vector<Type> kTypes{
      {"dinov3", EncoderFamily::dinov3, kDino3},
      {"dinov3mls", EncoderFamily::dinov3, kDino3, true, true},
      {"dinov2", EncoderFamily::dinov2, kDino2},
      {"dinov2mls", EncoderFamily::dinov2, kDino2, true},
      {"siglip2", EncoderFamily::siglip2, kSiglip},
      {"siglip2mls", EncoderFamily::siglip2, kSiglip, true, true, true},
      {"mae", EncoderFamily::mae, kMae}};
  return kTypes;
}

/// Encoders of the official code that this library does not have.
constexpr std::string_view kOthers[] = {"webssl",  "pe",     "spatialpe", "langpe", "eupe",
                                        "eupemls", "tipsv2", "clip",      "mocov3", "jepa"};

/// The layers that a multi-layer variant averages without the flag `layers`.
std::vector<index_t> default_layers(const Type& type, std::string_view size) {
  if (size == "so400m") return {5, 12, 19, 26};
  if (size == "g") return {10, 20, 30, 39};
  if (size == "h16plus") return {8, 16, 24, 31};
  if (size == "l16" || size == "l") return {5, 11, 17, 23};
  (void)type;
  return {2, 5, 8, 11};
}

/// The numbers of `layers=1.2.3`.
std::vector<index_t> layers_of(const ConfigNode& node, std::string_view text) {
  std::vector<index_t> out;
  while (true) {
    index_t layer = -1;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), layer);
    if (result.ec != std::errc() || layer < 0)
      node.fail_expected("numbers of blocks with dots between them, as in layers=1.2.3");
    out.push_back(layer);
    text.remove_prefix(static_cast<std::size_t>(result.ptr - text.data()));
    if (text.empty()) break;
    if (text.front() != '.')
      node.fail_expected("numbers of blocks with dots between them, as in layers=1.2.3");
    text.remove_prefix(1);
  }
  return out;
}

/// "l16[norm]", or for encoders without several layers "l16norm", as size and flags.
std::pair<std::string, std::vector<std::string>> size_and_flags(const ConfigNode& node,
                                                                const Type& type,
                                                                const std::string& text) {
  const auto open = text.find('[');
  std::vector<std::string> flags;
  if (open == std::string::npos) {
    for (const std::string_view flag : {std::string_view("norm"), std::string_view("woreg")})
      if (!type.several_layers && text.ends_with(flag)) {
        auto [size, more] = size_and_flags(node, type, text.substr(0, text.size() - flag.size()));
        more.emplace_back(flag);
        return {size, more};
      }
    return {text, flags};
  }
  if (text.back() != ']' || open + 2 >= text.size())
    node.fail_expected("flags in brackets after the size, as in l16[layers=1.2.3]");
  std::string rest = text.substr(open + 1, text.size() - open - 2);
  while (true) {
    const auto comma = rest.find(',');
    std::string flag = rest.substr(0, comma);
    flag.erase(0, flag.find_first_not_of(' '));
    flag.erase(flag.find_last_not_of(' ') + 1);
    flags.push_back(flag);
    if (comma == std::string::npos) break;
    rest.erase(0, comma + 1);
  }
  return {text.substr(0, open), flags};
}

}  // namespace

OfficialEncoderName parse_encoder_name(const ConfigNode& node) {
  const std::string& text = node.as_string();
  const auto first = text.find('-'), second = text.find('-', first + 1);
  if (first == std::string::npos || second == std::string::npos ||
      text.find('-', second + 1) != std::string::npos || text.size() > 500)
    node.fail_expected("the name of an encoder, TYPE-ARCHITECTURE-SIZE, as dinov3-vit-l16");
  const std::string name = text.substr(0, first);
  const auto type = std::find_if(types().begin(), types().end(),
                                 [&](const Type& each) { return each.name == name; });
  if (type == types().end()) {
    if (std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers))
      raise<ConfigError>(node.where(), ": the encoder '", name,
                         "' of RAEv2 is not supported; supported are dinov3, dinov2, siglip2, mae "
                         "and their variants of several layers (mls)");
    std::vector<std::string> known;
    for (const Type& each : types()) known.emplace_back(each.name);
    raise<ConfigError>(node.where(), ": unknown type of encoder '", name, "'",
                       detail::suggestion(name, known));
  }
  OfficialEncoderName out;
  out.text = text;
  out.family = type->family;
  out.add_last_mean = type->add_last_mean;
  out.final_affine = type->family == EncoderFamily::siglip2;
  auto [size, flags] = size_and_flags(node, *type, text.substr(second + 1));
  out.size = std::move(size);
  if (std::find(type->sizes.begin(), type->sizes.end(), out.size) == type->sizes.end()) {
    std::string all;
    for (const std::string_view each : type->sizes) all += concat(all.empty() ? "" : ", ", each);
    raise<ConfigError>(node.where(), ": the size '", out.size, "' of ", name,
                       " is not supported; expected one of ", all);
  }
  if (type->several_layers) out.layers = default_layers(*type, out.size);
  for (const std::string& flag : flags) {
    if (type->several_layers && flag.starts_with("layers=")) {
      out.layers = layers_of(node, std::string_view(flag).substr(7));
    } else if (flag == "norm" && type->family != EncoderFamily::siglip2 &&
               type->family != EncoderFamily::mae) {
      out.final_affine = true;
    } else if (flag == "woreg" && type->family == EncoderFamily::dinov2) {
      raise<ConfigError>(node.where(),
                         ": 'woreg', DINOv2 without registers, is not supported in configurations "
                         "of RAEv2");
    } else {
      raise<ConfigError>(node.where(), ": unknown flag '", flag, "' of the encoder ", name);
    }
  }
  // Blocks are visited in their order, except for SigLIP 2.
  if (!type->ordered) std::sort(out.layers.begin(), out.layers.end());
  if (std::set<index_t>(out.layers.begin(), out.layers.end()).size() != out.layers.size())
    raise<ConfigError>(node.where(), ": a block appears twice in '", text, "'");
  return out;
}

}  // namespace rae::official
