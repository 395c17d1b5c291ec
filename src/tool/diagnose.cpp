// `rae diagnose`: measures an encoder on a data set, layer by layer, and says which settings of a
// recipe follow.
#include <filesystem>
#include <memory>
#include <tuple>

#include "io/svg_text.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/formats/model_files.hpp"
#include "rae/io/file.hpp"
#include "rae/io/svg_plot.hpp"
#include "rae/metrics/token_spectrum.hpp"
#include "rae/train/diagnosis.hpp"
#include "tool/command.hpp"
#include "tool/command_files.hpp"
#include "tool/data_source.hpp"
#include "tool/interrupt.hpp"
#include "tool/numbers.hpp"
#include "tool/progress.hpp"
#include "tool/text.hpp"
#include "train/data_split.hpp"
#include "train/pretrained_encoder.hpp"

namespace rae::tool {
namespace {

struct DiagnoseCommand {
  std::string encoder, data, out = "diagnosis.html";
  index_t size = 0, train = 2000, test = 1000;
  DataFlags flags;
};

/// The side of the pictures for an encoder: that of its bundle or of its position table; 224 for
/// encoders that resize their table.
index_t input_size(const std::string& path, const AnyEncoder& encoder) {
  constexpr index_t kUsual = 224;
  std::error_code none;
  if (std::filesystem::is_regular_file(path, none)) {
    const ModelConfig config = ModelFiles::open(path).config;
    return config.encoder_size > 0 ? config.encoder_size : config.image_size;
  }
  const auto* vit = encoder.get_if<EncoderConfig>();
  if (vit != nullptr && vit->family == EncoderFamily::siglip2)
    return vit->table_h * vit->patch_size;
  return kUsual;
}

std::string share(const std::optional<double>& value) {
  return value ? format_fixed(*value, 3) : std::string("-");
}

std::string name_of_layers(const LayerMeasures& m, index_t layers) {
  if (m.first == m.last) return concat("layer ", m.last);
  return m.first == 1 && m.last == layers ? std::string("mean of all")
                                          : concat("mean of ", m.first, "-", m.last);
}

/// One row for each layer, then the means of several.
std::vector<std::vector<std::string>> table_of(const Diagnosis& d) {
  std::vector<std::vector<std::string>> rows{
      {"tokens of", "k-NN", "linear probe", "effective rank", "anisotropy", "deviation"}};
  const auto add = [&](const LayerMeasures& m) {
    rows.push_back({name_of_layers(m, static_cast<index_t>(d.layers.size())), share(m.knn),
                    share(m.linear), format_fixed(m.effective_rank, 1),
                    format_fixed(m.anisotropy, 3), format_fixed(m.deviation, 3)});
  };
  for (const LayerMeasures& m : d.layers) add(m);
  for (std::size_t i = 1; i < d.means.size(); ++i) add(d.means[i]);
  return rows;
}

std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      std::size_t width = 0;
      for (const auto& other : rows) width = std::max(width, other[c].size());
      const std::string space(width - row[c].size() + 2, ' ');
      out += c == 0 ? row[c] + space : space + row[c];
    }
    out += '\n';
  }
  return out;
}

PlotSeries series(const std::string& name, const std::vector<LayerMeasures>& layers,
                  double (*value)(const LayerMeasures&)) {
  PlotSeries out{.name = name};
  for (const LayerMeasures& m : layers) {
    out.x.push_back(static_cast<double>(m.last));
    out.y.push_back(value(m));
  }
  return out;
}

std::string plots_of(const Diagnosis& d) {
  Plot plot{.title = "Tokens by layer", .columns = 3, .panel_width = 360, .heading = false};
  if (d.classes > 1) {
    PlotPanel classes{.title = "Classes found by the mean token",
                      .x = {.label = "layer"},
                      .y = {.label = "accuracy"}};
    classes.series = {
        series("k-NN", d.layers, [](const LayerMeasures& m) { return *m.knn; }),
        series("linear probe", d.layers, [](const LayerMeasures& m) { return *m.linear; })};
    plot.panels.push_back(classes);
  }
  PlotPanel rank{.title = "Effective rank and anisotropy",
                 .x = {.label = "layer"},
                 .y = {.label = "share of the width; cosine"}};
  const auto width = static_cast<double>(d.latent[0]);
  PlotSeries of_rank{.name = "effective rank / width"};
  for (const LayerMeasures& m : d.layers) {
    of_rank.x.push_back(static_cast<double>(m.last));
    of_rank.y.push_back(m.effective_rank / width);
  }
  rank.series = {
      of_rank, series("anisotropy", d.layers, [](const LayerMeasures& m) { return m.anisotropy; })};
  plot.panels.push_back(rank);
  PlotPanel spectrum{.title = "Least loss of a narrower network (Theorem 1)",
                     .x = {.label = "width"},
                     .y = {.label = "loss", .low = 0.0}};
  PlotSeries bound;
  constexpr index_t kPoints = 48;
  for (index_t i = 0; i <= kPoints; ++i) {
    const index_t w = i * d.latent[0] / kPoints;
    bound.x.push_back(static_cast<double>(w));
    bound.y.push_back(least_loss_of_width(d.spectrum, w));
  }
  spectrum.series = {bound};
  plot.panels.push_back(spectrum);
  return svg_plot(plot);
}

std::string page_of(const Diagnosis& d, const std::vector<Advice>& advice, const std::string& title,
                    const std::string& summary) {
  std::string out = concat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>",
      detail::escape_xml(title),
      "</title><style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;"
      "max-width:76rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}"
      "td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #8884}"
      "td:first-child,th:first-child,.words td,.words "
      "th{text-align:left}svg{max-width:100%;height:auto}"
      "</style></head><body>\n<h1>",
      detail::escape_xml(title), "</h1>\n<p>", detail::escape_xml(summary),
      "</p>\n<h2>Settings that follow</h2>\n"
      "<table class=\"words\"><tr><th>key</th><th>value</th><th>reason</th></tr>\n");
  for (const Advice& a : advice)
    out += concat("<tr><td><code>", detail::escape_xml(a.key), "</code></td><td><code>",
                  detail::escape_xml(a.value), "</code></td><td>", detail::escape_xml(a.reason),
                  "</td></tr>\n");
  out += concat("</table>\n<h2>Layers</h2>\n", plots_of(d), "\n<table>\n");
  const auto rows = table_of(d);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    out += "<tr>";
    for (const std::string& cell : rows[r])
      out += concat(r == 0 ? "<th>" : "<td>", detail::escape_xml(cell), r == 0 ? "</th>" : "</td>");
    out += "</tr>\n";
  }
  return out + "</table>\n</body></html>\n";
}

void run(DiagnoseCommand& command) {
  CommandFiles files;
  std::error_code none;
  std::string path = command.encoder;
  if (std::filesystem::is_directory(path, none))
    files.input_folder("--encoder", path);
  else
    path = files.input("--encoder", path);
  files.input_folder("--data", command.data);
  const std::string page = files.output("--out", command.out, {".html"});

  const detail::TakenEncoder taken = detail::open_pretrained(path);
  const index_t size = command.size > 0 ? command.size : input_size(path, taken.config),
                patch = taken.config.patch_size();
  if (size % patch != 0)
    throw UsageError(
        concat("--size: expected a multiple of the encoder's patch size, ", patch, ", got ", size));
  DatasetOptions options;
  options.size = size;
  options.channels = static_cast<int>(taken.config.channels());
  OwnedPointer<const ImageDataset> train =
      open_data(command.data, Split::train, options, command.flags);
  OwnedPointer<const ImageDataset> test;
  if (is_same_part(command.data)) {
    constexpr double kShare = 1.0 / 3;
    std::tie(train, test) =
        detail::hold_out(train, train->manifest(), kShare, [&] { return train; });
  } else {
    test = open_data(command.data, Split::test, options, command.flags);
  }
  OwnedPointer<EncoderNetwork<Tensor<float>>> network = taken.config.make();
  fill_weights(*network, taken.tensors, "encoder");
  pack_parameters(*network);

  DiagnosisOptions how{.train_pictures = command.train, .test_pictures = command.test};
  ProgressBar bar("encoding");
  how.on_progress = [&](index_t done, index_t total) {
    stop_if_interrupted();
    bar.update(static_cast<double>(done), static_cast<double>(total));
    return true;
  };
  const Diagnosis d = diagnose(*network, taken.pixels, *train, test ? &*test : nullptr, how);
  const std::vector<Advice> advice = advice_for(d);
  const std::string summary =
      concat("latents of ", d.latent[0], " x ", d.latent[1], " x ", d.latent[2],
             " from pictures of ", size, " x ", size, "; ", plural(d.train_pictures, "picture"),
             d.classes > 1
                 ? concat(" in ", d.classes, " classes, ", plural(d.test_pictures, "test picture"))
                 : std::string(", no classes"));
  std::string text = concat(summary, "\n\n", aligned(table_of(d)), "\n");
  for (const Advice& a : advice) text += concat(a.key, ": ", a.value, "\n    ", a.reason, "\n");
  write_file_atomically(page,
                        page_of(d, advice, concat("Diagnosis of ", command.encoder), summary));
  files.finish();
  files.print(text + command.out + ": the same with plots");
}

}  // namespace

void add_diagnose(CLI::App& app) {
  const auto options = std::make_shared<DiagnoseCommand>();
  CLI::App* command = app.add_subcommand(
      "diagnose", "Measure an encoder on your pictures, and the settings that follow");
  command
      ->add_option("--encoder", options->encoder,
                   "folder of Hugging Face, or a bundle with an encoder")
      ->type_name("PATH")
      ->required();
  command->add_option("-d,--data", options->data, "data set, as for rae train")
      ->type_name("DIR")
      ->required();
  command->add_option("-o,--out", options->out, "page with tables and plots, FILE.html")
      ->type_name("FILE")
      ->capture_default_str();
  add_whole_option(*command, "--size", options->size,
                   "side of the encoder's input; 0: that of the encoder, 224 for DINOv2, DINOv3 "
                   "and MAE",
                   0, 4096);
  add_whole_option(*command, "--train-pictures", options->train,
                   "pictures from which the classifiers learn, at most", 2, 1000000);
  add_whole_option(*command, "--test-pictures", options->test,
                   "pictures that they classify, at most", 1, 1000000);
  add_data_flags(*command, options->flags);
  add_threads_option(*command);
  command->footer(
      "Nothing is trained. A layer whose tokens classify well (k-NN and a linear probe on a\n"
      "picture's mean token) makes latents that are easier to generate; a high effective rank "
      "says\n"
      "that many directions of a token are used, a high anisotropy that all tokens point the same\n"
      "way. docs/05_training.md explains the settings.\n"
      "\n"
      "Examples:\n"
      "  rae diagnose --encoder dinov2-with-registers-base --data photos\n"
      "  rae diagnose --encoder run/model.safetensors --data photos --out encoder.html");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
