// Conversion between formats: bundles keep every bit, and official state dicts equal those of the
// official code.
#include "rae/formats/bundle_writer.hpp"

#include <gtest/gtest.h>

#include "rae/formats/bundle.hpp"
#include "rae/formats/huggingface_encoder.hpp"
#include "rae/formats/official/open.hpp"
#include "rae/nn/outline.hpp"
#include "support/golden_model.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {
namespace {

using Strings = std::vector<std::string>;

/// Writes a bundle and returns its path.
std::string write_bundle(const TempFolder& folder, const Bundle& bundle) {
  bundle.save(folder / "in.safetensors");
  return folder / "in.safetensors";
}

/// A source with the same tensors, except that the first element of one is changed.
TensorGroup changed(const TensorGroup& part, const TempFolder& folder, const std::string& name,
                    float value) {
  std::vector<SafetensorsEntry> entries;
  for (const std::string& each : part.tensors.names()) {
    Tensor<float> tensor = part.tensors.read<float>(each);  // as in the file
    if (each == name) tensor[0] = value;
    entries.push_back({each, tensor});
  }
  write_safetensors(folder / "changed.safetensors", entries);
  return {TensorSource::open(folder / "changed.safetensors"), part.names};
}

TEST(Convert, BundlesKeepEveryBit) {
  const TempFolder folder;
  const Bundle bundle = tiny_bundle();
  const ModelFiles files = ModelFiles::open(write_bundle(folder, bundle));
  save_bundle(files, folder / "out.safetensors", DType::f32, bundle.notes);
  const Bundle again = Bundle::load(folder / "out.safetensors");
  EXPECT_EQ(to_config(again.config), to_config(bundle.config));
  EXPECT_EQ(again.notes, bundle.notes);
  ASSERT_EQ(again.tensors.size(), bundle.tensors.size());
  for (const auto& [name, tensor] : bundle.tensors)
    expect_close(again.tensors.at(name), tensor, 0.0, name);

  save_bundle(files, folder / "half.safetensors", DType::bf16);
  bundle.save(folder / "expected.safetensors", DType::bf16);
  const auto half = SafetensorsFile::open(folder / "half.safetensors"),
             expected = SafetensorsFile::open(folder / "expected.safetensors");
  for (const std::string& name : expected.names()) {
    EXPECT_EQ(half.info(name).dtype, expected.info(name).dtype) << name;
    expect_close(half.read<float>(name), expected.read<float>(name), 0.0, name);
  }
}

TEST(Convert, AbsentNetworks) {
  const TempFolder folder;
  ModelFiles files = ModelFiles::open(write_bundle(folder, tiny_bundle()));
  files.dit.reset();
  files.encoder.reset();
  save_bundle(files, folder / "decoder.safetensors");
  const ModelFiles decoder = ModelFiles::open(folder / "decoder.safetensors");
  EXPECT_FALSE(decoder.encoder || decoder.dit || decoder.config.dit);
  const OfficialFiles official = save_official(decoder, folder / "official");
  EXPECT_EQ(official.written,
            (Strings{folder / "official/decoder/model.pt", folder / "official/stats/stat.pt",
                     folder / "official/decoder/config.json"}));
  EXPECT_EQ(official.notes, (Strings{"no config.yaml: pictures are gray"}));
  files.decoder.reset();
  EXPECT_THROW(save_bundle(files, folder / "none.safetensors"), ArgumentError);
}

/// Statistics whose epsilon differs from the 1e-5 of bundles.
TEST(Convert, EpsilonOfTheStatistics) {
  const TempFolder folder;
  ModelFiles files = ModelFiles::open(write_bundle(folder, tiny_bundle()));
  files.latent_norm.eps = 0;
  files.latent_norm.var = Tensor<float>(files.config.latent_shape(), 0.25f);
  files.latent_norm.var[1] = 1e-5f;
  save_bundle(files, folder / "out.safetensors");
  const auto norm = ModelFiles::open(folder / "out.safetensors").latent_norm;
  EXPECT_EQ(norm.eps, 1e-5);
  EXPECT_FLOAT_EQ(norm.var[0], 0.24999f);
  EXPECT_EQ(norm.var[1], 0.0f);
  files.latent_norm.var[2] = 1e-6f;
  EXPECT_THROW(save_bundle(files, folder / "out.safetensors"), FormatError);
}

/// The written file has exactly the tensors of the golden case.
void expect_state_dict(const std::string& path, const std::string& name) {
  SCOPED_TRACE(name);
  const Golden golden(name + "/weights.safetensors");
  const auto written = TensorSource::open(path);
  EXPECT_EQ(written.names().size(), golden.file().names().size());
  for (const std::string& tensor : golden.file().names()) {
    ASSERT_TRUE(written.contains(tensor)) << tensor;
    ASSERT_EQ(written.info(tensor).shape, golden.file().info(tensor).shape) << tensor;
    // Rotary tables are computed, all other tensors are copied.
    expect_close(written.read<float>(tensor), golden(tensor),
                 tensor.find("rope") == std::string::npos ? 0.0 : 1e-6, tensor);
  }
}

TEST(Convert, OfficialStateDicts) {
  const TempFolder folder;
  for (const std::string name : {"ddt_official_flags", "ddt_layernorm_gelu", "ddt_same_width"}) {
    ModelFiles files;
    files.config.dit = dit_dh_config(golden_config(name));
    files.dit =
        TensorGroup{TensorSource::open(data_path("golden/" + name + "/weights.safetensors"))};
    EXPECT_EQ(save_official(files, folder.path()).written,
              (Strings{folder / "dit/stage2_model.pt"}));
    expect_state_dict(folder / "dit/stage2_model.pt", name);
  }
  ModelFiles files;
  files.config.decoder = decoder_config(golden_config("decoder_tiny"));
  files.decoder = TensorGroup{
      TensorSource::open(data_path("golden/decoder_tiny/weights.safetensors")), decoder_names()};
  files.latent_norm.var = Tensor<float>(Shape{3, 2, 2}, 0.5f);
  EXPECT_EQ(save_official(files, folder.path()).written.front(), folder / "decoder/model.pt");
  expect_state_dict(folder / "decoder/model.pt", "decoder_tiny");
  const auto statistics = TensorSource::open(folder / "stats/stat.pt");
  EXPECT_EQ(statistics.names(), (Strings{"var"}));
  EXPECT_EQ(statistics.read<float>("var", Shape{3, 2, 2})[11], 0.5f);

  // Rows of several matrices that are concatenated in this library are split in the file.
  save_official(files, folder / "half", DType::f16);
  const auto half = TensorSource::open(folder / "half/decoder/model.pt");
  EXPECT_EQ(half.info("decoder_layers.0.attention.attention.key.weight").dtype, DType::f16);
  EXPECT_EQ(
      half.read<float>("decoder_pred.bias")[1],
      static_cast<float>(f16(Golden("decoder_tiny/weights.safetensors")("decoder_pred.bias")[1])));
}

/// The configuration of a model without its name.
std::string settings_of(ModelConfig config) {
  config.name.clear();
  return to_config(config).to_json(1);
}

/// Both files have the same values, each under its own names.
void expect_equal_parts(const TensorGroup& got, const TensorGroup& expected,
                        const std::vector<ParameterShape>& parameters) {
  const auto read = [](const TensorGroup& part, const std::string& name) {
    std::vector<float> out;
    for (const std::string& file : part.names ? part.names(name) : Strings{name}) {
      const Tensor<float> piece = part.tensors.read<float>(file);  // as in the file
      out.insert(out.end(), piece.span().begin(), piece.span().end());
    }
    return out;
  };
  for (const auto& [name, shape, use] : parameters)
    EXPECT_EQ(read(got, name), read(expected, name)) << name;
}

TEST(Convert, OfficialModelsRoundTrip) {
  const TempFolder folder;
  ModelFiles files = open_official(data_path("golden/e2e_dinov2_ag/config.yaml"));
  const OfficialFiles official = save_official(files, folder / "o");
  EXPECT_EQ(official.notes, Strings{});
  EXPECT_EQ(official.written.back(), folder / "o/config.yaml");
  const ModelFiles again = open_official(folder / "o/config.yaml");
  EXPECT_EQ(settings_of(again.config), settings_of(files.config));
  expect_equal_parts(*again.encoder, *files.encoder, files.config.encoder.parameter_shapes());
  expect_equal_parts(*again.decoder, *files.decoder,
                     parameter_shapes<Decoder>(*files.config.decoder));
  expect_equal_parts(*again.dit, *files.dit, files.config.dit->parameter_shapes());
  expect_equal_parts(*again.guide, *files.guide, files.config.guide->parameter_shapes());
  expect_close(again.latent_norm.var, files.latent_norm.var, 0.0);
  // Hugging Face and the strict loading of the official code also expect these.
  const auto encoder = TensorSource::open(folder / "o/encoder"),
             original = TensorSource::open(data_path("golden/e2e_dinov2_ag/encoder"));
  EXPECT_EQ(encoder.metadata().at("format"), "pt");
  for (const std::string& name : original.names())
    EXPECT_EQ(encoder.info(name).shape, original.info(name).shape) << name;
}

TEST(Convert, EverySamplerHasAnOfficialConfiguration) {
  const TempFolder folder;
  ModelFiles files = open_official(data_path("golden/e2e_dinov2_ag/config.yaml"));
  SamplingDefaults& sampling = files.config.sampling;
  const auto expect_back = [&] {
    (void)save_official(files, folder.path());
    EXPECT_EQ(settings_of(open_official(folder / "config.yaml", {.guide = true}).config),
              settings_of(files.config));
  };
  sampling.solver = Solver::heun;
  sampling.steps = 9;
  files.config.time_shift = 1.7;
  files.config.path = PathKind::gvp;
  expect_back();
  sampling.solver = AdaptiveSolver::dopri5;
  sampling.atol = 1e-4;
  files.config.prediction = Prediction::score;
  sampling.sample_eps = 0.01;
  expect_back();
  sampling.kind = SamplerKind::sde;
  sampling.sde = {.solver = SdeSolver::heun,
                  .form = DiffusionForm::increasing_decreasing,
                  .norm = 0.5,
                  .last_step = SdeLastStep::tweedie,
                  .last_step_size = 0.1};
  sampling.autoguidance.reset();
  sampling.guidance = {.scale = 1.3f, .t_min = 0.2f, .t_max = 0.7f};
  (void)save_official(files, folder.path());
  const SamplingDefaults again = open_official(folder / "config.yaml").config.sampling;
  EXPECT_EQ(again.sde.form, sampling.sde.form);
  EXPECT_EQ(again.sde.last_step, sampling.sde.last_step);
  EXPECT_EQ(again.sde.last_step_size, 0.1);
  EXPECT_EQ(again.sde.norm, 0.5);
  EXPECT_EQ(again.guidance.scale, 1.3f);
  EXPECT_EQ(again.guidance.t_max, 0.7f);

  // A grid that ends at zero has one point more than steps.
  sampling = {.steps = 9};
  EXPECT_EQ(save_official(files, folder.path()).notes.size(), 1u);
  EXPECT_EQ(open_official(folder / "config.yaml").config.sampling.steps, 10);
}

TEST(Convert, EncodersOfEveryFamily) {
  for (const std::string name : {"rae_mae_tiny", "rae_siglip2_tiny"}) {
    SCOPED_TRACE(name);
    const TempFolder folder;
    const bool mae = name == "rae_mae_tiny";
    std::filesystem::copy_file(data_path("golden/" + name + "/hub_model.safetensors"),
                               folder / "model.safetensors");
    ConfigNode config = golden_config(name).at("encoder");
    config.set("model_type", mae ? "vit_mae" : "siglip_vision_model");
    folder.write("config.json", config.to_json());
    PretrainedEncoder encoder = open_encoder_folder(folder.path());
    ModelFiles files;
    files.config.encoder = encoder.config;
    files.config.pixels = encoder.pixels;
    files.config.image_size = 64;
    files.config.encoder_size = 4 * encoder.config.patch_size;
    files.encoder = std::move(encoder.file);
    const OfficialFiles official = save_official(files, folder / "o");
    EXPECT_EQ(official.notes, (Strings{"no config.yaml: there is no decoder"}));
    const PretrainedEncoder again = open_encoder_folder(folder / "o/encoder");
    EXPECT_EQ(to_config(again.config), files.config.encoder.to_config());
    EXPECT_EQ(again.pixels.std, files.config.pixels.std);
    expect_equal_parts(again.file, *files.encoder, parameter_shapes<Encoder>(again.config));
  }
}

TEST(Convert, NumbersThatCannotBeStored) {
  const TempFolder folder;
  const ModelFiles files = ModelFiles::open(write_bundle(folder, tiny_bundle()));
  const auto message = [&](float value, DType type) {
    ModelFiles other = files;
    other.decoder = changed(*files.decoder, folder, "decoder_pred.weight", value);
    return message_of<Error>([&] { save_bundle(other, folder / "out.safetensors", type); });
  };
  EXPECT_NE(message(70000.f, DType::f16)
                .find("decoder_pred.weight contains 70000, which is too large for f16; use bf16"),
            std::string::npos);
  EXPECT_NE(message(std::nanf(""), DType::f32).find("NaN or infinity"), std::string::npos);
  EXPECT_THROW(save_bundle(files, folder / "out.safetensors", DType::int32), ArgumentError);
  EXPECT_THROW(save_bundle(files, folder / "out.safetensors", DType::f32, {{"config", "{}"}}),
               ArgumentError);
  EXPECT_FALSE(std::filesystem::exists(folder / "out.safetensors"));
  ModelFiles wrong = files;
  wrong.decoder = TensorGroup{files.encoder->tensors};
  EXPECT_NE(message_of<FormatError>([&] {
              save_bundle(wrong, folder / "out.safetensors");
            }).find("is missing, and"),
            std::string::npos);
  EXPECT_THROW((void)save_official(files, write_bundle(folder, tiny_bundle())), FileError);
}

}  // namespace
}  // namespace rae::test
