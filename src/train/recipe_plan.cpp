#include "rae/train/recipe_plan.hpp"

#include <algorithm>
#include <cmath>

#include "rae/io/image_folder.hpp"
#include "rae/train/step_time.hpp"
#include "train/pretrained_encoder.hpp"
#include "train/recipe_text.hpp"

namespace rae {
namespace {

using detail::PlannedRecipe;
using detail::PlannedStage;

/// Sizes of the networks, from the smallest. All widths are multiples of 32, the width of an
/// attention head.
struct Tier {
  bool coarse;  ///< patches of twice the side, so that a latent has a quarter of the tokens
  index_t token_width, encoder_layers, decoder_width, decoder_layers, dit_width, head_width, depth;
};
constexpr Tier kTiers[] = {
    {true, 64, 3, 96, 2, 96, 96, 4},       {true, 64, 3, 96, 2, 128, 160, 4},
    {true, 96, 4, 128, 3, 192, 224, 6},    {false, 64, 3, 96, 2, 128, 160, 4},
    {false, 96, 4, 128, 3, 192, 224, 6},   {false, 128, 6, 192, 4, 256, 320, 8},
    {false, 192, 8, 256, 6, 384, 448, 12},
};
constexpr std::size_t kTierCount = std::size(kTiers);

// Pictures that stage 2 must be shown for a larger network to be worth its time.
constexpr double kEnoughPictures = 400e3;
// Steps of stage 2 below which batches of 32, and of 16, learn more.
constexpr double kMoreSteps = 20000, kManyMoreSteps = 2500;
constexpr index_t kFewSteps = 300;  // of a stage, below which it learns little
constexpr index_t kLeastSteps = 20;
constexpr double kBf16Gain = 1.05;  // how much faster bf16 must be

// Time that is not spent on steps: a reserve, the files of a checkpoint, the number of times that a
// picture is read until it is kept in memory, the held-out loss of a checkpoint in steps, the
// pictures of the k-NN accuracy, and the evaluations of a picture that is drawn.
constexpr double kReserve = 0.04;
constexpr double kCheckpointSeconds = 60, kFileSeconds = 0.2;
constexpr double kReadings = 4, kHeldOutSteps = 2, kNeighbours = 768, kDrawSteps = 50;

/// Shares of the time. Stage 2 learns longest.
constexpr double kEncoderShare = 0.15, kDecoderShare = 0.3;

/// More passes over the data than these teach a stage little, or to know its pictures by heart.
struct MostTraining {
  index_t steps, epochs;
};
constexpr MostTraining kMostEncoder{8000, 40}, kMostDecoder{20000, 60}, kMostDit{25000, 400};

/// Pictures drawn at a checkpoint of stage 2: rows of up to 20 classes, of up to 16 pictures.
double drawn_pictures(const PlanRequest& request) {
  const index_t rows = std::min<index_t>(static_cast<index_t>(request.classes.size()), 20);
  return static_cast<double>(rows * std::min<index_t>(RecipeRun{}.samples / rows, 16));
}

index_t pictures_of(const PlanRequest& request) {
  index_t out = 0;
  for (const auto& each : request.classes) out += each.second;
  return out;
}

void require_request(const PlanRequest& request) {
  if (std::find(std::begin(kPlannedSizes), std::end(kPlannedSizes), request.size) ==
      std::end(kPlannedSizes))
    raise<ArgumentError>("plan_recipe: expected a size of 32, 64, 128 or 256, got ", request.size);
  if (!(request.minutes >= 0.1 && request.minutes <= 100000))
    raise<ArgumentError>("plan_recipe: expected 0.1 to 100000 minutes, got ", request.minutes);
  if (pictures_of(request) < 1) raise<ArgumentError>("plan_recipe: there are no pictures");
}

index_t round_up(index_t value, index_t unit) { return (value + unit - 1) / unit * unit; }

/// Networks for this data and size, of which a larger tier needs more time.
PlannedRecipe sized(const PlanRequest& request, const Tier& tier) {
  PlannedRecipe out;
  out.channels = request.sample.gray ? 1 : 3;
  out.grid = (request.size == 256 ? 16 : 8) / (tier.coarse ? 2 : 1);
  out.patch = request.size / out.grid;
  // A token must hold its patch: 4 x 4 pixels need fewer numbers than 16 x 16. Wider ones need more
  // training of the diffusion network, so the smallest has narrow ones.
  const index_t values = out.patch * out.patch * out.channels;
  out.token_width = tier.token_width;
  if (&tier != &kTiers[0] && values > 64) out.token_width = std::max<index_t>(out.token_width, 96);
  if (&tier != &kTiers[0] && values > 256)
    out.token_width = std::max<index_t>(out.token_width, 128);
  out.encoder_layers = tier.encoder_layers;
  out.decoder_width = tier.decoder_width;
  out.decoder_layers = tier.decoder_layers;
  out.dit_width = tier.dit_width;
  out.depth = tier.depth;
  if (!request.pretrained.empty()) {
    const detail::TakenEncoder encoder = detail::open_pretrained(request.pretrained);
    const auto* c = encoder.config.get_if<EncoderConfig>();
    if (c == nullptr)
      raise<ConfigError>("the encoder '", encoder.config.family(), "' of '", request.pretrained,
                         "' is of a kind for which no recipe can be planned");
    out.channels = c->channels;
    out.token_width = c->hidden_size;
    const index_t size = out.grid * c->patch_size;
    out.encoder_size = size == request.size ? 0 : size;
  }
  // Crops are parts of the stored pictures, which are decoded again for each unless they are kept.
  const double stored = 4.0 / 3 * static_cast<double>(request.sample.side) *
                        static_cast<double>(request.sample.side * out.channels),
               share = static_cast<double>(kKeptPictureBytes) / 2 /
                       static_cast<double>(pictures_of(request));
  out.crops = stored <= share || request.sample.side <= 2 * request.size;
  out.head_width = std::max(tier.head_width, round_up(out.token_width, 32));
  const index_t most = request.size >= 128 ? 32 : 64;
  out.batch = 1;
  while (2 * out.batch <= std::min(most, pictures_of(request))) out.batch *= 2;
  out.lr = tier.dit_width > 256 ? 5e-4 : tier.dit_width > 128 ? 1e-3 : 2e-3;
  return out;
}

Recipe parsed(const PlanRequest& request, const PlannedRecipe& numbers) {
  return parse_recipe(
      ConfigNode::parse_yaml(detail::recipe_text(request, numbers), "the planned recipe"));
}

/// The largest tier that this number of pictures can fill.
std::size_t largest_tier(index_t pictures) {
  return pictures < 1000 ? 4 : pictures < 20000 ? 5 : kTierCount - 1;
}

/// `steps` with two significant digits, rounded down.
index_t rounded(double steps, index_t most) {
  auto out = static_cast<index_t>(
      std::clamp(steps, static_cast<double>(kLeastSteps), static_cast<double>(most)));
  index_t unit = 1;
  while (out / unit >= 100) unit *= 10;
  return out / unit * unit;
}

double step_seconds(const PlannedStage& stage) {
  return stage.dtype == DType::bf16 ? stage.bf16_seconds : stage.f32_seconds;
}

/// Plans a stage for `seconds`; `extra` is the time that each checkpoint takes.
void plan_stage(PlannedStage& stage, double seconds, double extra, MostTraining most,
                index_t pictures, index_t batch) {
  const double step = step_seconds(stage);
  const double between = std::max(kCheckpointSeconds, 10 * extra);
  const double checkpoints = std::max(1.0, std::ceil(seconds / (between + extra)));
  const auto limit =
      std::max(most.steps, static_cast<index_t>(std::min(1e9, static_cast<double>(most.epochs) *
                                                                  static_cast<double>(pictures) /
                                                                  static_cast<double>(batch))));
  stage.steps = rounded((seconds - checkpoints * extra) / step, limit);
  stage.warmup_steps = std::clamp<index_t>(stage.steps / 20, 1, 500);
  // Equal parts, so that the last checkpoint does not follow soon after the one before.
  const double parts = std::max(1.0, std::round(static_cast<double>(stage.steps) * step / between));
  stage.checkpoint_every =
      static_cast<index_t>(std::ceil(static_cast<double>(stage.steps) / parts));
  // The average covers a tenth of the steps.
  stage.ema_decay =
      std::round(1e4 * std::clamp(1 - 10 / static_cast<double>(stage.steps), 0.5, 0.9995)) / 1e4;
  const auto written = (stage.steps + stage.checkpoint_every - 1) / stage.checkpoint_every;
  stage.minutes =
      (static_cast<double>(stage.steps) * step + static_cast<double>(written) * extra) / 60;
}

/// Measures a stage in both types and keeps the faster one.
void measure(PlannedStage& stage, const Recipe& recipe, TrainingStage which,
             const StepSeconds& seconds) {
  stage.f32_seconds = seconds(recipe, which, DType::f32);
  stage.bf16_seconds = seconds(recipe, which, DType::bf16);
  if (stage.f32_seconds > kBf16Gain * stage.bf16_seconds) stage.dtype = DType::bf16;
}

/// Plans the stages for `left` seconds, whose steps were measured.
void plan_stages(PlannedRecipe& n, const PlanRequest& request, double left, double encode_seconds) {
  const auto pictures = static_cast<double>(pictures_of(request)),
             batch = static_cast<double>(n.batch);
  const double dit_step = step_seconds(n.dit), decoder_step = step_seconds(n.decoder);
  const double check_encoder = kNeighbours * encode_seconds;
  // Latents of pictures and their mirror images are computed once and kept.
  const double kinds = request.photographs ? 2 : 1, latents = kinds * pictures * encode_seconds;
  const double once = kReadings * pictures * request.read_seconds + latents +
                      (request.pretrained.empty() ? 0 : check_encoder);
  // A forward pass is a third of a step. Guidance evaluates the network twice.
  const double evaluations = request.classes.size() > 1 ? 2 * kDrawSteps : kDrawSteps;
  n.draw_seconds = drawn_pictures(request) * (evaluations * dit_step + decoder_step) / (3 * batch);

  left = std::max(0.0, left - once);
  const double shared = left;
  if (request.pretrained.empty()) {
    const double extra = kFileSeconds + check_encoder + kHeldOutSteps * step_seconds(n.encoder);
    plan_stage(n.encoder, kEncoderShare * shared, extra, kMostEncoder, pictures_of(request),
               n.batch);
    left -= 60 * n.encoder.minutes;
  }
  plan_stage(n.decoder, kDecoderShare * shared, kFileSeconds + kHeldOutSteps * decoder_step,
             kMostDecoder, pictures_of(request), n.batch);
  left -= 60 * n.decoder.minutes;
  plan_stage(n.dit, left, kFileSeconds + n.draw_seconds + kHeldOutSteps * dit_step, kMostDit,
             pictures_of(request), n.batch);
  n.minutes = n.encoder.minutes + n.decoder.minutes + n.dit.minutes + once / 60;
}

}  // namespace

RecipePlan plan_recipe(const PlanRequest& request, const StepSeconds& seconds) {
  require_request(request);
  const index_t pictures = pictures_of(request);
  const double total = 60 * request.minutes * (1 - kReserve);
  const bool trains_encoder = request.pretrained.empty();
  const double dit_share = 1 - kDecoderShare - (trains_encoder ? kEncoderShare : 0);

  // The speed of the smallest networks decides about the size.
  std::size_t tier = 0;
  double speed = 0;  // operations per second
  {
    const Recipe smallest = parsed(request, sized(request, kTiers[0]));
    speed = training_operations(smallest, TrainingStage::dit) /
            std::min(seconds(smallest, TrainingStage::dit, DType::f32),
                     seconds(smallest, TrainingStage::dit, DType::bf16));
    for (std::size_t larger = largest_tier(pictures); larger > 0 && tier == 0; --larger) {
      const Recipe recipe = parsed(request, sized(request, kTiers[larger]));
      const double step = training_operations(recipe, TrainingStage::dit) / speed;
      if (dit_share * total * static_cast<double>(recipe.dit_training.batch_size) >=
          step * kEnoughPictures)
        tier = larger;
    }
  }

  PlannedRecipe n = sized(request, kTiers[tier]);
  const auto steps = [&] {
    return dit_share * total * speed / training_operations(parsed(request, n), TrainingStage::dit);
  };
  while (n.batch > 32 && steps() < kMoreSteps) n.batch /= 2;
  while (n.batch > 16 && steps() < kManyMoreSteps) n.batch /= 2;
  const Recipe draft = parsed(request, n);
  if (trains_encoder) measure(n.encoder, draft, TrainingStage::encoder, seconds);
  measure(n.decoder, draft, TrainingStage::decoder, seconds);
  measure(n.dit, draft, TrainingStage::dit, seconds);

  plan_stages(n, request, total, seconds(draft, TrainingStage::statistics, DType::f32));

  RecipePlan out;
  out.yaml = detail::recipe_text(request, n);
  out.recipe = parsed(request, n);
  out.minutes = n.minutes;
  if (n.minutes > 1.1 * request.minutes)
    out.notes.push_back(concat("the training needs about ", std::ceil(n.minutes),
                               " minutes, more than the ", request.minutes,
                               " that were given; a smaller size needs less"));
  if (n.minutes < 0.7 * request.minutes)
    out.notes.push_back(
        concat("the training takes only about ", std::ceil(n.minutes), " of the ", request.minutes,
               " minutes; in more steps, the networks would hardly do more than learn ", pictures,
               " pictures by heart"));
  if (n.dit.steps < kFewSteps || n.decoder.steps < kFewSteps ||
      (trains_encoder && n.encoder.steps < kFewSteps))
    out.notes.push_back(
        concat("a stage has fewer than ", kFewSteps,
               " steps and will learn little; give more minutes or a smaller size"));
  if (pictures < 100)
    out.notes.push_back(concat("from ", pictures, pictures == 1 ? " picture" : " pictures",
                               " a model learns little but to repeat them"));
  return out;
}

}  // namespace rae
