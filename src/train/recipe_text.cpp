#include "train/recipe_text.hpp"

#include <cstdio>
#include <sstream>

#include "io/escaped_name.hpp"
#include "io/utf8.hpp"

namespace rae::detail {
namespace {

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

/// "0.8 minutes", "12 minutes".
std::string minutes_of(double minutes) {
  return fixed(minutes, minutes < 9.95 ? 1 : 0) + " minutes";
}

/// A string in YAML and JSON.
std::string quoted(const std::string& text) { return ConfigNode(text).to_json(); }

/// Lines of YAML with comments above them.
class Text {
 public:
  /// A comment, wrapped at 100 columns.
  Text& comment(int indent, const std::string& text) {
    constexpr std::size_t kWidth = 100;
    const std::string start = std::string(static_cast<std::size_t>(indent), ' ') + "#";
    std::istringstream words(text);
    std::string line = start;
    for (std::string word; words >> word;) {
      if (line.size() > start.size() && line.size() + 1 + word.size() > kWidth) {
        out_ += line + "\n";
        line = start;
      }
      line += " " + word;
    }
    out_ += line + "\n";
    return *this;
  }

  Text& line(int indent, const std::string& text) {
    out_ += std::string(static_cast<std::size_t>(indent), ' ') + text + "\n";
    return *this;
  }

  [[nodiscard]] std::string str() const { return out_; }

 private:
  std::string out_;
};

std::string classes_comment(const PlanRequest& request) {
  constexpr std::size_t kNamed = 20;
  std::string out = "In the order of the labels: ";
  for (std::size_t k = 0; k < request.classes.size() && k < kNamed; ++k)
    out += concat(k == 0 ? "" : ", ", escaped_name(request.classes[k].first), " (",
                  request.classes[k].second, ")");
  return out + (request.classes.size() > kNamed ? ", ..." : "");
}

std::string list(const std::array<double, 3>& values, index_t channels) {
  std::string out = "[";
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c)
    out += (c == 0 ? "" : ", ") + fixed(values[c], 4);
  return out + "]";
}

std::string speed_comment(const PlanRequest& request, const PlannedStage& stage) {
  if (stage.f32_seconds <= 0 || stage.bf16_seconds <= 0) return "";
  if (!request.measured)
    return concat("A step takes about ", fixed(1e3 * stage.f32_seconds, 1), " ms by estimate.");
  return concat("A step took ", fixed(1e3 * stage.f32_seconds, 1), " ms in f32 and ",
                fixed(1e3 * stage.bf16_seconds, 1), " ms in bf16. ",
                stage.dtype == DType::bf16 ? "bf16 is faster on this processor."
                                           : "bf16 does not gain enough on this processor.");
}

void train(Text& text, const PlanRequest& request, const PlannedRecipe& n,
           const PlannedStage& stage, int seed) {
  text.line(2, "train:");
  text.comment(4, concat("Expected time: ", minutes_of(stage.minutes), "."));
  text.line(4, concat("steps: ", stage.steps));
  text.comment(4, "Pictures of a step; a short training gets smaller ones, for more steps.");
  text.line(4, concat("batch_size: ", n.batch));
  text.comment(4, concat("The learning rate rises for ", stage.warmup_steps,
                         " steps and then falls along a cosine; wider networks need a lower one."));
  text.line(4, concat("lr: ", n.lr));
  text.line(4, "final_lr: 1e-5");
  text.line(4, concat("warmup_steps: ", stage.warmup_steps));
  text.comment(4, concat("The averaged weights, which are used in the end, cover about the last ",
                         fixed(1 / (1 - stage.ema_decay), 0), " steps."));
  text.line(4, concat("ema_decay: ", stage.ema_decay));
  if (const std::string comment = speed_comment(request, stage); !comment.empty())
    text.comment(4, comment);
  text.line(4, concat("dtype: ", name_of(stage.dtype)));
  const double seconds = 60 * stage.minutes * static_cast<double>(stage.checkpoint_every) /
                         static_cast<double>(stage.steps);
  text.comment(4, concat("A checkpoint about every ", fixed(seconds, 0), " seconds."));
  text.line(4, concat("checkpoint_every: ", stage.checkpoint_every));
  text.line(4,
            concat("log_every: ", std::max<index_t>(1, std::min<index_t>(50, stage.steps / 20))));
  text.comment(4, "Another seed gives other random numbers.");
  text.line(4, concat("seed: ", seed));
}

/// How pictures are varied; in stage 2 (`places` false) only by mirroring.
void augmentation(Text& text, int indent, const PlanRequest& request, const PlannedRecipe& n,
                  bool places) {
  const char* const why = !places   ? ""
                          : n.crops ? " The mild crop shows at least 80 % of the area."
                                    : " Shifts in pixels, since crops would decode these large "
                                      "files again in every step.";
  text.comment(indent,
               concat(request.photographs
                          ? "Photographs may be mirrored; set flip to false for letters or where "
                            "left and right differ."
                          : "Gray pictures may be letters or digits, which must not be mirrored; "
                            "set flip to true for others.",
                      why));
  text.line(indent, "augmentation:");
  text.line(indent + 2, concat("flip: ", request.photographs ? "true" : "false"));
  if (!places) return;
  if (n.crops)
    text.line(indent + 2, "random_resized_crop: {scale: [0.8, 1], ratio: [0.9, 1.1]}");
  else
    text.line(indent + 2, concat("shift: ", request.size / 16));
}

void model(Text& text, const PlanRequest& request, const PlannedRecipe& n) {
  const index_t tokens = n.grid * n.grid;
  text.line(0, "model:");
  text.line(2, concat("name: ", quoted(is_utf8(request.name) && !request.name.empty()
                                           ? request.name
                                           : std::string("model"))));
  text.comment(2, "Pictures are scaled to cover this square, and their centre is used.");
  text.line(2, concat("image_size: ", request.size));
  if (request.pretrained.empty()) {
    text.comment(2, concat("Mean and standard deviation of the pixels of ", request.sample.pictures,
                           " pictures", n.channels == 1 ? ", which are all gray." : "."));
    text.line(2, concat("pixels: {mean: ", list(request.sample.pixels.mean, n.channels),
                        ", std: ", list(request.sample.pixels.std, n.channels), "}"));
    text.comment(2, concat("A plain vision transformer: patches of ", n.patch, " x ", n.patch,
                           " pixels give ", n.grid, " x ", n.grid, " = ", tokens, " tokens of ",
                           n.token_width, " numbers."));
    text.line(2, concat("encoder: {family: siglip2, patch_size: ", n.patch,
                        ", channels: ", n.channels, ", hidden_size: ", n.token_width, ","));
    text.line(12, concat("num_layers: ", n.encoder_layers, ", num_heads: ", n.token_width / 32,
                         ", intermediate_size: ", 4 * n.token_width, ","));
    text.line(12, concat("table_h: ", n.grid, ", table_w: ", n.grid, "}"));
  } else if (n.encoder_size != 0) {
    text.comment(2, concat("The encoder sees pictures of this size, which gives ", n.grid, " x ",
                           n.grid, " = ", tokens, " tokens of ", n.token_width, " numbers."));
    text.line(2, concat("encoder_size: ", n.encoder_size));
  }
  text.comment(2, concat("Makes ", n.patch, " x ", n.patch, " pixels of each token."));
  text.line(2, concat("decoder: {grid_h: ", n.grid, ", grid_w: ", n.grid,
                      ", in_dim: ", n.token_width, ", hidden_size: ", n.decoder_width, ","));
  text.line(12, concat("num_layers: ", n.decoder_layers, ", num_heads: ", n.decoder_width / 32,
                       ", intermediate_size: ", 4 * n.decoder_width, ","));
  text.line(12,
            concat("patch_size: ", n.patch, ", channels: ", n.channels, ", layer_norm_eps: 1e-6}"));
  text.comment(2, concat("Backbone and head. The head has ", n.head_width,
                         " channels, at least as many as a token has numbers (Theorem 1 of the "
                         "paper). Larger networks would get too few steps in this time, or learn "
                         "a small data set by heart."));
  text.line(2, concat("dit: {grid_h: ", n.grid, ", grid_w: ", n.grid, ", in_channels: ",
                      n.token_width, ", hidden_size: [", n.dit_width, ", ", n.head_width, "],"));
  text.line(8, concat("depth: [", n.depth, ", 2], num_heads: [", n.dit_width / 32, ", ",
                      n.head_width / 32, "],"));
  const bool one = request.classes.size() == 1;
  text.comment(8, classes_comment(request));
  text.line(8, concat("num_classes: ", request.classes.size(), ","));
  if (!one) text.comment(8, "Share of pictures that are shown without their class, for guidance.");
  text.line(8, concat("class_dropout_prob: ", one ? "0" : "0.1", "}"));
  text.comment(2, concat("sqrt(", tokens * n.token_width,
                         " / 4096), the numbers of a latent, but at least 1 (section 4)."));
  text.line(2, "time_shift: auto");
  text.comment(2, concat("How pictures are drawn unless the command says otherwise.",
                         one ? ""
                             : " Guidance makes them follow their class more closely, at the cost "
                               "of variety; a scale of 1 is none."));
  text.line(2, one ? "sampling: {steps: 50, solver: euler}"
                   : "sampling: {steps: 50, solver: euler, guidance: {scale: 1.5, t_min: 0.0, "
                     "t_max: 1.0}}");
}

}  // namespace

std::string recipe_text(const PlanRequest& request, const PlannedRecipe& n) {
  index_t pictures = 0;
  for (const auto& each : request.classes) pictures += each.second;
  Text text;
  text.comment(
      0, concat("A recipe for ", pictures, " pictures in ", request.classes.size(),
                request.classes.size() == 1 ? " class" : " classes", ", written by 'rae'. ",
                "Expected time of all stages on this machine: ", minutes_of(n.minutes), ", of ",
                minutes_of(request.minutes), " that were given."));
  model(text, request, n);
  if (request.ignore_exif) text.line(0, "").line(0, "data: {ignore_exif: true}");
  text.line(0, "");
  text.comment(0, "Stage 0, the encoder.");
  text.line(0, "encoder:");
  if (request.pretrained.empty()) {
    const bool one = request.classes.size() == 1;
    text.comment(
        2, concat("Half of the pictures lose half of their patches, and all pixels are "
                  "predicted; ",
                  one ? "one class gives nothing to classify." : "all pictures are classified."));
    text.line(2, "pretraining:");
    text.line(4, "mask_probability: 0.5");
    text.line(4, "mask_ratio: 0.5");
    text.comment(4, "Weights of the two tasks: pixels keep details, labels give meaning.");
    text.line(4, "pixel_weight: 4.0");
    text.line(4, concat("label_weight: ", one ? "0.0" : "1.0"));
    augmentation(text, 4, request, n, true);
    train(text, request, n, n.encoder, 1);
  } else {
    text.comment(2, "Taken as it is, with the mean and deviation of its pixels.");
    text.line(2, concat("pretrained: ", quoted(request.pretrained)));
  }
  text.line(0, "");
  text.comment(0, "Stage 1: the decoder learns pixels from tokens.");
  text.line(0, "decoder:");
  text.line(2, "loss:");
  text.comment(4,
               "Largest deviation of the noise on tokens, so that the decoder also fits the "
               "tokens that the diffusion network makes (section 4). More gives smoother "
               "pictures.");
  text.line(4, "noise_tau: 0.3");
  text.line(4, "noise_law: uniform");
  text.comment(4,
               "Beside the absolute error of the pixels: the squared error of the encoder's "
               "features. With the files of LPIPS, 'lpips' is the better choice.");
  text.line(4, "perceptual_weight: 0.1");
  augmentation(text, 4, request, n, true);
  train(text, request, n, n.decoder, 2);
  text.line(0, "");
  text.comment(0, "Stage 2: the diffusion transformer learns to turn noise into tokens.");
  text.line(0, "dit:");
  text.line(2, "flow:");
  text.comment(4, "Most training times are in the middle between noise and picture.");
  text.line(4, "time: logit-normal_0_1");
  augmentation(text, 4, request, n, false);
  if (n.draw_seconds > 0)
    text.comment(2, concat("The pictures that are drawn at each checkpoint take about ",
                           fixed(n.draw_seconds, 0), " seconds."));
  train(text, request, n, n.dit, 3);
  return text.str();
}

}  // namespace rae::detail
