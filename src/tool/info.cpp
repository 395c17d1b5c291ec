// `rae info`: prints the contents of a file, or the properties of this machine and this build.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "formats/grouped_weights.hpp"
#include "rae/core/parallel.hpp"
#include "rae/generate/preset.hpp"
#include "rae/io/config.hpp"
#include "rae/io/file.hpp"
#include "rae/io/image.hpp"
#include "rae/io/image_info.hpp"
#include "rae/io/npz.hpp"
#include "rae/io/placeholder.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/load/model_search.hpp"
#include "rae/spec/auto_dtype.hpp"
#include "rae/spec/model_config.hpp"
#include "rae/version.hpp"
#include "tool/array_info.hpp"
#include "tool/command.hpp"
#include "tool/command_files.hpp"
#include "tool/machine.hpp"
#include "tool/model.hpp"
#include "tool/model_list.hpp"
#include "tool/output.hpp"
#include "tool/text.hpp"
#include "tool/weights_info.hpp"

namespace rae::tool {
namespace {

struct InfoOptions {
  std::string file, models;
  bool system = false, tensors = false;
};

/// The tensors of a bundle whose names begin with the same word, for example all of "decoder".
struct TensorCount {
  std::string name;
  index_t tensors = 0, elements = 0;
  index_t largest = 0;       // elements of the largest tensor
  DType dtype = DType::f32;  // of the largest tensor
};

std::vector<TensorCount> counts_of(const SafetensorsFile& file) {
  std::vector<TensorCount> counts;
  const TensorSource tensors(file);
  for (const auto& name : file.names()) {
    if (detail::is_group_scale(tensors, name)) continue;  // no parameters
    const std::string first = name.substr(0, name.find('.'));
    auto count = std::find_if(counts.begin(), counts.end(),
                              [&](const TensorCount& each) { return each.name == first; });
    if (count == counts.end()) count = counts.insert(counts.end(), TensorCount{.name = first});
    const TensorInfo& info = file.info(name);
    ++count->tensors;
    count->elements += info.shape.numel();
    if (info.shape.numel() > count->largest) {
      count->largest = info.shape.numel();
      count->dtype = info.dtype;
    }
  }
  return counts;
}

/// Prints the titles of the diffusion networks of a bundle and the types of its packed layers, or
/// the reason why this program cannot use the model.
void print_networks(const std::string& path, const ConfigNode& node) {
  try {
    const ModelConfig config = parse_model_config(node);
    if (config.dit) print("diffusion network: " + printable(std::string(config.dit->title())));
    if (config.guide) print("guide: " + printable(std::string(config.guide->title())));
    const ModelFiles files = ModelFiles::open(path);
    if (files.packed) print("packed for: " + packing_of(files));
  } catch (const ConfigError& error) {
    print(concat("note: this program cannot use the model: ", printable(error.what())));
  }
}

/// Prints the settings of the presets of `rae generate` for a model that this program can use.
void print_presets(const ConfigNode& node) {
  try {
    const ModelConfig config = parse_model_config(node);
    if (!config.dit) return;
    print("presets of rae generate:");
    for (const Preset preset : {Preset::exact, Preset::balanced, Preset::fast})
      print(concat("  ", name_of(preset), ": ", describe(preset, config)));
  } catch (const ConfigError&) {  // `print_networks` has given the reason
  }
}

void print_safetensors(const std::string& path, bool tensors) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  auto metadata = file.metadata();
  const auto config = metadata.extract("config");
  metadata.erase("layer_types");  // their summary says more than a list of all layers
  if (config.empty()) {
    const bool known = file.unreadable().empty() && print_known_arrays(file);
    if (!known) print_weights(path, "safetensors");
    return;
  }
  for (const auto& [name, reason] : file.unreadable()) (void)file.info(name);  // throws
  const auto counts = counts_of(file);
  index_t parameters = 0;
  for (const TensorCount& count : counts) parameters += count.elements;
  print(heading(path, "bundle, " + plural(parameters, "parameter")));
  for (const TensorCount& count : counts)
    std::printf("  %-12s %12s  in %s, stored as %s\n", printable(count.name).c_str(),
                format_count(count.elements).c_str(), plural(count.tensors, "tensor").c_str(),
                std::string(name_of(count.dtype)).c_str());
  const ConfigNode node = ConfigNode::parse_json(config.mapped(), path + ": config");
  print_networks(path, node);
  print("config:");
  print_config(node, "  ");
  print_texts("notes:", metadata);
  print_presets(node);
  if (!tensors) return;
  print("tensors:");
  print_tensors(file);
}

/// The size is that of the upright picture.
void print_picture(const std::string& path) {
  const ImageInfo info = read_image_info(path);
  const Image image = Image::open(path);  // throws if the pixels are damaged
  std::string about = concat(name_of(info.format), ", ", image.width(), " x ", image.height(),
                             image.channels() == 1 ? ", gray" : ", RGB");
  if (info.alpha) about += " with transparency, which is dropped";
  if (info.orientation != 1)
    about += concat(", turned upright from EXIF orientation ", info.orientation);
  print(heading(path, about));
  if (info.format == ImageFormat::png) print_texts("settings:", read_png_text(path));
}

/// The first bytes of a file; throws FileError.
std::string first_bytes(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (!file)
    raise<FileError>("cannot open '", path,
                     "': ", std::error_code(errno, std::generic_category()).message());
  std::string bytes(16, '\0');
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  return bytes;
}

/// Whether a zip archive, of any name, holds arrays and nothing that PyTorch writes.
bool is_npz(const std::string& path) {
  try {
    return has_extension(path, ".npz") || !NpzFile::open(path).names().empty();
  } catch (const FormatError&) {
    return false;
  }
}

/// Checkpoints of PyTorch and .npz files are both zip archives.
void print_zip(const std::string& path) {
  try {
    print_weights(path, "checkpoint of PyTorch");
  } catch (const FormatError&) {
    if (!is_npz(path)) throw;
    print_npz(path);
  }
}

void print_file(const InfoOptions& options) {
  using std::string_view_literals::operator""sv;
  std::error_code none;
  CommandFiles files;
  if (options.file == kDefaultModel && !std::filesystem::exists(options.file, none))
    return print_model_list();
  const std::string path = files.input("FILE", model_path(options.file));
  if (std::filesystem::is_directory(path, none) || has_extension(path, ".yaml") ||
      has_extension(path, ".yml"))
    return print_model(path, options.models, options.tensors);
  const std::string start = first_bytes(path);
  const auto begins = [&](std::string_view magic) { return start.rfind(magic, 0) == 0; };
  for (const std::string_view picture : {"\x89PNG"sv, "\xFF\xD8"sv, "RIFF"sv, "BM"sv})
    if (begins(picture)) return print_picture(path);
  if (begins("PK"sv)) return print_zip(path);
  if (begins("\x80"sv)) return print_weights(path, "checkpoint of PyTorch");
  if (begins("\x93NUMPY"sv)) return print_npy(path);
  if (path.ends_with(".index.json")) return print_weights(path, "shards");
  const bool text = std::all_of(start.begin(), start.end(), [](char c) {
    return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t';
  });
  if (text) require_no_placeholder(MappedFile(path).bytes(), path);
  // A safetensors file has no magic number: it begins with eight bytes of header length and JSON.
  if (start.size() > 8 && start[8] == '{') return print_safetensors(path, options.tensors);
  raise<FormatError>(
      path,
      ": unknown file format; expected a bundle or another safetensors file, a "
      "checkpoint of PyTorch, an official .yaml, PNG, JPEG, WebP, BMP, .npz or .npy");
}

std::string builtin_model() {
  try {
    return find_model();
  } catch (const FileError&) {
    return "not found";
  }
}

/// The kernels in use, or the error in RAE_ISA.
std::string kernels_in_use() {
  try {
    return concat(name_of(active_isa()), "  (RAE_ISA selects another)");
  } catch (const ArgumentError& error) {
    return concat("none: ", error.what());
  }
}

/// The type of `--dtype auto` with its speed and error, and why a faster one was not chosen.
std::string automatic_type() {
  const auto percent = [](double share) { return format_fixed(100 * share, 1) + " %"; };
  const auto described = [&](const DTypeFigures& of) {
    if (of.type == DType::f32) return std::string("f32");
    return concat(name_of(of.type), ", speed relative to f32 ",
                  of.speed > 0 ? format_fixed(of.speed, 1) : "not measured", ", error of latents ",
                  percent(of.error));
  };
  try {
    std::string rejected;
    for (const DTypeFigures& each : dtype_figures(active_isa())) {
      if (each.error <= kFastestDtypeError)
        return concat(described(each), " (limit ", percent(kFastestDtypeError), ")", rejected);
      rejected += concat("; not ", described(each));
    }
  } catch (const ArgumentError&) {
  }
  return "none";
}

void print_system() {
  std::string found;
  for (const Isa isa : kIsas)
    if (supports(isa)) found += std::string(found.empty() ? "" : ", ") + std::string(name_of(isa));
  print(concat("rae               ", kVersion));
#ifdef NDEBUG
  print(concat("compiler          ", compiler()));
#else
  print(concat("compiler          ", compiler(), ", with assertions"));
#endif
  print(concat("processor         ", printable(processor())));
  print(concat("instruction sets  ", found));
  print(concat("kernels           ", printable(kernels_in_use())));
  print(concat("--dtype auto      ", printable(automatic_type())));
  print(concat("built-in model    ", printable(builtin_model())));
  for (const ImageFormat format :
       {ImageFormat::png, ImageFormat::jpeg, ImageFormat::webp, ImageFormat::bmp}) {
    const std::string decoder = image_decoder(format);
    const std::string label = concat("pictures, ", name_of(format));
    print(concat(label, std::string(18 - label.size(), ' '),
                 decoder.empty() ? "not readable: built without libwebp" : decoder));
  }
  print(concat("threads           ", num_threads()));
  print(concat("parallel loops    ", parallel_backend()));
}

}  // namespace

void add_info(CLI::App& app) {
  const auto options = std::make_shared<InfoOptions>();
  CLI::App* command =
      app.add_subcommand("info", "Show the contents of a file, or the properties of this machine");
  command
      ->add_option(
          "FILE", options->file,
          "a bundle or other weights (safetensors, .pt, .pth, .index.json, a folder), an "
          "official .yaml, PNG, JPEG, WebP, BMP, .npz or .npy; - (stdin); a built-in model's "
          "name; or 'builtin', which lists these models")
      ->type_name("");
  command->add_flag("--system", options->system, "version, compiler, instruction sets, threads");
  command->add_flag("--tensors", options->tensors, "also list the tensors of a bundle or model");
  command
      ->add_option("--models", options->models,
                   "folder to search for the files of an official configuration")
      ->type_name("DIR");
  command->footer(
      "Examples:\n"
      "  rae info samples.png          size, and the settings that generated it\n"
      "  rae info model.safetensors    networks, parameters, configuration, notes\n"
      "  rae info stage2_model.pt      the network in a checkpoint, and its tensors\n"
      "  rae info model.yaml           whether the official files are consistent\n"
      "  rae info latents.safetensors  shape, range and mean; also of statistics and .npz\n"
      "  rae info builtin              the built-in models: names, subjects, sizes\n"
      "  rae info fashion-mnist        one of them, like its file\n"
      "  rae info --system");
  command->callback([options] {
    if (options->system == !options->file.empty())
      throw UsageError("info: expected one of FILE and --system");
    if (options->system)
      print_system();
    else
      print_file(*options);
  });
}

}  // namespace rae::tool
