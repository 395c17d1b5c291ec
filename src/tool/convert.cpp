// `rae convert`: converts a model in any supported format into a bundle, or into the files of the
// official code.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "rae/formats/bundle_writer.hpp"
#include "rae/io/file.hpp"
#include "rae/io/image.hpp"
#include "rae/spec/weight_types.hpp"
#include "tool/auto_pack.hpp"
#include "tool/command.hpp"
#include "tool/command_files.hpp"
#include "tool/model.hpp"
#include "tool/model_source.hpp"
#include "tool/numbers.hpp"
#include "tool/output_folder.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

struct ConvertOptions {
  std::string in, out, models, to = "bundle", dtype = "f32", dit_dtype, pack, class_names;
  index_t image_size = 256;
  bool overwrite = false;
  AutoPack automatic;
};

constexpr const char* kAutomatic = "auto";
constexpr const char* kIntegers = "int8w";

/// The type of stored matrices with this name.
DType stored_type(const std::string& name) {
  return name == kIntegers ? DType::int8w : parse_float_dtype(name);
}

/// The files of `save_official`.
bool is_official_file(const std::string& name) {
  constexpr const char* kNames[] = {
      "config.yaml",         "encoder/config.json", "encoder/preprocessor_config.json",
      "decoder/config.json", "decoder/model.pt",    "encoder/model.safetensors",
      "stats/stat.pt",       "dit/stage2_model.pt", "guide/stage2_model.pt"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

/// One name per line; empty lines at the end are ignored.
std::vector<std::string> read_names(const std::string& path) {
  constexpr std::size_t kMaxBytes = std::size_t{1} << 24;
  const std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  std::string_view text = as_text(bytes);
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    names.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  return names;
}

std::string size_of_file(const std::string& path) {
  std::error_code none;
  const auto size = std::filesystem::file_size(path, none);
  return none ? std::string() : ", " + format_bytes(size);
}

/// `rae convert --to official`; the folder appears when all files are written.
void convert_to_official(const ConvertOptions& options, const ModelFiles& files, DType dtype) {
  OutputFolder folder(options.out, options.overwrite ? is_official_file : nullptr);
  const OfficialFiles official = save_official(files, folder.work(), dtype);
  folder.commit();
  for (const std::string& path : official.written) {
    const std::string name = folder.final_name(path);
    std::printf("%s%s\n", printable(name).c_str(), size_of_file(name).c_str());
  }
  for (const std::string& note : official.notes)
    std::fprintf(stderr, "rae: note: %s\n", printable(note).c_str());
}

void convert(const CLI::App& command, ConvertOptions& options) {
  const bool official = options.to == "official";
  if (official && options.dtype == kIntegers)
    throw UsageError("--dtype int8w: official files have no integers; choose f32, bf16 or f16");
  StoredTypes types{.dtype = stored_type(options.dtype)};
  if (!options.dit_dtype.empty()) types.dit = stored_type(options.dit_dtype);
  if (options.overwrite && !official)
    throw UsageError("--overwrite: applies to a folder, the output of --to official");
  CommandFiles files;
  const bool automatic = options.pack == kAutomatic;
  declare_auto_pack(command, files, options.automatic, automatic);
  const std::string in = files.input_model("IN", model_path(options.in), options.models);
  std::string names, out = options.out;
  if (!options.class_names.empty()) names = files.input("--class-names", options.class_names);
  if (official)
    files.output_folder("OUT", options.out,
                        {.overwrite = options.overwrite, .own = is_official_file});
  else
    out = files.output("OUT", options.out, {".safetensors"});
  ModelSource source = open_model_source(in, options.models, options.image_size);
  if (!names.empty()) source.files.config.class_names = read_names(names);
  if (official) return convert_to_official(options, source.files, types.dtype);
  if (source.kind != ModelKind::bundle) source.notes.emplace("source", base_name(options.in));
  if (automatic)
    // Sensitivities are kept beside a file or folder, not beside the copy of a stream.
    pack_automatically(source.files, in == model_path(options.in) ? in : "", out, source.notes,
                       options.automatic, files);
  else if (options.pack.empty())
    save_bundle(source.files, out, types, source.notes);
  else
    save_packed_bundle(source.files, out, parse_weight_type(options.pack), source.notes);
  files.finish();
  files.print(concat(options.out, ": bundle", size_of_file(out)));
}

}  // namespace

void add_convert(CLI::App& app) {
  const auto options = std::make_shared<ConvertOptions>();
  CLI::App* command =
      app.add_subcommand("convert", "Convert a model into one file, or back to the official files");
  command
      ->add_option("IN", options->in,
                   "an official .yaml, a folder of diffusers (AutoencoderRAE) or of a Hugging Face "
                   "encoder, a bundle, or a model's name, as 'builtin'")
      ->type_name("")
      ->required();
  command
      ->add_option("OUT", options->out,
                   "the bundle to write, FILE.safetensors or - (stdout), or with --to official a "
                   "new or empty folder")
      ->type_name("")
      ->required();
  command
      ->add_option("--to", options->to,
                   "bundle, or official: config.yaml, and the folders encoder, decoder, dit, guide "
                   "and stats")
      ->type_name("FORM")
      ->check(CLI::IsMember({"bundle", "official"}))
      ->capture_default_str();
  command
      ->add_option("--dtype", options->dtype,
                   "f32, bf16 or f16: data type of stored matrices; vectors of a bundle and "
                   "statistics stay f32. int8w: 8-bit integers in groups of 32 with one scale "
                   "each, but bf16 outside the blocks; unlike that of --pack, the file can be "
                   "used everywhere and as every type")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f32", "bf16", "f16", kIntegers}))
      ->capture_default_str();
  command
      ->add_option("--dit-dtype", options->dit_dtype,
                   "the same for the diffusion network and its guide alone (default: --dtype)")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f32", "bf16", "f16", kIntegers}))
      ->excludes(command->get_option("--to"));
  command
      ->add_option("--pack", options->pack,
                   "store matrices as f32, bf16, int8, int8w or int4 in the layout of the kernels "
                   "of this machine (RAE_ISA), so that loading with the same --dtype and kernels "
                   "converts nothing; or auto: choose a type for each layer by its measured "
                   "sensitivity. Such a bundle cannot be trained or converted again")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "int8w", "int4", kAutomatic}))
      ->excludes(command->get_option("--dtype"))
      ->excludes(command->get_option("--dit-dtype"))
      ->excludes(command->get_option("--to"));
  command
      ->add_option("--models", options->models,
                   "folder to search for the files of an official configuration")
      ->type_name("DIR");
  command
      ->add_option("--class-names", options->class_names, "text file with one class name per line")
      ->type_name("FILE");
  add_whole_option(*command, "--image-size", options->image_size,
                   "side of the pictures in pixels, for a bundle that holds only an encoder; a "
                   "multiple of 16",
                   16, static_cast<std::uint64_t>(Image::kMaxSide));
  add_overwrite_option(*command, options->overwrite);
  add_auto_pack_options(*command, options->automatic);
  add_threads_option(*command);
  command->footer(
      "Tensors are converted one at a time, so that large models need little memory.\n"
      "\n"
      "--pack auto evaluates each network once for each of its layers and types. The errors are\n"
      "kept beside the model, in MODEL.sensitivities.json. Layers are then narrowed in the order\n"
      "of the error that a saved byte costs.\n"
      "\n"
      "Examples:\n"
      "  rae convert DiTDHXL-DINOv2-B.yaml model.safetensors --models models --dtype bf16\n"
      "  rae convert RAE-dinov2-wReg-base-ViTXL-n08 autoencoder.safetensors\n"
      "  rae convert model.safetensors small.safetensors --dtype bf16 --dit-dtype int8w\n"
      "  rae convert model.safetensors fast.safetensors --pack int8\n"
      "  rae convert builtin small.safetensors --pack auto --max-loss 2%\n"
      "  rae convert builtin small.safetensors --pack auto --budget 4MB\n"
      "  rae convert model.safetensors official --to official");
  command->callback([options, command] { convert(*command, *options); });
}

}  // namespace rae::tool
