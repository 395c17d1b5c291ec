// The output of `rae info` for weights and models: tensors, the network that they belong to, and
// whether the files of a model are consistent.
#pragma once

#include <map>
#include <string>

#include "rae/formats/model_files.hpp"
#include "rae/io/config.hpp"

namespace rae::tool {

/// Prints a checkpoint of PyTorch, an index of shards, or a safetensors file that is not a bundle:
/// its network, sizes and tensors. Throws as `TensorSource::open`.
void print_weights(const std::string& path, const std::string& kind);

/// Prints an official configuration, or a folder of diffusers or of a Hugging Face encoder: the
/// source of each network, and the configuration, after a check that the files are consistent. A
/// folder without config.json is treated as weights. Throws FileError, ConfigError, FormatError or
/// ShapeError for files that are missing or inconsistent.
void print_model(const std::string& path, const std::string& models_dir, bool tensors);

/// "int8", or of a mix the number of layers of each type: "3 f32, 40 int4 layers". The model is
/// packed.
[[nodiscard]] std::string packing_of(const ModelFiles& files);

/// Prints a line to stdout.
void print(const std::string& line);

/// Prints keys and values, one per line; nested maps are indented.
void print_config(const ConfigNode& node, const std::string& indent);

/// The first line of a report: "PATH: KIND, 12 kB".
[[nodiscard]] std::string heading(const std::string& path, const std::string& kind);

/// Prints a title and pairs of texts; prints nothing if there are none.
void print_texts(const char* title, const std::map<std::string, std::string>& texts);

/// Prints a line "  f32   (3, 5)                w" for each tensor of a file or a group of tensors.
template <class Source>
void print_tensors(const Source& source);

}  // namespace rae::tool
