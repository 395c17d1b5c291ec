// The output of `rae info` for weights and models: tensors, the network they belong to, and whether
// the files of a model fit each other.
#pragma once

#include <map>
#include <string>

#include "rae/io/config.hpp"

namespace rae::tool {

/// A checkpoint of PyTorch, an index of shards, or a safetensors file that is no bundle: what it
/// is, its sizes, all tensors. Throws as `TensorSource::open`.
void print_weights(const std::string& path, const std::string& kind);

/// An official configuration, or a folder of diffusers or of a Hugging Face encoder: whether its
/// files fit each other, and what they make. A folder without config.json is taken as weights.
/// Throws FileError, ConfigError, FormatError, ShapeError for files that are missing or do not fit.
void print_model(const std::string& path, const std::string& models_dir, bool tensors);

/// A line of text.
void print(const std::string& line);

/// Keys and values, a line each, those of a map further in.
void print_config(const ConfigNode& node, const std::string& indent);

/// "PATH: KIND, 12 kB".
[[nodiscard]] std::string heading(const std::string& path, const std::string& kind);

/// A title and pairs of texts; nothing when there is none.
void print_texts(const char* title, const std::map<std::string, std::string>& texts);

/// "  f32   (3, 5)                w" for each tensor of a file or a part of one.
template <class Source>
void print_tensors(const Source& source);

}  // namespace rae::tool
