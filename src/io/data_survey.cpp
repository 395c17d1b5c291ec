#include "rae/io/data_survey.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

#include "cifar_files.hpp"
#include "escaped_name.hpp"
#include "folder_listing.hpp"
#include "idx_files.hpp"
#include "picture_decoders.hpp"
#include "picture_draws.hpp"
#include "rae/core/parallel.hpp"
#include "rae/io/dataset.hpp"
#include "rae/io/image.hpp"
#include "rae/io/image_info.hpp"

namespace rae {
namespace {

constexpr index_t kBatch = 64;  // files between calls of the callback

/// What was found in a file.
struct Finding {
  std::optional<ImageInfo> info;  // none: broken
  std::string reason;
};

Finding look_at(const std::string& path, const DatasetOptions& options, SurveyDepth depth) {
  try {
    ImageInfo info = read_image_info(path);
    if (detail::picture_decoders(info.format).empty())
      raise<FormatError>(path, ": this build cannot decode ", name_of(info.format), " files");
    if (options.ignore_exif && info.orientation > 4) std::swap(info.width, info.height);
    detail::require_fit(info.width, info.height, options, path);
    if (depth == SurveyDepth::pixels) (void)Image::open(path, {.exif = !options.ignore_exif});
    return {info, {}};
  } catch (const Cancelled&) {
    throw;
  } catch (const Error& error) {
    std::string_view reason = error.what();
    if (reason.starts_with(path)) reason.remove_prefix(path.size());
    if (reason.starts_with(": ")) reason.remove_prefix(2);
    return {{}, std::string(reason)};
  }
}

/// Counts properties of readable pictures that the training changes.
class Losses {
 public:
  void add(const ImageInfo& info, const DatasetOptions& options) {
    ++pictures_;
    if (options.channels == 1 && info.channels == 3) ++coloured_;
    if (info.alpha) ++transparent_;
    if (info.orientation != 1) ++turned_;
    const detail::Cover cover = detail::cover(info.width, info.height, options);
    if (info.width < cover.width || info.height < cover.height) ++enlarged_;
  }

  void write(std::vector<std::string>& notes, const DatasetOptions& options) const {
    const auto note = [&](index_t count, const char* one, const char* many) {
      if (count == 0) return;
      const std::string which = count == pictures_ ? concat("all ", count) : std::to_string(count);
      notes.push_back(count == 1 ? concat("1 picture ", one) : concat(which, " pictures ", many));
    };
    note(coloured_, "with colour becomes gray", "with colour become gray");
    note(transparent_, "loses its transparency", "lose their transparency");
    if (options.ignore_exif)
      note(turned_, "is not turned as its EXIF orientation says",
           "are not turned as their EXIF orientations say");
    const std::string size = concat(detail::width_of(options), " x ", options.size, " pixels");
    note(enlarged_, concat("is enlarged to ", size).c_str(),
         concat("are enlarged to ", size).c_str());
  }

 private:
  index_t pictures_ = 0, coloured_ = 0, transparent_ = 0, turned_ = 0, enlarged_ = 0;
};

std::string count_of(index_t count, std::string_view what) {
  return concat(count, " ", what, count == 1 ? "" : "s");
}

void count_classes(DataSurvey& survey, const ImageDataset& data) {
  for (const std::string& name : data.class_names()) survey.classes.emplace_back(name, 0);
  for (index_t i = 0; i < data.size(); ++i)
    ++survey.classes[static_cast<std::size_t>(data.label(i))].second;
}

/// Counts the pictures of the test part. Its mistakes are those of the commands that use it.
template <class Count>
void count_test(DataSurvey& survey, Count&& count) {
  try {
    survey.test = count();
  } catch (const Cancelled&) {
    throw;
  } catch (const Error& error) {
    survey.notes.push_back(concat("the test part cannot be used: ", error.what()));
  }
}

/// Whether the folder has pictures of this split in the format of a data set, not in files of their
/// own.
bool has_records(const std::string& folder, Split split) {
  if (!detail::find_idx(folder, detail::idx_name(split, "images-idx3-ubyte")).empty()) return true;
  const auto cifar = detail::find_cifar(folder);
  return cifar && cifar->has(split);
}

/// Fashion-MNIST and CIFAR: all files were checked when the data set was opened.
SurveyedDataset survey_records(const std::string& folder, Split split,
                               const DatasetOptions& options) {
  SurveyedDataset out{open_dataset(folder, split, options), {folder, split}};
  count_classes(out.survey, *out.data);
  if (options.channels == 1 && detail::find_cifar(folder))
    out.survey.notes.push_back(
        concat("all ", out.data->size(), " pictures with colour become gray"));
  if (split == Split::train && has_records(folder, Split::test))
    count_test(out.survey, [&] { return open_dataset(folder, Split::test, options)->size(); });
  return out;
}

/// The files of a listing one after the other.
std::vector<std::string> files_of(const detail::FolderListing& listing) {
  std::vector<std::string> out;
  for (const auto& each : listing.classes)
    out.insert(out.end(), each.files.begin(), each.files.end());
  return out;
}

}  // namespace

index_t DataSurvey::pictures() const noexcept {
  index_t sum = 0;
  for (const auto& [name, count] : classes) sum += count;
  return sum;
}

std::string DataSurvey::summary() const {
  constexpr std::size_t kNamed = 8;
  std::string out =
      concat(split == Split::train ? "train: " : "test: ", count_of(pictures(), "picture"), " in ",
             classes.size(), classes.size() == 1 ? " class (" : " classes (");
  for (std::size_t k = 0; k < std::min(kNamed, classes.size()); ++k)
    out +=
        concat(k == 0 ? "" : ", ", detail::escaped_name(classes[k].first), " ", classes[k].second);
  out += classes.size() > kNamed ? ", ...)" : ")";
  if (test > 0) out += concat(", ", test, " test");
  index_t skipped = static_cast<index_t>(broken.size());
  for (const auto& [ending, count] : unsupported) skipped += count;
  if (skipped == 0) return out;
  out += concat("; ", skipped, " skipped (");
  const char* comma = "";
  for (const auto& [ending, count] : unsupported) {
    out += concat(comma, count, " ", ending, " without support");
    comma = ", ";
  }
  if (!broken.empty())
    out += concat(comma, broken.size(), " broken: ", detail::escaped_name(broken.front().path),
                  broken.size() > 1 ? ", ..." : "");
  return out + ")";
}

void DataSurvey::require_unbroken() const {
  if (broken.empty()) return;
  constexpr std::size_t kNamed = 20;
  std::string list;
  for (std::size_t i = 0; i < std::min(kNamed, broken.size()); ++i)
    list += concat("\n  ", detail::escaped_name(broken[i].path), ": ", broken[i].reason);
  if (broken.size() > kNamed) list += concat("\n  and ", broken.size() - kNamed, " more");
  raise<FormatError>(count_of(static_cast<index_t>(broken.size()), "picture"), " in '",
                     detail::escaped_name(folder),
                     "' cannot be read (--skip-broken goes on without them):", list);
}

SurveyedDataset survey_dataset(const std::string& folder, Split split,
                               const DatasetOptions& options, SurveyDepth depth,
                               const Function<bool(index_t done, index_t total)>& on_progress) {
  if (has_records(folder, split)) return survey_records(folder, split, options);
  // Opening first refuses a folder without pictures and options out of range.
  SurveyedDataset out{open_dataset(folder, split, options), {folder, split}};
  DatasetOptions form = options;
  form.channels = out.data->channels();
  const detail::SplitFolders parts = detail::split_folders(folder);
  detail::FolderListing listing =
      detail::list_picture_folder(split == Split::train ? parts.train : parts.test);
  DataSurvey& survey = out.survey;
  survey.unsupported = std::move(listing.unsupported);
  survey.notes = parts.notes;
  survey.notes.insert(survey.notes.end(), listing.notes.begin(), listing.notes.end());

  const std::vector<std::string> files = files_of(listing);
  const auto total = static_cast<index_t>(files.size());
  Losses losses;
  std::vector<Finding> findings(static_cast<std::size_t>(kBatch));
  std::vector<std::string> left_out;
  for (index_t first = 0; first < total; first += kBatch) {
    const index_t count = std::min(kBatch, total - first);
    parallel_for(count, 1, [&](index_t i) {
      findings[static_cast<std::size_t>(i)] =
          look_at(files[static_cast<std::size_t>(first + i)], form, depth);
    });
    for (index_t i = 0; i < count; ++i) {
      Finding& found = findings[static_cast<std::size_t>(i)];
      const std::string& path = files[static_cast<std::size_t>(first + i)];
      if (found.info) {
        losses.add(*found.info, form);
      } else {
        survey.broken.push_back({path, std::move(found.reason)});
        left_out.push_back(path);
      }
    }
    if (on_progress && !on_progress(first + count, total))
      raise<Cancelled>("survey_dataset: stopped after ", first + count, " of ", total, " pictures");
  }
  losses.write(survey.notes, form);
  if (split == Split::train && parts.separate)
    count_test(survey, [&] {
      return static_cast<index_t>(files_of(detail::list_picture_folder(parts.test)).size());
    });
  if (static_cast<index_t>(left_out.size()) == total) {
    out.data = nullptr;
    return out;
  }
  if (!left_out.empty()) out.data = open_dataset(folder, split, options, left_out);
  for (const auto& each : listing.classes)  // a test part keeps the classes of the training part
    if (const auto& names = out.data->class_names();
        std::find(names.begin(), names.end(), each.name) == names.end())
      survey.notes.push_back(concat("the class '", detail::escaped_name(each.name),
                                    "' has no picture that can be read, so it is no class"));
  count_classes(survey, *out.data);
  return out;
}

}  // namespace rae
