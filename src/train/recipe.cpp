#include "rae/train/recipe.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "io/config_values.hpp"
#include "rae/diffusion/time_shift.hpp"
#include "rae/train/quantized_run.hpp"
#include "train/pretrained_encoder.hpp"

namespace rae {

namespace {

/// A range: [lowest, highest].
AugmentRange parse_range(const ConfigNode& node, AugmentRange limits) {
  const auto values = node.as<std::vector<double>>();
  if (values.size() != 2 ||
      !(values[0] >= limits.lowest && values[0] <= values[1] && values[1] <= limits.highest))
    node.fail_expected(concat("[lowest, highest] within ", limits.lowest, " and ", limits.highest));
  return {values[0], values[1]};
}

/// A range, or the largest distance from `centre`, as torchvision's ColorJitter takes both.
AugmentRange parse_jitter(const ConfigNode& node, double centre, AugmentRange limits) {
  if (node.is_list()) return parse_range(node, limits);
  const double most = node.as_number();
  if (!(most >= 0 && centre + most <= limits.highest))
    node.fail_expected(concat("a number between 0 and ", limits.highest - centre));
  return {std::max(limits.lowest, centre - most), centre + most};
}

RandomResizedCrop parse_random_resized_crop(const ConfigNode& node) {
  require_keys_known(node, {"scale", "ratio"});
  RandomResizedCrop o;
  if (const ConfigNode* scale = node.find("scale")) o.scale = parse_range(*scale, {1e-6, 1});
  if (const ConfigNode* ratio = node.find("ratio")) o.ratio = parse_range(*ratio, {0.01, 100});
  return o;
}

ColorJitter parse_color_jitter(const ConfigNode& node) {
  require_keys_known(node, {"brightness", "contrast", "saturation", "hue"});
  ColorJitter o;
  const auto read = [&](const char* key, AugmentRange& range, double centre, AugmentRange limits) {
    if (const ConfigNode* found = node.find(key)) range = parse_jitter(*found, centre, limits);
  };
  read("brightness", o.brightness, 1, {0, 100});
  read("contrast", o.contrast, 1, {0, 100});
  read("saturation", o.saturation, 1, {0, 100});
  read("hue", o.hue, 0, {-0.5, 0.5});
  return o;
}

double number(const ConfigNode& node, std::string_view key, double fallback, double lowest,
              double highest) {
  const ConfigNode* found = node.find(key);
  if (found == nullptr) return fallback;
  const double value = found->as_number();
  if (!(value >= lowest && value <= highest))
    found->fail_expected(concat("a number between ", lowest, " and ", highest));
  return value;
}

RandAugment parse_rand_augment(const ConfigNode& node) {
  require_keys_known(node, {"num_ops", "magnitude", "num_magnitude_bins", "fill"});
  RandAugment o;
  if (const ConfigNode* ops = node.find("num_ops")) o.num_ops = ops->as_integer(0, kMostAugmentOps);
  if (const ConfigNode* bins = node.find("num_magnitude_bins"))
    o.num_magnitude_bins = bins->as_integer(2, 1000);
  if (const ConfigNode* magnitude = node.find("magnitude"))
    o.magnitude = magnitude->as_integer(0, o.num_magnitude_bins - 1);
  o.fill = number(node, "fill", o.fill, 0, 1);
  if (o.magnitude >= o.num_magnitude_bins)
    node.fail_expected(concat("a magnitude below ", o.num_magnitude_bins));
  return o;
}

RandomErasing parse_random_erasing(const ConfigNode& node) {
  require_keys_known(node, {"p", "scale", "ratio", "value"});
  RandomErasing o;
  o.p = number(node, "p", o.p, 0, 1);
  if (const ConfigNode* scale = node.find("scale")) o.scale = parse_range(*scale, {0, 1});
  if (const ConfigNode* ratio = node.find("ratio")) o.ratio = parse_range(*ratio, {0.01, 100});
  const ConfigNode* value = node.find("value");
  if (value != nullptr && value->is_string() && value->as_string() == "random")
    o.noise = true;
  else
    o.value = number(node, "value", o.value, 0, 1);
  return o;
}

Augmentation parse_augmentation(const ConfigNode& node) {
  require_keys_known(node, {"shift", "reflect", "flip", "cutout", "random_resized_crop",
                            "color_jitter", "rand_augment", "random_erasing"});
  Augmentation out;
  if (const ConfigNode* shift = node.find("shift")) out.shift = shift->as_integer(0, 1024);
  out.reflect = node.get_or("reflect", false);
  out.flip = node.get_or("flip", false);
  if (const ConfigNode* cutout = node.find("cutout")) out.cutout = cutout->as_integer(0, 1024);
  if (const ConfigNode* crop = node.find("random_resized_crop"))
    out.random_resized_crop = parse_random_resized_crop(*crop);
  if (const ConfigNode* jitter = node.find("color_jitter"))
    out.color_jitter = parse_color_jitter(*jitter);
  if (const ConfigNode* ops = node.find("rand_augment"))
    out.rand_augment = parse_rand_augment(*ops);
  if (const ConfigNode* erasing = node.find("random_erasing"))
    out.random_erasing = parse_random_erasing(*erasing);
  return out;
}

constexpr double kAny = std::numeric_limits<double>::max();
constexpr std::int64_t kMostEpochs = 1'000'000'000;

PretrainingOptions parse_pretraining(const ConfigNode& node) {
  require_keys_known(node, {"mask_probability", "mask_ratio", "pixel_weight", "label_weight",
                            "label_smoothing", "mixup_alpha", "cutmix_alpha", "mixup_prob",
                            "mixup_switch_prob", "distillation_weight", "distillation_prototypes",
                            "student_temp", "teacher_temp", "teacher_momentum", "augmentation"});
  PretrainingOptions o;
  o.mask_probability = number(node, "mask_probability", o.mask_probability, 0, 1);
  o.mask_ratio = number(node, "mask_ratio", o.mask_ratio, 0, 1);
  o.pixel_weight = number(node, "pixel_weight", o.pixel_weight, 0, kAny);
  o.label_weight = number(node, "label_weight", o.label_weight, 0, kAny);
  o.label_smoothing = number(node, "label_smoothing", o.label_smoothing, 0, 1);
  MixOptions& mix = o.mix;
  mix.mixup_alpha = number(node, "mixup_alpha", mix.mixup_alpha, 0, kMostAlpha);
  mix.cutmix_alpha = number(node, "cutmix_alpha", mix.cutmix_alpha, 0, kMostAlpha);
  mix.mixup_prob = number(node, "mixup_prob", mix.mixup_prob, 0, 1);
  mix.mixup_switch_prob = number(node, "mixup_switch_prob", mix.mixup_switch_prob, 0, 1);
  DistillationOptions& d = o.distillation;
  constexpr double kLeastTemp = 1e-3, kMostTemp = 1e3;
  d.weight = number(node, "distillation_weight", d.weight, 0, kAny);
  if (const ConfigNode* prototypes = node.find("distillation_prototypes"))
    d.prototypes = prototypes->as_integer(2, 1 << 20);
  d.student_temp = number(node, "student_temp", d.student_temp, kLeastTemp, kMostTemp);
  d.teacher_temp = number(node, "teacher_temp", d.teacher_temp, kLeastTemp, kMostTemp);
  d.teacher_momentum = number(node, "teacher_momentum", d.teacher_momentum, 0, 0.999999);
  if (d.weight > 0 && mix.mixes())
    node.fail_expected(
        "distillation_weight, or mixup_alpha and cutmix_alpha, of 0: pictures that are mixed have "
        "no other view");
  if (const ConfigNode* a = node.find("augmentation")) o.augmentation = parse_augmentation(*a);
  return o;
}

/// A step, or {epoch: N}.
LossStart parse_start(const ConfigNode& node, std::string_view key, LossStart fallback) {
  const ConfigNode* start = node.find(key);
  if (start == nullptr) return fallback;
  if (!start->is_map()) return {.step = start->as_integer(0)};
  require_keys_known(*start, {"epoch"});
  return {.epoch = start->at("epoch").as_integer(0, kMostEpochs)};
}

LpipsOptions parse_lpips(const ConfigNode& node) {
  require_keys_known(node, {"weights", "weight", "start"});
  LpipsOptions o;
  const ConfigNode& files = node.at("weights");
  o.weights = files.is_list() ? files.as<std::vector<std::string>>()
                              : std::vector<std::string>{files.as_string()};
  o.weight = number(node, "weight", o.weight, 0, kAny);
  o.start = parse_start(node, "start", o.start);
  return o;
}

DiffAugOptions parse_diff_augment(const ConfigNode& node) {
  require_keys_known(node, {"prob", "cutout"});
  DiffAugOptions o;
  o.prob = number(node, "prob", o.prob, 0, 1);
  o.cutout = number(node, "cutout", o.cutout, 0, 1);
  return o;
}

/// `training`: the decoder's, from which the discriminator's differs where the recipe says so.
GanOptions parse_gan(const ConfigNode& node, TrainingOptions training) {
  require_keys_known(
      node, {"backbone", "num_heads", "key_layers", "kernel_size", "loss", "weight", "max_weight",
             "start", "discriminator_start", "updates", "augment", "train"});
  GanOptions o;
  o.backbone = node.at("backbone").as_string();
  if (const ConfigNode* heads = node.find("num_heads")) o.num_heads = heads->as_integer(0);
  if (const ConfigNode* layers = node.find("key_layers"))
    o.key_layers = layers->as<std::vector<index_t>>();
  if (const ConfigNode* kernel = node.find("kernel_size")) o.kernel_size = kernel->as_integer(1);
  if (const ConfigNode* loss = node.find("loss")) {
    if (loss->as_string() != "hinge" && loss->as_string() != "vanilla")
      loss->fail_expected("hinge or vanilla");
    o.loss = loss->as_string() == "hinge" ? GanLoss::hinge : GanLoss::vanilla;
  }
  o.weight = number(node, "weight", o.weight, 0, kAny);
  o.max_weight = number(node, "max_weight", o.max_weight, 0, kAny);
  o.start = parse_start(node, "start", o.start);
  o.discriminator_start = parse_start(node, "discriminator_start", o.start);
  if (const ConfigNode* updates = node.find("updates")) o.updates = updates->as_integer(1, 1000);
  if (const ConfigNode* augment = node.find("augment")) o.augment = parse_diff_augment(*augment);
  if (const ConfigNode* train = node.find("train")) {
    require_keys_known(*train, {"lr", "final_lr", "decay", "warmup_steps", "warmup_from_zero",
                                "decay_end_step", "betas", "weight_decay", "max_grad_norm"});
    training.max_grad_norm = 0;
    o.training = parse_training_options(*train, training);
  }
  return o;
}

DecoderLossOptions parse_decoder_loss(const ConfigNode& node) {
  require_keys_known(node,
                     {"noise_tau", "noise_law", "perceptual_weight", "augmentation", "lpips"});
  DecoderLossOptions o;
  if (const ConfigNode* lpips = node.find("lpips")) {
    o.lpips = parse_lpips(*lpips);
    o.perceptual_weight =
        0;  // LPIPS takes the place of the encoder's features unless the recipe wants both
  }
  o.noise_tau = number(node, "noise_tau", o.noise_tau, 0, kAny);
  o.perceptual_weight = number(node, "perceptual_weight", o.perceptual_weight, 0, kAny);
  if (const ConfigNode* law = node.find("noise_law")) {
    if (law->as_string() != "uniform" && law->as_string() != "half_normal")
      law->fail_expected("uniform or half_normal");
    o.noise_law = law->as_string() == "uniform" ? NoiseLaw::uniform : NoiseLaw::half_normal;
  }
  if (const ConfigNode* a = node.find("augmentation")) o.augmentation = parse_augmentation(*a);
  return o;
}

StatisticsOptions parse_statistics(const ConfigNode& node) {
  StatisticsOptions o;
  const ConfigNode& rule = node.at("rule");
  if (rule.as_string() != "exact" && rule.as_string() != "official")
    rule.fail_expected("exact or official");
  if (rule.as_string() == "exact") {
    require_keys_known(node, {"rule"});
    return o;
  }
  require_keys_known(node, {"rule", "batch_size", "momentum", "seed", "augmentation"});
  o.rule = StatisticsRule::official;
  if (const ConfigNode* size = node.find("batch_size")) o.batch_size = size->as_integer(1);
  o.momentum = number(node, "momentum", o.momentum, std::numeric_limits<double>::min(), 1);
  o.seed = node.get_or("seed", o.seed);
  if (const ConfigNode* a = node.find("augmentation")) o.augmentation = parse_augmentation(*a);
  return o;
}

LatentOptions parse_latents(const ConfigNode& node) {
  require_keys_known(node, {"cache", "dtype"});
  LatentOptions o;
  if (const ConfigNode* cache = node.find("cache")) {
    if (cache->kind() == ConfigNode::Kind::boolean)
      o.file = cache->as_bool() ? LatentFile::always : LatentFile::never;
    else if (cache->as_string() != "auto")
      cache->fail_expected("true, false or auto");
  }
  if (const ConfigNode* dtype = node.find("dtype")) {
    if (dtype->as_string() != "f32" && dtype->as_string() != "bf16")
      dtype->fail_expected("f32 or bf16");
    o.stored_as = parse_float_dtype(dtype->as_string());
  }
  return o;
}

/// The weights of a base head and of REPA, for networks that have them.
void parse_further(const ConfigNode& node, const ModelConfig& model, FurtherLosses& o) {
  const auto refuse_unless = [&](bool has, const char* key, const char* reason) {
    if (const ConfigNode* given = node.find(key); given != nullptr && !has)
      raise<ConfigError>(given->where(), ": is for networks with ", reason);
  };
  refuse_unless(model.dit->has_base_head(), "base_weight", "a base head (base_depth above 0)");
  refuse_unless(model.dit->aligned_shape().rank() > 0, "align_weight",
                "a projection for REPA (align_depth above 0)");
  o.base = number(node, "base_weight", o.base, 0, kAny);
  o.align = number(node, "align_weight", o.align, 0, kAny);
  (void)aligns(*model.dit, o, node.where());
}

/// Path and prediction are those of the model, so that sampling uses the ones of the training.
FlowOptions parse_flow(const ConfigNode& node, const ModelConfig& model) {
  require_keys_known(node, {"time", "loss_weight", "floored_target", "base_weight", "align_weight",
                            "train_eps", "augmentation"});
  FlowOptions o;
  o.objective = {.path = model.path,
                 .path_formulas = model.path_formulas,
                 .prediction = model.prediction,
                 .floor = model.prediction_floor};
  if (detail::given(node, "loss_weight") != nullptr)
    o.objective.loss_weight = detail::named(node, "loss_weight", "", parse_loss_weighting);
  o.objective.floored_target = node.get_or("floored_target", false);
  if (o.objective.floored_target && o.objective.loss_weight)
    node.fail_expected("no loss_weight beside floored_target, which is a weight, too");
  parse_further(node, model, o.further);
  std::optional<double> eps;
  if (node.contains("train_eps")) eps = number(node, "train_eps", 0, 0, 0.499);
  const TimeInterval interval = training_interval(o.objective, eps);
  o.time = detail::named(node, "time", "logit-normal_0_1", [&](std::string_view name) {
    return TimeDistribution::parse(name, interval);
  });
  o.time_shift = model.time_shift;
  if (const ConfigNode* a = node.find("augmentation")) o.augmentation = parse_augmentation(*a);
  require_trainable(o.objective, o.time, o.time_shift, node.where());
  return o;
}

DType parse_quantize(const ConfigNode& node) {
  for (const DType type : {DType::int8w, DType::int4})
    if (node.as_string() == name_of(type)) return type;
  node.fail_expected("int8w or int4");
}

DatasetOptions parse_data(const ConfigNode& node) {
  require_keys_known(node, {"random_crop", "flip", "seed", "ignore_exif", "held_out"});
  DatasetOptions o;
  o.random_crop = node.get_or("random_crop", false);
  o.flip = node.get_or("flip", false);
  o.seed = node.get_or("seed", std::uint64_t{0});
  o.ignore_exif = node.get_or("ignore_exif", false);
  return o;
}

/// The diffusion network of a recipe's model that has no `num_classes`, by name; "" for none.
std::string_view network_without_classes(const ConfigNode& recipe) {
  const ConfigNode* model = recipe.is_map() ? recipe.find("model") : nullptr;
  if (model == nullptr || !model->is_map()) return {};
  for (const std::string_view name : {"dit", "lightning_dit", "token_dit", "token_dit_dh"})
    if (const ConfigNode* network = model->find(name);
        network != nullptr && network->is_map() && !network->contains("num_classes"))
      return name;
  return {};
}

/// The member `model`, with encoder and pixels of the pretrained one.
ConfigNode with_pretrained_encoder(ConfigNode model, const std::string& path) {
  if (const ConfigNode* encoder = model.find("encoder"))
    raise<ConfigError>(encoder->where(), ": the encoder is that of '", path,
                       "' (encoder.pretrained); leave this member out");
  const detail::TakenEncoder pretrained = detail::open_pretrained(path);
  model.set("encoder", pretrained.config.to_config());
  if (model.contains("pixels")) return model;
  const auto list = [](const std::array<double, 3>& values) {
    return ConfigNode::list({values[0], values[1], values[2]});
  };
  const bool gray = pretrained.config.channels() == 1;
  const auto& [mean, std] = pretrained.pixels;
  model.set("pixels", ConfigNode::map({{"mean", gray ? ConfigNode::list({mean[0]}) : list(mean)},
                                       {"std", gray ? ConfigNode::list({std[0]}) : list(std)}}));
  return model;
}

/// Networks that no stage trains are refused before the first stage starts.
void require_stages(const Recipe& recipe) {
  const std::string place = recipe.source.at("model").where();
  if (recipe.model.guide)
    raise<ConfigError>(place, ".", recipe.model.guide->guide_name(),
                       ": no stage of a recipe trains a guide; train it by a recipe of its own, as "
                       "a model, and leave this member out");
}

/// The model of a recipe. `auto` and, with a stage 2, an absent time shift become the number that
/// follows from the dimension of the latents.
void read_model(Recipe& recipe, bool trains_flow) {
  ConfigNode node = recipe.source.at("model");
  const ConfigNode* shift = node.find("time_shift");
  recipe.automatic_time_shift =
      shift == nullptr ? trains_flow : shift->is_string() && shift->as_string() == "auto";
  if (!recipe.automatic_time_shift) {
    recipe.model = parse_model_config(node);
    return;
  }
  if (shift != nullptr) node.set("time_shift", 1.0);
  recipe.model = parse_model_config(node);
  recipe.model.time_shift = automatic_time_shift(recipe.model.latent_shape());
  // The number decides the numbers of a training, so it belongs to the settings of checkpoints.
  if (shift != nullptr || recipe.model.time_shift != 1.0) {
    node.set("time_shift", recipe.model.time_shift);
    recipe.source.set("model", node);
  }
}

/// Stage 0: pretraining for a built-in encoder; nothing for one without weights or one that is
/// taken from elsewhere.
void parse_stage_0(const ConfigNode& node, Recipe& r) {
  if (!r.pretrained_encoder.empty()) return;
  if (r.model.encoder.get_if<EncoderConfig>() != nullptr) {
    const ConfigNode& encoder = node.at("encoder");
    require_keys_known(encoder, {"pretraining", "train", "pretrained"});
    r.pretraining = parse_pretraining(encoder.at("pretraining"));
    r.encoder_training = parse_training_options(encoder.at("train"));
    return;
  }
  if (r.model.encoder.has_parameters())
    raise<ConfigError>(node.at("model").at("encoder").where(), ": the encoder '",
                       r.model.encoder.family(),
                       "' has weights, which a recipe cannot train; give encoder.pretrained, a "
                       "bundle that has them");
  if (const ConfigNode* encoder = node.find("encoder"))
    raise<ConfigError>(encoder->where(), ": the encoder '", r.model.encoder.family(),
                       "' has no weights to train; leave this member out");
}

}  // namespace

std::string_view name_of(TrainingStage stage) noexcept {
  constexpr std::string_view kNames[] = {"encoder", "decoder", "statistics", "dit"};
  return kNames[static_cast<std::size_t>(stage)];
}

TrainingStage parse_training_stage(std::string_view name) {
  for (const TrainingStage s : {TrainingStage::encoder, TrainingStage::decoder,
                                TrainingStage::statistics, TrainingStage::dit})
    if (name == name_of(s)) return s;
  raise<ArgumentError>("unknown training stage '", name,
                       "': expected encoder, decoder, statistics or dit");
}

bool needs_classes_of_data(const ConfigNode& recipe) {
  return !network_without_classes(recipe).empty();
}

Recipe parse_recipe(const ConfigNode& given, std::optional<index_t> classes) {
  ConfigNode node = given;
  if (const std::string_view name = network_without_classes(node); classes && !name.empty())
    node.set_path(concat("model.", name, ".num_classes"), *classes);
  require_keys_known(node, {"model", "data", "encoder", "decoder", "statistics", "latents", "dit",
                            "quantize", "notes"});
  Recipe r;
  r.source = node;
  const ConfigNode* encoder = node.find("encoder");
  if (const ConfigNode* pretrained = encoder == nullptr ? nullptr : encoder->find("pretrained")) {
    require_keys_known(*encoder, {"pretrained"});
    r.pretrained_encoder = pretrained->as_string();
    r.source.set("model", with_pretrained_encoder(node.at("model"), r.pretrained_encoder));
  }
  read_model(r, node.contains("dit"));
  if (!r.model.decoder)
    raise<ConfigError>(node.at("model").where(), ": a recipe needs the member decoder");
  if (r.model.dit.has_value() != node.contains("dit"))
    raise<ConfigError>(node.where(), ": a recipe needs both of a network to train (model.",
                       r.model.dit ? r.model.dit->name() : "dit",
                       ") and how to train it (dit), or neither to end with the statistics");
  require_stages(r);
  if (const ConfigNode* data = node.find("data")) {
    r.data = parse_data(*data);
    r.held_out = number(*data, "held_out", r.held_out, 0, 0.5);
  }
  r.data.size = r.model.image_size;
  r.data.width = r.model.image_width;
  r.data.channels = static_cast<int>(r.model.encoder.channels());

  parse_stage_0(node, r);

  const ConfigNode& decoder = node.at("decoder");
  require_keys_known(decoder, {"loss", "gan", "train"});
  r.decoder_loss = parse_decoder_loss(decoder.at("loss"));
  r.decoder_loss.encoder_size = r.model.encoder_size;
  r.decoder_loss.encoder_width = r.model.encoder_width;
  r.decoder_loss.output = r.model.decoder_output;
  if (r.decoder_loss.perceptual_weight != 0 && !r.model.encoder.differentiable())
    raise<ConfigError>(decoder.at("loss").where(), ": perceptual_weight: the encoder '",
                       r.model.encoder.family(),
                       "' cannot be differentiated, so that it cannot be a perceptual loss; set 0, "
                       "or use lpips");
  r.decoder_training = parse_training_options(decoder.at("train"));
  if (const ConfigNode* gan = decoder.find("gan"))
    r.decoder_loss.gan = parse_gan(*gan, r.decoder_training);

  if (const ConfigNode* statistics = node.find("statistics"))
    r.statistics = parse_statistics(*statistics);
  if (const ConfigNode* latents = node.find("latents")) r.latents = parse_latents(*latents);
  if (const ConfigNode* dit = node.find("dit")) {
    require_keys_known(*dit, {"flow", "train", "checkpointing", "keep_every", "quantize"});
    r.flow = parse_flow(dit->at("flow"), r.model);
    r.flow.checkpointing = dit->get_or("checkpointing", false);
    if (const ConfigNode* type = dit->find("quantize")) r.flow.quantize = parse_quantize(*type);
    r.dit_training = parse_training_options(dit->at("train"));
    r.keep_every = dit->get_or<index_t>("keep_every", 0);
    if (const index_t every = r.dit_training.checkpoint_every;
        r.keep_every < 0 || r.keep_every % every != 0)
      raise<ConfigError>(dit->where(),
                         ".keep_every: expected a multiple of train.checkpoint_every, ", every,
                         ", or 0, got ", r.keep_every);
    r.flow.latents.stored_as = r.latents.stored_as;
    if (r.latents.file == LatentFile::always &&
        (r.data.random_crop || r.data.flip || !r.flow.augmentation.only_mirrors()))
      raise<ConfigError>(node.at("latents").where(),
                         ".cache: latents can be kept only if pictures do not vary when they are "
                         "read (data) and dit.flow.augmentation has no member but flip");
    r.quantized_training = quantized_training_defaults(r.dit_training);
  }
  if (const ConfigNode* quantize = node.find("quantize")) {
    if (!r.model.dit)
      raise<ConfigError>(quantize->where(), ": is for the training of a dit, which is missing");
    r.quantized_training = parse_training_options(*quantize, r.quantized_training);
  }
  if (const ConfigNode* notes = node.find("notes"))
    for (const auto& [key, value] : notes->members()) r.notes[key] = value.as_string();
  return r;
}

void set_training_dtype(Recipe& recipe, DType dtype) {
  const auto set = [&](const char* stage, TrainingOptions& options) {
    const ConfigNode* section = recipe.source.find(stage);
    if (section == nullptr || !section->contains("train") || options.dtype == dtype) return;
    recipe.source.apply_override(concat(stage, ".train.dtype=", name_of(dtype)));
    options = parse_training_options(recipe.source.at(stage).at("train"), options);
  };
  set("encoder", recipe.encoder_training);
  set("decoder", recipe.decoder_training);
  set("dit", recipe.dit_training);
  recipe.quantized_training.dtype = recipe.dit_training.dtype;
}

}  // namespace rae
