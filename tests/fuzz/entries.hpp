// Entry points that pass the fuzzer's input to each reader. A reader may refuse its input with
// rae::Error; any other exception is a bug that the fuzzer has found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "formats/packed_weights.hpp"
#include "io/config_json.hpp"
#include "io/picture_decoders.hpp"
#include "io/shard_index.hpp"
#include "rae/formats/huggingface_encoder.hpp"
#include "rae/formats/official/config.hpp"
#include "rae/io/cifar.hpp"
#include "rae/io/config.hpp"
#include "rae/io/data_difference.hpp"
#include "rae/io/file.hpp"
#include "rae/io/idx.hpp"
#include "rae/io/image.hpp"
#include "rae/io/npz.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/io/torch_checkpoint.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/spec/model_config.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae::test {

using Bytes = std::span<const std::byte>;

/// Thrown if a reader accepts a file and then contradicts what it reported about it.
struct Contradiction : std::logic_error {
  using std::logic_error::logic_error;
};

/// Runs `read` and ignores rae::Error; other exceptions pass through.
template <class Read>
void expect_only_errors(Read&& read) {
  try {
    read();
  } catch (const Error&) {
  }
}

inline void fuzz_safetensors(Bytes bytes) {
  expect_only_errors([&] {
    const auto file = SafetensorsFile::parse(bytes, "fuzz");
    for (const auto& name : file.names()) {
      // An accepted tensor is inside the file, so reading it takes memory in proportion to the
      // file.
      if (file.bytes(name).size() > bytes.size())
        throw Contradiction("a tensor larger than its file");
      expect_only_errors([&] { (void)file.read<float>(name); });
      expect_only_errors([&] { (void)file.read<f16>(name); });
      expect_only_errors([&] { (void)file.read<std::uint8_t>(name); });
    }
    for (const auto& [name, reason] : file.unreadable())
      if (file.contains(name)) throw Contradiction("an unreadable tensor that can be read");
    (void)file.metadata();
  });
}

/// A file with the weight "w" (20, 10), packed for the baseline kernels. A weight that is accepted
/// must work in a product.
inline void fuzz_packed_weights(Bytes bytes) {
  const Isa before = active_isa();
  set_isa(Isa::baseline);
  const Tensor<float> x(Shape{2, 10}, 1.0f);  // (M, K)
  Tensor<float> y(Shape{2, 20});              // (M, N)
  for (const DType stored : kWeightTypes)
    expect_only_errors([&] {
      const TensorSource file = SafetensorsFile::parse(bytes, "fuzz");
      const detail::PackedWeight weight{"w", Shape{20, 10}, stored, PanelColumns::neighbours};
      weight.check(file, "fuzz");
      gemm<float>(x, weight.read(file, "fuzz"), y);
    });
  set_isa(before);
}

inline void fuzz_idx(Bytes bytes) {
  expect_only_errors([&] { (void)parse_idx_images(bytes, "fuzz"); });
  expect_only_errors([&] { (void)parse_idx_labels(bytes, "fuzz"); });
}

inline void fuzz_cifar(Bytes bytes) {
  for (const Cifar kind : {Cifar::cifar10, Cifar::cifar100})
    expect_only_errors([&] {
      const CifarRecords records(bytes, kind, "fuzz");
      for (index_t i = 0; i < records.size(); ++i) {
        if (records.label(i) > 99) throw Contradiction("a label out of range");
        if (records.samples(i).size() != CifarRecords::kSamples)
          throw Contradiction("a picture of another size");
      }
    });
  expect_only_errors([&] {
    if (parse_cifar_names(bytes, 10, "fuzz").size() != 10) throw Contradiction("ten names");
  });
}

inline void fuzz_image(Bytes bytes) {
  expect_only_errors([&] {
    const Image image = Image::decode(bytes, "fuzz");
    if (image.width() * image.height() > (1 << 16)) return;
    if (!(Image::decode(image.encode_png()) == image))
      throw Contradiction("a picture changes through PNG");
    (void)image.center_crop(16);
  });
  expect_only_errors([&] {
    const ImageInfo info = parse_image_info(bytes, "fuzz");
    if (info.orientation < 1 || info.orientation > 8) throw Contradiction("an orientation");
    if (info.orientation >= 5) return;  // the decoders take the size as stored
    for (const auto& decoder : detail::picture_decoders(info.format))
      expect_only_errors([&] { (void)decoder.decode(bytes, info, "fuzz"); });
  });
  expect_only_errors([&] { (void)parse_png_text(bytes, "fuzz"); });
}

inline void fuzz_config(Bytes bytes) {
  const auto text = as_text(bytes);
  for (const bool yaml : {true, false}) {
    expect_only_errors([&] {
      const auto node =
          yaml ? ConfigNode::parse_yaml(text, "fuzz") : ConfigNode::parse_json(text, "fuzz");
      expect_only_errors([&] { (void)parse_official_config(node); });
      expect_only_errors([&] { (void)parse_model_config(node); });
      std::string json;
      try {
        json = node.to_json();
      } catch (const ConfigError&) {
        return;  // NaN and strings that are not UTF-8 have no JSON
      }
      if (ConfigNode::parse_json(json).to_json() != json)
        throw Contradiction("JSON changes through JSON");
    });
  }
}

/// The manifest of a data set in a checkpoint or stages.json, and its differences to another one.
inline void fuzz_data_manifest(Bytes bytes) {
  expect_only_errors([&] {
    const auto manifest = DataManifest::from_config(ConfigNode::parse_json(as_text(bytes), "fuzz"));
    const ConfigNode node = manifest.to_config();
    DataManifest again = DataManifest::from_config(ConfigNode::parse_json(node.to_json(), "fuzz"));
    if (!(again == manifest)) throw Contradiction("a manifest changes through JSON");
    if (!differences(manifest, again).empty())
      throw Contradiction("a manifest that differs from itself");
    again.options.flip = !again.options.flip;
    if (!again.classes.empty()) again.classes.pop_back();
    if (differences(manifest, again).empty()) throw Contradiction("a change that is not found");
    (void)describe_difference(manifest.without_class_names(), again);
  });
}

inline void fuzz_shard_index(Bytes bytes) {
  expect_only_errors([&] {
    const auto index = detail::parse_shard_index(ConfigNode::parse_json(as_text(bytes), "fuzz"));
    for (const auto& file : index.files)
      if (file.empty() || file.find_first_of("/\\") != std::string::npos ||
          file.find("..") != std::string::npos)
        throw Contradiction("a shard outside the folder");
    for (const auto& [name, file] : index.tensors)
      if (file >= index.files.size()) throw Contradiction("a tensor without a file");
  });
}

/// config.json and preprocessor_config.json of an encoder, and a config.json with members that are
/// skipped.
inline void fuzz_pretrained_config(Bytes bytes) {
  const auto text = as_text(bytes);
  constexpr std::string_view kDropped[] = {"latents_mean", "latents_std"};
  expect_only_errors([&] {
    const auto node = detail::parse_json_without(text, "fuzz", kDropped);
    if (node.is_map() && (node.contains("latents_mean") || node.contains("latents_std")))
      throw Contradiction("a dropped member");
  });
  expect_only_errors(
      [&] { (void)parse_preprocessor_config(ConfigNode::parse_json(text, "fuzz")); });
  EncoderConfig config;
  try {
    config = parse_pretrained_config(ConfigNode::parse_json(text, "fuzz"));
  } catch (const Error&) {
    return;
  }
  try {
    (void)parse_encoder_config(to_config(config));
  } catch (const ConfigError& error) {
    throw Contradiction(std::string("an encoder that no bundle may have: ") + error.what());
  }
}

inline void fuzz_npz(Bytes bytes) {
  expect_only_errors([&] { (void)parse_npy(bytes, "fuzz"); });
  expect_only_errors([&] {
    const auto file = NpzFile::parse(bytes, "fuzz");
    for (const auto& name : file.names()) {
      expect_only_errors([&] { (void)file.read_any(name, std::size_t{1} << 24); });
      expect_only_errors([&] {
        const auto pixels = file.mapped(name);
        if (pixels && static_cast<std::size_t>(pixels->numel()) > bytes.size())
          throw Contradiction("an array larger than its file");
      });
    }
    expect_only_errors([&] { (void)file.text("settings.json"); });
  });
}

inline void fuzz_torch_checkpoint(Bytes bytes) {
  const auto read_all = [&](const TorchCheckpoint& file) {
    for (const auto& name : file.names()) {
      const TensorInfo& info = file.info(name);
      if (static_cast<std::size_t>(info.shape.numel()) * size_of(info.dtype) > bytes.size())
        throw Contradiction("a tensor larger than its file");
      expect_only_errors([&] { (void)file.read<float>(name); });
      expect_only_errors([&] { (void)file.read<std::int64_t>(name); });
    }
    for (const auto& [name, reason] : file.unreadable())
      if (file.contains(name)) throw Contradiction("an unreadable tensor that can be read");
    (void)file.tree();
  };
  expect_only_errors([&] {
    const auto file = TorchCheckpoint::parse(bytes, "fuzz");
    if (file.names().size() > 1000) return;  // too slow: many names may refer to one tensor
    read_all(file);
    read_all(file.state_dict());
  });
}

}  // namespace rae::test
