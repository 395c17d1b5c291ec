#include "formats/official/paths.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "rae/error.hpp"

namespace rae::official {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kModels = "models/", kConfigs = "configs/";
/// Folders of nyu-visionx/RAE-collections on Hugging Face.
constexpr std::string_view kReleased[] = {"DiTs/",         "decoders/",  "discs/",
                                          "stats/dinov2/", "stats/mae/", "stats/siglip2/"};
constexpr int kMaxParents = 16;

bool is_file(const fs::path& path) {
  std::error_code none;
  return fs::is_regular_file(path, none);
}

bool is_folder(const fs::path& path) {
  std::error_code none;
  return fs::is_directory(path, none);
}

/// The current snapshot of a repository in the layout of Hugging Face's cache: that of its branch
/// main, else the last by name.
std::string snapshot_in(const fs::path& repository) {
  if (!is_folder(repository / "snapshots")) return {};
  std::string revision;
  std::ifstream(repository / "refs" / "main") >> revision;
  if (!revision.empty() && revision.find('/') == std::string::npos &&
      is_folder(repository / "snapshots" / revision))
    return (repository / "snapshots" / revision).string();
  std::vector<std::string> all;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(repository / "snapshots", none))
    if (is_folder(entry.path())) all.push_back(entry.path().string());
  return all.empty() ? std::string{} : *std::max_element(all.begin(), all.end());
}

/// Folders of Hugging Face's cache, in the order of its client.
std::vector<std::string> hub_caches() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::vector<std::string> out;
  if (const auto cache = variable("HF_HUB_CACHE"); !cache.empty()) out.push_back(cache);
  if (const auto home = variable("HF_HOME"); !home.empty()) out.push_back(home + "/hub");
  if (const auto cache = variable("XDG_CACHE_HOME"); !cache.empty())
    out.push_back(cache + "/huggingface/hub");
  if (const auto home = variable("HOME"); !home.empty())
    out.push_back(home + "/.cache/huggingface/hub");
  return out;
}

/// "models--org--name"
std::string cache_name(const std::string& id) {
  const auto slash = id.find('/');
  return "models--" + id.substr(0, slash) + "--" + id.substr(slash + 1);
}

/// A word of a shell command, quoted if necessary.
std::string word(const std::string& text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._-+=,:@%").find(c) < 11;
  });
  if (plain && !text.empty()) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

bool is_hub_id(const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size() ||
      text.find('/', slash + 1) != std::string::npos)
    return false;
  if (text.front() == '.' || text[slash + 1] == '.') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '.' || c == '_' || c == '-';
  });
}

Paths::Paths(const std::string& config_file, const std::string& models)
    : config_file_(config_file), download_to_(models.empty() ? "models" : models) {
  std::error_code none;
  fs::path folder = fs::absolute(config_file, none).lexically_normal().parent_path();
  for (int i = 0; i < kMaxParents && !folder.empty(); ++i) {
    bases_.push_back(folder.string());
    if (folder == folder.parent_path()) break;
    folder = folder.parent_path();
  }
  if (const fs::path here = fs::current_path(none); !here.empty())
    bases_.insert(bases_.begin() + (bases_.empty() ? 0 : 1), here.string());
  if (!models.empty()) {
    models_.push_back(models);
    return;
  }
  for (const std::string& base : bases_) models_.push_back((fs::path(base) / "models").string());
}

std::vector<std::string> Paths::candidates(const std::string& written) const {
  const fs::path path(written);
  if (path.is_absolute()) return {written};
  std::vector<std::string> out;
  for (const std::string& base : bases_) out.push_back((fs::path(base) / path).string());
  const bool in_models = written.rfind(kModels, 0) == 0, id = is_hub_id(written);
  for (const std::string& models : models_) {
    out.push_back((fs::path(models) / path).string());
    if (in_models) out.push_back((fs::path(models) / written.substr(kModels.size())).string());
    if (!id) continue;
    out.push_back((fs::path(models) / path.filename()).string());
    for (const fs::path& cache : {fs::path(models), fs::path(models) / "hub"})
      if (auto snapshot = snapshot_in(cache / cache_name(written)); !snapshot.empty())
        out.push_back(std::move(snapshot));
  }
  if (id)
    for (const std::string& cache : hub_caches())
      if (auto snapshot = snapshot_in(fs::path(cache) / cache_name(written)); !snapshot.empty())
        out.push_back(std::move(snapshot));
  return out;
}

std::string Paths::download(const std::string& written, std::string_view files) const {
  const std::string in_models =
      written.rfind(kModels, 0) == 0 ? written.substr(kModels.size()) : written;
  const bool released = std::any_of(std::begin(kReleased), std::end(kReleased),
                                    [&](auto folder) { return in_models.rfind(folder, 0) == 0; });
  if (released || in_models.size() != written.size())
    return concat("hf download nyu-visionx/RAE-collections ", word(in_models), " --local-dir ",
                  word(download_to_));
  if (written.rfind(kConfigs, 0) == 0)
    return "git clone https://github.com/bytetriper/RAE, which has it beside the "
           "configurations";
  if (files.empty() || !is_hub_id(written)) return {};
  // If the first word is an existing folder, the name is a path and not an id.
  const fs::path first = *fs::path(written).begin();
  if (std::any_of(bases_.begin(), bases_.end(),
                  [&](const std::string& base) { return is_folder(fs::path(base) / first); }))
    return {};
  return concat("hf download ", word(written), " ", files, " --local-dir ",
                word((fs::path(download_to_) / written).string()));
}

void Paths::add_missing(const std::string& key, const std::string& description,
                        const std::string& written, std::string_view files) {
  missing_.push_back({key, description, download(written, files)});
}

void Paths::add_missing(const std::string& key, const std::string& description,
                        const std::string& command) {
  missing_.push_back({key, description, command});
}

std::string Paths::existing_file(const std::string& written) const {
  for (std::string& candidate : candidates(written))
    if (is_file(candidate)) return std::move(candidate);
  return {};
}

std::string Paths::existing_folder(const std::string& written,
                                   const std::vector<std::vector<std::string>>& files) const {
  for (std::string& candidate : candidates(written))
    if (std::all_of(files.begin(), files.end(), [&](const auto& names) {
          return std::any_of(names.begin(), names.end(),
                             [&](const auto& name) { return is_file(fs::path(candidate) / name); });
        }))
      return std::move(candidate);
  return {};
}

std::string Paths::file(const std::string& key, const std::string& written) {
  for (std::string& candidate : candidates(written))
    if (is_file(candidate)) return std::move(candidate);
  add_missing(key, "the file '" + written + "'", written, "");
  return {};
}

std::string Paths::folder(const std::string& key, const std::string& written,
                          const std::vector<std::vector<std::string>>& files) {
  std::string nearest, missing_file;
  for (std::string& candidate : candidates(written)) {
    if (!is_folder(candidate)) continue;
    const auto missing = std::find_if(files.begin(), files.end(), [&](const auto& names) {
      return std::none_of(names.begin(), names.end(),
                          [&](const auto& name) { return is_file(fs::path(candidate) / name); });
    });
    if (missing == files.end()) return std::move(candidate);
    if (nearest.empty() && is_file(fs::path(candidate) / "config.json")) {
      nearest = candidate;
      missing_file = missing->front();
    }
  }
  add_missing(key,
              nearest.empty() ? "the folder '" + written + "'"
                              : "the file '" + (fs::path(nearest) / missing_file).string() + "'",
              written, "config.json preprocessor_config.json model.safetensors");
  return {};
}

std::string Paths::config(const std::string& key, const std::string& written) {
  for (const std::string& candidate : candidates(written)) {
    if (is_file(fs::path(candidate) / "config.json"))
      return (fs::path(candidate) / "config.json").string();
    if (is_file(candidate)) return candidate;
  }
  add_missing(key, "the folder '" + written + "' with a config.json", written, "config.json");
  return {};
}

void Paths::require_all() const {
  if (missing_.empty()) return;
  std::string text = concat(config_file_, ": ",
                            missing_.size() == 1 ? "a part" : concat(missing_.size(), " parts"),
                            " of the model ", missing_.size() == 1 ? "is" : "are", " missing:");
  std::vector<std::string> listed;
  for (const Missing& each : missing_) {
    text += concat("\n  ", each.key, ": ", each.description);
    if (each.command.empty() ||
        std::find(listed.begin(), listed.end(), each.command) != listed.end())
      continue;
    text += "\n      " + each.command;
    listed.push_back(each.command);
  }
  text += "\nSearched in '" + bases_.front() +
          "' and the folders above it, in the working directory, and in the folder of models '" +
          (models_.size() == 1 ? models_.front() : std::string("models")) +
          "' (--models DIR chooses another). 'hf' is installed by 'pip install "
          "huggingface_hub'; its older versions have 'huggingface-cli download' instead.";
  throw FileError(text);
}

}  // namespace rae::official
