#include "serve/api.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "io/base64.hpp"
#include "rae/generate/preset.hpp"
#include "rae/generate/token_mask.hpp"
#include "rae/io/image_info.hpp"

namespace rae::serve {
namespace {

constexpr const char* kJson = "application/json";

/// Throws ConfigError for members that are not known, and for null.
void require_members(const ConfigNode& body, std::initializer_list<std::string_view> known) {
  require_keys_known(body, known);
  for (const auto& [key, value] : body.members())
    if (value.is_null()) value.fail_expected("a value");
}

/// A number that is written as an integer: 1.0 is refused.
std::int64_t integer_of(const ConfigNode& node, std::int64_t least, std::int64_t most) {
  if (node.kind() != ConfigNode::Kind::integer) node.fail_expected("a whole number");
  return node.as_integer(least, most);
}

/// An optional integer from `least` to `most`.
std::optional<std::int64_t> integer(const ConfigNode& body, std::string_view key,
                                    std::int64_t least, std::int64_t most) {
  const ConfigNode* node = body.find(key);
  if (node == nullptr) return std::nullopt;
  return integer_of(*node, least, most);
}

/// An optional number from `least` to `most`.
std::optional<double> number(const ConfigNode& body, std::string_view key, double least,
                             double most) {
  const ConfigNode* node = body.find(key);
  if (node == nullptr) return std::nullopt;
  const double value = node->as_number();
  if (!(value >= least && value <= most))
    node->fail_expected(concat("a number from ", least, " to ", most));
  return value;
}

/// A number from 0 to 2^64 - 1, which JSON may also have as a string, since not every language has
/// integers of this size.
std::uint64_t large_integer(const ConfigNode& body, std::string_view key) {
  const ConfigNode* node = body.find(key);
  if (node == nullptr) return 0;
  if (!node->is_string())
    return static_cast<std::uint64_t>(
        integer_of(*node, 0, std::numeric_limits<std::int64_t>::max()));
  const std::string& text = node->as_string();
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    node->fail_expected("a whole number from 0 to 18446744073709551615");
  return value;
}

std::vector<std::byte> bytes_of(const ConfigNode& node) {
  auto bytes = detail::parse_base64(node.as_string());
  if (!bytes) raise<ConfigError>(node.where(), ": expected Base64 (RFC 4648, padded)");
  return std::move(*bytes);
}

/// A picture in Base64. Its size is checked before it is decoded.
Image picture_of(const ConfigNode& node, const Limits& limits) {
  const std::vector<std::byte> bytes = bytes_of(node);
  const ImageInfo info = parse_image_info(bytes, node.where());
  if (info.width * info.height > limits.pixels)
    raise<ConfigError>(node.where(), ": expected a picture of at most ", limits.pixels,
                       " pixels, got ", info.width, " x ", info.height);
  return Image::decode(bytes, node.where());
}

std::string png_base64(const Image& image, const std::map<std::string, std::string>& text = {}) {
  return detail::base64(image.encode_png(text));
}

const ServedModel& model_of(const ConfigNode& body, const Models& models) {
  return models.find(body.get_or("model", ""));
}

std::int64_t label_of(const ConfigNode& node, const ServedModel& model) {
  if (!node.is_string()) return integer_of(node, 0, model.generator.num_classes() - 1);
  try {
    return model.generator.label_of(node.as_string());
  } catch (const ArgumentError& error) {
    raise<ConfigError>(node.where(), ": ", error.what());
  }
}

/// The classes of "class" or "labels", one after the other, for `count` pictures; without either,
/// all classes.
std::vector<std::int64_t> labels_of(const ConfigNode& body, const ServedModel& model,
                                    const Limits& limits) {
  std::vector<std::int64_t> classes;
  const ConfigNode* one = body.find("class");
  const ConfigNode* several = body.find("labels");
  if (one != nullptr && several != nullptr)
    raise<ConfigError>(several->where(), ": expected either \"class\" or \"labels\", got both");
  if (one != nullptr) classes.push_back(label_of(*one, model));
  if (several != nullptr) {
    if (several->elements().empty()) several->fail_expected("a list of at least one class");
    for (const ConfigNode& each : several->elements()) classes.push_back(label_of(each, model));
  }
  const auto given = static_cast<index_t>(classes.size());
  if (given > limits.count)
    raise<ConfigError>(several->where(), ": expected at most ", limits.count, " pictures, got ",
                       given);
  if (classes.empty())
    for (index_t i = 0; i < std::min(model.generator.num_classes(), limits.count); ++i)
      classes.push_back(i);
  const auto count = integer(body, "count", 1, limits.count)
                         .value_or(given > 0 ? given : std::min<index_t>(1, limits.count));
  std::vector<std::int64_t> labels;
  for (index_t i = 0; i < count; ++i)
    labels.push_back(classes[static_cast<std::size_t>(i) % classes.size()]);
  return labels;
}

/// Sets the scale of the kind of guidance that the model uses.
void set_guidance(GenerateOptions& options, const ModelConfig& model, double scale) {
  const SamplingDefaults& defaults = model.sampling;
  if (defaults.autoguidance) {
    options.autoguidance = defaults.autoguidance;
    options.autoguidance->scale = static_cast<float>(scale);
  } else {
    options.guidance = defaults.guidance;
    options.guidance->scale = static_cast<float>(scale);
  }
}

/// Columns of a grid that is about as wide as high.
index_t columns_of(std::size_t count) {
  return static_cast<index_t>(std::ceil(std::sqrt(static_cast<double>(count))));
}

}  // namespace

ImageRequest parse_image_request(const ConfigNode& body, const Models& models,
                                 const Limits& limits) {
  require_members(body, {"model", "class", "labels", "count", "seed", "index", "steps", "guidance",
                         "preset", "init", "mask", "strength", "stream", "preview_interval"});
  ImageRequest out;
  out.model = &model_of(body, models);
  const Generator& generator = out.model->generator;
  GenerateOptions& options = out.options;
  options.labels = labels_of(body, *out.model, limits);
  options.seed = large_integer(body, "seed");
  options.first_index = large_integer(body, "index");
  options.steps = integer(body, "steps", 1, limits.steps).value_or(0);
  if (const auto scale = number(body, "guidance", 0, 1000))
    set_guidance(options, generator.config(), *scale);
  if (const ConfigNode* preset = body.find("preset"); preset != nullptr) {
    try {
      apply_preset(parse_preset(preset->as_string()), generator.config(), options);
    } catch (const ArgumentError& error) {
      raise<ConfigError>(preset->where(), ": ", error.what());
    }
  }
  const ConfigNode* init = body.find("init");
  const ConfigNode* mask = body.find("mask");
  if (init == nullptr)
    for (const std::string_view key : {"mask", "strength"})
      if (const ConfigNode* node = body.find(key); node != nullptr)
        raise<ConfigError>(node->where(), ": needs \"init\", the picture to begin with");
  if (init != nullptr) {
    if (!out.model->encoder)
      raise<ConfigError>(init->where(), ": the model '", out.model->name, "' has no encoder");
    out.init = picture_of(*init, limits);
    options.strength = number(body, "strength", 0, 1).value_or(mask != nullptr ? 1.0 : 0.6);
  }
  if (mask != nullptr) {
    out.mask = picture_of(*mask, limits);
    if (out.mask.width() != out.init.width() || out.mask.height() != out.init.height())
      raise<ConfigError>(mask->where(), ": expected ", out.init.width(), " x ", out.init.height(),
                         " pixels, as \"init\" has, got ", out.mask.width(), " x ",
                         out.mask.height());
    options.mask = token_mask(out.mask, generator.config());
  }
  out.stream = body.get_or("stream", false);
  out.preview_interval = integer(body, "preview_interval", 0, limits.steps).value_or(0);
  // Options that do not fit each other are errors now, and not when their turn has come.
  GenerateOptions checked = options;  // without those that need the latents of `init`
  checked.mask = {};
  checked.strength = 1;
  (void)generator.png_text(checked, 0);
  return out;
}

Answer draw(const ImageRequest& request, Job& job, bool as_png) {
  const Generator& generator = request.model->generator;
  GenerateOptions options = request.options;
  if (!request.init.empty()) options.init = request.model->encoder->encode(request.init);
  const auto count = static_cast<index_t>(options.labels.size());
  // All pictures are one batch, so that each preview shows all of them.
  options.batch_size = count;
  options.on_step = [&](const StepInfo& info) {
    Progress progress{info.step, info.steps, job.seconds()};
    if (request.preview_interval > 0 && info.step % request.preview_interval == 0 &&
        info.step < info.steps && info.determines_data())
      for (const Image& image : generator.decode(info.denoised()))
        progress.previews.push_back(png_base64(image));
    job.report(std::move(progress));
    return !job.should_stop();
  };
  const std::vector<Image> images = generator.sample(options);
  if (as_png) {
    const auto settings = generator.png_text(options, 0);
    const Image whole = count == 1 ? images[0] : Image::grid(images, columns_of(images.size()));
    const std::vector<std::byte> png = whole.encode_png(settings);
    return {"image/png", std::string(reinterpret_cast<const char*>(png.data()), png.size())};
  }
  ConfigNode::List list;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto text = generator.png_text(options, i);
    ConfigNode settings = ConfigNode::map();
    for (const auto& [key, value] : text) settings.set(key, value);
    list.push_back(
        ConfigNode::map({{"png", png_base64(images[i], text)}, {"settings", std::move(settings)}}));
  }
  const ConfigNode body = ConfigNode::map({{"model", request.model->name},
                                           {"seconds", job.seconds()},
                                           {"images", ConfigNode::list(std::move(list))}});
  return {kJson, body.to_json()};
}

EncodeRequest parse_encode_request(const ConfigNode& body, const Models& models,
                                   const Limits& limits) {
  require_members(body, {"model", "images"});
  EncodeRequest out{&model_of(body, models), {}};
  if (!out.model->encoder) raise<ConfigError>("the model '", out.model->name, "' has no encoder");
  const ConfigNode& images = body.at("images");
  const auto count = static_cast<index_t>(images.elements().size());
  if (count < 1 || count > limits.count)
    images.fail_expected(concat("a list of 1 to ", limits.count, " pictures"));
  for (const ConfigNode& each : images.elements()) out.images.push_back(picture_of(each, limits));
  return out;
}

Answer encode(const EncodeRequest& request) {
  static_assert(std::endian::native == std::endian::little, "the order of the bytes in answers");
  const Tensor<float> latents = request.model->encoder->encode(request.images);  // (B, C, h, w)
  ConfigNode::List shape;
  for (int i = 0; i < latents.rank(); ++i) shape.emplace_back(latents.extent(i));
  const ConfigNode body = ConfigNode::map(
      {{"model", request.model->name},
       {"latents", ConfigNode::map({{"shape", ConfigNode::list(std::move(shape))},
                                    {"data", detail::base64(std::as_bytes(latents.span()))}})}});
  return {kJson, body.to_json()};
}

DecodeRequest parse_decode_request(const ConfigNode& body, const Models& models,
                                   const Limits& limits) {
  require_members(body, {"model", "latents"});
  DecodeRequest out{&model_of(body, models), {}};
  const ConfigNode& latents = body.at("latents");
  require_members(latents, {"shape", "data"});
  const ConfigNode& shape = latents.at("shape");
  const Shape latent = out.model->generator.config().latent_shape();  // (C, h, w)
  const auto given = shape.as<std::vector<std::int64_t>>();
  if (given.size() != 4 || given[0] < 1 || given[0] > limits.count || given[1] != latent[0] ||
      given[2] != latent[1] || given[3] != latent[2])
    shape.fail_expected(concat("[B, ", latent[0], ", ", latent[1], ", ", latent[2],
                               "] with B from 1 to ", limits.count));
  const ConfigNode& data = latents.at("data");
  const std::vector<std::byte> bytes = bytes_of(data);
  Tensor<float> values(Shape{given[0], latent[0], latent[1], latent[2]});  // (B, C, h, w)
  const std::size_t wanted = static_cast<std::size_t>(values.numel()) * sizeof(float);
  if (bytes.size() != wanted)
    raise<ConfigError>(data.where(), ": expected ", wanted, " bytes in Base64, got ", bytes.size());
  std::memcpy(values.data(), bytes.data(), bytes.size());
  if (!all_finite(std::as_const(values).span()))
    raise<ConfigError>(data.where(), ": expected finite numbers");
  out.latents = std::move(values);
  return out;
}

Answer decode(const DecodeRequest& request) {
  ConfigNode::List list;
  for (const Image& image : request.model->generator.decode(request.latents))
    list.push_back(ConfigNode::map({{"png", png_base64(image)}}));
  const ConfigNode body = ConfigNode::map(
      {{"model", request.model->name}, {"images", ConfigNode::list(std::move(list))}});
  return {kJson, body.to_json()};
}

}  // namespace rae::serve
