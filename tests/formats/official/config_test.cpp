// Official configurations: the values that are read, the error messages of those that are refused,
// and the notes.
#include "rae/formats/official/config.hpp"

#include <cmath>

#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "support/official_files.hpp"

namespace rae::test {
namespace {

OfficialConfig parse(const std::vector<std::string>& changes = {}) {
  return parse_official_config(changed_golden_config(changes));
}

/// True if a note contains this text.
bool noted(const OfficialConfig& config, const std::string& text) {
  for (const auto& note : config.notes)
    if (note.find(text) != std::string::npos) return true;
  return false;
}

TEST(OfficialConfig, ReadsTheGoldenFile) {
  const OfficialConfig c = parse();
  ASSERT_TRUE(c.stage_1);
  EXPECT_EQ(c.stage_1->family, EncoderFamily::dinov2);
  EXPECT_EQ(c.stage_1->encoder_path, "encoder");
  EXPECT_EQ(c.stage_1->encoder_input_size, 56);
  EXPECT_EQ(c.stage_1->decoder_patch_size, 16);
  EXPECT_EQ(c.stage_1->pretrained_decoder_path, "decoder/model.pt");
  EXPECT_EQ(c.stage_1->normalization_stat_path, "stats/stat.pt");
  EXPECT_EQ(c.stage_1->noise_tau, 0);
  EXPECT_EQ(c.stage_1->eps, 1e-5);
  ASSERT_TRUE(c.stage_2);
  const DitDhConfig& dit = c.stage_2->backbone.get<DitDhConfig>();
  EXPECT_EQ(dit.grid_h, 4);
  EXPECT_EQ(dit.in_channels, 48);
  EXPECT_EQ(dit.hidden_size[0], 48);
  EXPECT_EQ(dit.hidden_size[1], 64);
  EXPECT_EQ(dit.depth[0], 3);
  EXPECT_EQ(dit.num_classes, 10);
  EXPECT_TRUE(dit.use_swiglu && dit.use_rope && dit.use_rmsnorm && dit.use_pos_embed &&
              !dit.use_qknorm);
  EXPECT_EQ(c.stage_2->ckpt, "dit/stage2_model.pt");
  EXPECT_EQ(c.sampling.kind, SamplerKind::ode);
  EXPECT_EQ(c.sampling.grid, TimeGridKind::official);
  EXPECT_EQ(c.sampling.steps, 50);
  EXPECT_EQ(c.sampling.solver, OdeSolver(Solver::euler));
  EXPECT_EQ(c.sampling.atol, 1e-6);
  EXPECT_EQ(c.sampling.guidance.scale, 1.0f);
  ASSERT_TRUE(c.sampling.autoguidance && c.guide);
  EXPECT_EQ(c.sampling.autoguidance->scale, 1.42f);
  EXPECT_EQ(c.guide->backbone.get<DitDhConfig>().hidden_size[0], 16);
  EXPECT_EQ(c.guide->ckpt, "guide/stage2_model.pt");
  EXPECT_EQ(c.latent_size, (Shape{48, 4, 4}));
  EXPECT_NEAR(c.time_shift(), std::sqrt(12.0), 1e-12);
  ASSERT_EQ(c.notes.size(), 1u);
  EXPECT_TRUE(noted(c, "guidance: t-min and t-max"));
}

struct Refused {
  std::string name;
  std::vector<std::string> changes;
  std::vector<std::string> message;
};

void PrintTo(const Refused& row, std::ostream* out) { *out << row.name; }

class RefusedOptions : public testing::TestWithParam<Refused> {};

TEST_P(RefusedOptions, NameThePlaceAndTheReason) {
  const ConfigNode node = changed_golden_config(GetParam().changes);
  const std::string message = message_of<ConfigError>([&] { (void)parse_official_config(node); });
  for (const auto& part : GetParam().message)
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' in: " << message;
}

const Refused kRefused[] = {
    {"UnknownSection", {"samplr={}"}, {"'samplr'", "did you mean 'sampler'?"}},
    {"UnknownKeyOfStage1",
     {"stage_1.params.noise_tou=0"},
     {"stage_1.params", "did you mean 'noise_tau'?"}},
    {"UnknownKeyOfStage2",
     {"stage_2.params.use_ropes=true"},
     {"stage_2.params", "did you mean 'use_rope'?"}},
    {"UnknownKeyOfTheSampler",
     {"sampler.params.num_step=3"},
     {"sampler.params", "did you mean 'num_steps'?"}},
    {"UnknownKeyOfGuidance", {"guidance.scales=3"}, {"guidance", "did you mean 'scale'?"}},
    {"UnknownKeyOfTraining", {"training={epoch: 3}"}, {"training", "did you mean 'epochs'?"}},
    {"UnknownKeyOfGan",
     {"gan={disc: {arch: {dino_ckpt_path: x, kss: 9}}}"},
     {"gan.disc.arch", "did you mean 'ks'?"}},
    {"UnknownEncoder",
     {"stage_1.params.encoder_cls=Dinov2WithNorm"},
     {"encoder_cls", "did you mean 'Dinov2withNorm'?"}},
    {"AffineEncoder",
     {"stage_1.params.encoder_params.normalize=false"},
     {"normalize", "LayerNorm"}},
    {"TokensInsteadOfGrids", {"stage_1.params.reshape_to_2d=false"}, {"reshape_to_2d", "grids"}},
    {"NoEncoderPath", {"stage_1.params.encoder_params={}"}, {"'dinov2_path' is missing"}},
    {"OtherTarget",
     {"stage_2.target=stage2.models.SiT"},
     {"stage_2.target", "DiTwDDTHead or LightningDiT", "stage2.models.SiT"}},
    {"NoShift", {"stage_2.params.wo_shift=true"}, {"wo_shift", "cannot run"}},
    {"PatchesInDdt", {"stage_2.params.patch_size=2"}, {"patch_size", "cannot run"}},
    {"HeadsDoNotDivide",
     {"stage_2.params.num_heads=[5, 4]"},
     {"stage_2.params", "does not divide into 5 heads"}},
    {"OneHiddenSize", {"stage_2.params.hidden_size=48"}, {"hidden_size", "backbone and head"}},
    {"WrongType",
     {"stage_2.params.depth=[3, many]"},
     {"stage_2.params.depth[1]", "integer", "'many'"}},
    {"LightningKeyInDdt", {"stage_2.params.learn_sigma=false"}, {"'learn_sigma'"}},
    {"OtherPath",
     {"transport.params.path_type=linera"},
     {"transport.params.path_type", "linear, gvp or vp"}},
    {"OtherPrediction",
     {"transport.params.prediction=noises"},
     {"prediction", "did you mean 'noise'?"}},
    {"ShiftInTransport",
     {"transport.params.time_dist_shift=2"},
     {"time_dist_shift", "misc.time_dist_shift_dim"}},
    {"OtherTimes",
     {"transport.params.time_dist_type=logit-normal"},
     {"time_dist_type", "logit-normal_MU_SIGMA"}},
    {"OtherMode", {"sampler.mode=PDE"}, {"sampler.mode", "'PDE'"}},
    {"OtherMethod",
     {"sampler.params.sampling_method=eular"},
     {"sampling_method", "'eular'", "dopri5"}},
    {"OneGridPoint", {"sampler.params.num_steps=1"}, {"num_steps", "from 2 to"}},
    {"Reverse", {"sampler.params.reverse=true"}, {"reverse", "pictures to noise"}},
    {"Sbdm",
     {"sampler={mode: SDE, params: {sampling_method: euler, diffusion_form: SBDM}}"},
     {"SBDM", "NaN", "sigma, linear"}},
    {"DefaultForm",
     {"sampler={mode: SDE, params: {sampling_method: euler}}"},
     {"diffusion_form", "the official default"}},
    {"EmptyLastStep",
     {"sampler={mode: SDE, params: {sampling_method: euler, diffusion_form: sigma, last_step_size: "
      "0}}"},
     {"last_step_size", "above 0"}},
    {"OdeKeyInSde", {"sampler.mode=SDE"}, {"sampler.params", "'atol'"}},
    {"OtherGuidance",
     {"guidance.method=autoguidence"},
     {"guidance.method", "did you mean 'autoguidance'?"}},
    {"TwoSpellings",
     {"guidance.t_min=0.3"},
     {"guidance", "t_min and t-min are both given and differ"}},
    {"IntervalTurnedAround",
     {"guidance.t-min=0.6", "guidance.t-max=0.4"},
     {"t_min 0.6 is above t_max 0.4"}},
    {"NoGuide",
     {"guidance={method: autoguidance, scale: 1.5}"},
     {"guidance", "needs the key 'guidance_model'"}},
    {"GuideOfOtherClasses",
     {"guidance.guidance_model.params.num_classes=11"},
     {"guidance_model", "11 classes"}},
    {"LatentOfOtherSize",
     {"misc.latent_size=[48, 8, 8]"},
     {"misc.latent_size", "(48, 8, 8)", "(48, 4, 4)"}},
    {"OtherClasses", {"misc.num_classes=1000"}, {"misc.num_classes", "1000", "10"}},
    {"OtherNullLabel", {"misc.null_label=3"}, {"misc.null_label", "expected 10"}},
    {"ShiftBelowOne", {"misc.time_dist_shift_base=4096"}, {"time shift", "below 1"}},
    {"CfgWithoutNullClass",
     {"guidance={method: cfg, scale: 1.5}", "stage_2.params.class_dropout_prob=0"},
     {"null class", "class_dropout_prob"}},
};

INSTANTIATE_TEST_SUITE_P(Table, RefusedOptions, testing::ValuesIn(kRefused),
                         [](const auto& row) { return row.param.name; });

TEST(OfficialConfig, NeedsASectionForAModel) {
  const ConfigNode node = ConfigNode::parse_yaml("misc: {num_classes: 10}", "a.yaml");
  EXPECT_NE(message_of<ConfigError>([&] {
              (void)parse_official_config(node);
            }).find("a.yaml: expected a section stage_1 or stage_2"),
            std::string::npos);
}

TEST(OfficialConfig, HasTheDefaultsOfTheOfficialCode) {
  const ConfigNode node = ConfigNode::parse_yaml(
      "stage_2: {target: stage2.models.lightningDiT.LightningDiT}\n"
      "sampler: {mode: ode}\n"
      "guidance: {}\n");
  const OfficialConfig c = parse_official_config(node);
  ASSERT_TRUE(c.stage_2);
  const LightningDitConfig& dit = c.stage_2->backbone.get<LightningDitConfig>();
  EXPECT_EQ(dit.input_h, 16);
  EXPECT_EQ(dit.depth, 28);
  EXPECT_EQ(c.sampling.solver, OdeSolver(AdaptiveSolver::dopri5));
  EXPECT_EQ(c.sampling.steps, 50);
  EXPECT_NEAR(c.time_shift(), std::sqrt(48.0), 1e-12);
  EXPECT_EQ(c.sampling.guidance.scale, 1.0f);
  EXPECT_FALSE(c.sampling.autoguidance);
  EXPECT_TRUE(c.notes.empty());
}

TEST(OfficialConfig, BothSpellingsOfTheIntervalAreRead) {
  const OfficialConfig dashed = parse({"guidance.t-min=0.25", "guidance.t-max=2"});
  EXPECT_EQ(dashed.sampling.autoguidance->t_min, 0.25f);
  EXPECT_EQ(dashed.sampling.autoguidance->t_max, 1.0f);
  const OfficialConfig plain = parse_official_config(ConfigNode::parse_yaml(
      "stage_2: {target: a.LightningDiT}\nguidance: {scale: 2, t_min: 0.25, t_max: 0.5}"));
  EXPECT_EQ(plain.sampling.guidance.t_min, 0.25f);
  EXPECT_EQ(plain.sampling.guidance.t_max, 0.5f);
  EXPECT_FALSE(noted(plain, "hyphen"));
  EXPECT_TRUE(noted(plain, "cannot guide a LightningDiT"));
}

TEST(OfficialConfig, AScaleBelowOneMeansNoGuidance) {
  const OfficialConfig c = parse({"guidance.scale=0.5"});
  EXPECT_EQ(c.sampling.autoguidance->scale, 1.0f);
  EXPECT_EQ(c.guidance_scale, 0.5f);
  EXPECT_TRUE(noted(c, "switches guidance off"));
}

TEST(OfficialConfig, StochasticSampler) {
  const OfficialConfig c =
      parse({"sampler={mode: SDE, params: {sampling_method: heun, diffusion_form: "
             "inccreasing-decreasing, diffusion_norm: 2, last_step: "
             "Tweedie, last_step_size: 0.02, num_steps: 30}}"});
  EXPECT_EQ(c.sampling.kind, SamplerKind::sde);
  EXPECT_EQ(c.sampling.sde.solver, SdeSolver::heun);
  EXPECT_EQ(c.sampling.sde.form, DiffusionForm::increasing_decreasing);
  EXPECT_EQ(c.sampling.sde.norm, 2.0);
  EXPECT_EQ(c.sampling.sde.last_step, SdeLastStep::tweedie);
  EXPECT_EQ(c.sampling.sde.last_step_size, 0.02);
  EXPECT_EQ(c.sampling.steps, 30);
  // The default form, which is finite for the VP path with the official formulas.
  const OfficialConfig vp = parse({"transport.params={path_type: VP}",
                                   "sampler={mode: SDE, params: {sampling_method: euler}}"});
  EXPECT_EQ(vp.sampling.sde.form, DiffusionForm::sbdm);
  const OfficialConfig none =
      parse({"sampler={mode: SDE, params: {diffusion_form: constant, last_step: null}}"});
  EXPECT_EQ(none.sampling.sde.last_step, SdeLastStep::none);
  EXPECT_EQ(none.sampling.sde.last_step_size, 0.0);
  EXPECT_EQ(none.sampling.steps, 250);
  EXPECT_TRUE(noted(none, "'constant'"));
  EXPECT_TRUE(noted(none, "sampling_method"));
}

TEST(OfficialConfig, DistanceFromTheEndsOfThePath) {
  const OfficialConfig c = parse(
      {"transport.params={path_type: VP, prediction: score, sample_eps: 0.002, train_eps: 0.01}"});
  EXPECT_EQ(c.transport.path, PathKind::vp);
  EXPECT_EQ(c.transport.prediction, Prediction::score);
  EXPECT_EQ(c.sampling.sample_eps, 0.002);
  EXPECT_EQ(c.transport.train_eps, 0.01);
  EXPECT_FALSE(noted(c, "sample_eps"));
  EXPECT_TRUE(
      noted(parse({"transport.params={path_type: GVP, prediction: noise}"}), "no sample_eps"));
  const OfficialConfig unused = parse({"transport.params={sample_eps: 0.002}"});
  EXPECT_FALSE(unused.sampling.sample_eps);
  EXPECT_TRUE(noted(unused, "sample_eps: has no effect"));
}

TEST(OfficialConfig, OtherEncoders) {
  const OfficialConfig siglip = parse({"stage_1.params.encoder_cls=SigLIP2wNorm",
                                       "stage_1.params.encoder_params={model_name: a/b}"});
  EXPECT_EQ(siglip.stage_1->family, EncoderFamily::siglip2);
  EXPECT_EQ(siglip.stage_1->encoder_path, "a/b");
  const OfficialConfig mae = parse(
      {"stage_1.params.encoder_cls=MAEwNorm", "stage_1.params.encoder_params={model_name: c}"});
  EXPECT_EQ(mae.stage_1->family, EncoderFamily::mae);
}

TEST(OfficialConfig, LightningDitAndItsSwitches) {
  const OfficialConfig c =
      parse({"stage_2={target: stage2.models.lightningDiT.LightningDiT, ckpt: x.pt, params: "
             "{input_size: 4, patch_size: 2, in_channels: "
             "48, hidden_size: 32, depth: 3, num_heads: 4, num_classes: 10, learn_sigma: true, "
             "use_swiglu: false, use_rope: false, "
             "use_rmsnorm: false, use_qknorm: true, use_gembed: false}}",
             "guidance={}"});
  const LightningDitConfig& dit = c.stage_2->backbone.get<LightningDitConfig>();
  EXPECT_EQ(dit.patch_size, 2);
  EXPECT_TRUE(dit.learn_sigma && dit.use_qknorm);
  EXPECT_FALSE(dit.use_swiglu || dit.use_rope || dit.use_rmsnorm);
  EXPECT_TRUE(noted(c, "use_gembed"));
  EXPECT_EQ(c.stage_2->backbone.latent_shape(), (Shape{48, 4, 4}));
}

TEST(OfficialConfig, TrainingOfTheDiffusionTransformer) {
  const OfficialConfig c =
      parse({"training={epochs: 7, global_batch_size: 64, ema_decay: 0.9, clip_grad: 0.0, "
             "global_seed: 42, optimizer: {lr: 1e-3, betas: "
             "[0.8, 0.9], weight_decay: 0.1}, scheduler: {type: cosine, warmup_epochs: 2, "
             "decay_end_epoch: 5, base_lr: 1e-3, final_lr: "
             "1e-4, warmup_from_zero: true}}",
             "eval={eval_interval: 10, data_path: d, reference_npz_path: r.npz}"});
  ASSERT_TRUE(c.training && c.training->scheduler);
  EXPECT_EQ(c.training->epochs, 7);
  EXPECT_EQ(c.training->global_batch_size, 64);
  EXPECT_EQ(c.training->clip_grad, 0.0);
  EXPECT_EQ(c.training->global_seed, 42u);
  EXPECT_EQ(c.training->optimizer.lr, 1e-3);
  EXPECT_EQ(c.training->optimizer.betas[1], 0.9);
  EXPECT_EQ(c.training->optimizer.weight_decay, 0.1);
  EXPECT_TRUE(c.training->scheduler->cosine && c.training->scheduler->warmup_from_zero);
  EXPECT_EQ(c.training->scheduler->decay_end_epoch, 5);
  EXPECT_EQ(c.training->scheduler->final_lr, 1e-4);
  ASSERT_TRUE(c.eval);
  EXPECT_EQ(c.eval->reference_npz_path, "r.npz");
  EXPECT_EQ(c.notes.size(), 1u);
  EXPECT_TRUE(noted(parse({"training={epochs: 7}"}), "no scheduler section"));
}

TEST(OfficialConfig, TrainingOfTheDecoder) {
  ConfigNode node = ConfigNode::map();
  node.set("stage_1", changed_golden_config({"stage_1.params.noise_tau=0.8"}).at("stage_1"));
  node.apply_override("training={epochs: 16, ema_decay: 0.9978}");
  node.apply_override(
      "gan={disc: {arch: {dino_ckpt_path: d.pth, ks: 9, norm_type: bn, recipe: S_8}, optimizer: "
      "{lr: 3e-4}, augment: {prob: 0.5}}, loss: "
      "{disc_loss: vanilla, disc_weight: 0.75, perceptual_weight: 1.0, disc_start: 8, "
      "disc_upd_start: 6, max_d_weight: 10000.0}}");
  const OfficialConfig c = parse_official_config(node);
  EXPECT_EQ(c.stage_1->noise_tau, 0.8);
  ASSERT_TRUE(c.gan);
  EXPECT_EQ(c.gan->kernel_size, 9);
  EXPECT_EQ(c.gan->optimizer.lr, 3e-4);
  EXPECT_EQ(c.gan->augment_prob, 0.5);
  EXPECT_EQ(c.gan->disc_loss, "vanilla");
  EXPECT_EQ(c.gan->disc_start, 8);
  EXPECT_EQ(c.gan->disc_upd_start, 6);
  EXPECT_EQ(c.training->sample_every, 1250);
  EXPECT_FALSE(c.training->scheduler);
  EXPECT_TRUE(c.notes.empty());  // stage 1 runs without a scheduler
}

TEST(OfficialConfig, OldTrainingKeysAreRecognised) {
  const OfficialConfig c =
      parse({"stage_1.params.encoder_input_size=448", "stage_2.params.input_size=16",
             "stage_2.params.in_channels=768",
             "misc={latent_size: [768, 16, 16], num_classes: 10, time_dist_shift_dim: 196608}",
             "guidance={}",
             "training={epochs: 1400, log_every: 100, ckpt_every: 5000, base_lr: 0.0003, final_lr: "
             "0.00002, beta: [0.9, 0.95], wd: 0.0, "
             "schedule_type: linear, decay_start_epoch: 40, decay_end_epoch: 800}"});
  EXPECT_TRUE(noted(c, "no scheduler section and the old keys base_lr, final_lr, beta, wd"));
  EXPECT_TRUE(noted(c, "outdated 512 px training file"));
  ASSERT_TRUE(c.training->scheduler);
  EXPECT_EQ(c.training->optimizer.lr, 3e-4);
  EXPECT_EQ(c.training->scheduler->base_lr, 3e-4);
  EXPECT_EQ(c.training->scheduler->final_lr, 2e-5);
  EXPECT_EQ(c.training->scheduler->warmup_epochs, 40);
  EXPECT_EQ(c.training->scheduler->decay_end_epoch, 800);
  EXPECT_EQ(c.training->log_interval, 100);
}

TEST(OfficialConfig, AShiftForAnotherLatentSizeIsNoted) {
  EXPECT_TRUE(noted(parse({"misc.time_dist_shift_dim=192"}),
                    "time_dist_shift_dim is 192, not the size of a latent, 768"));
}

}  // namespace
}  // namespace rae::test
