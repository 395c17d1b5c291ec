// `rae convert`: converts a model in any supported format into a bundle, or into the files of the
// official code.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "rae/formats/bundle_writer.hpp"
#include "rae/io/file.hpp"
#include "rae/spec/weight_types.hpp"
#include "tool/command.hpp"
#include "tool/model_source.hpp"
#include "tool/output.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

struct ConvertOptions {
  std::string in, out, models, to = "bundle", dtype = "f32", pack, class_names;
  index_t image_size = 256;
};

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

void convert(const ConvertOptions& options) {
  const DType dtype = parse_float_dtype(options.dtype);
  const bool official = options.to == "official";
  if (official)
    require_writable_folder(options.out);
  else
    require_writable_file(options.out);
  ModelSource source = open_model_source(options.in, options.models, options.image_size);
  if (!options.class_names.empty())
    source.files.config.class_names = read_names(options.class_names);
  if (official) {
    const OfficialFiles official_files = save_official(source.files, options.out, dtype);
    for (const std::string& path : official_files.written)
      std::printf("%s%s\n", printable(path).c_str(), size_of_file(path).c_str());
    for (const std::string& note : official_files.notes)
      std::fprintf(stderr, "rae: note: %s\n", printable(note).c_str());
    return;
  }
  if (source.kind != ModelKind::bundle) source.notes.emplace("source", base_name(options.in));
  if (options.pack.empty())
    save_bundle(source.files, options.out, dtype, source.notes);
  else
    save_packed_bundle(source.files, options.out, parse_weight_type(options.pack), source.notes);
  std::printf("%s: bundle%s\n", printable(options.out).c_str(), size_of_file(options.out).c_str());
}

}  // namespace

void add_convert(CLI::App& app) {
  const auto options = std::make_shared<ConvertOptions>();
  CLI::App* command =
      app.add_subcommand("convert", "Convert a model into one file, or back to the official files");
  command
      ->add_option("IN", options->in,
                   "an official .yaml, a folder of diffusers (AutoencoderRAE) or of a Hugging Face "
                   "encoder, or a bundle")
      ->type_name("")
      ->required();
  command->add_option("OUT", options->out, "the bundle to write, or with --to official a folder")
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
                   "statistics stay f32")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str();
  command
      ->add_option("--pack", options->pack,
                   "store matrices as f32, bf16, int8, int8w or int4 in the layout of the kernels "
                   "of this machine (RAE_ISA), so that loading with the same --dtype and kernels "
                   "converts nothing; such a bundle cannot be trained or converted again")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "int8w", "int4"}))
      ->excludes(command->get_option("--dtype"))
      ->excludes(command->get_option("--to"));
  command
      ->add_option("--models", options->models,
                   "folder to search for the files of an official configuration")
      ->type_name("DIR");
  command
      ->add_option("--class-names", options->class_names, "text file with one class name per line")
      ->type_name("FILE");
  command
      ->add_option("--image-size", options->image_size,
                   "side of the pictures in pixels, for a bundle that holds only an encoder")
      ->type_name("N")
      ->capture_default_str();
  command->footer(
      "Tensors are converted one at a time, so that large models need little memory.\n"
      "\n"
      "Examples:\n"
      "  rae convert DiTDHXL-DINOv2-B.yaml model.safetensors --models models --dtype bf16\n"
      "  rae convert RAE-dinov2-wReg-base-ViTXL-n08 autoencoder.safetensors\n"
      "  rae convert model.safetensors fast.safetensors --pack int8\n"
      "  rae convert model.safetensors official --to official");
  command->callback([options] { convert(*options); });
}

}  // namespace rae::tool
