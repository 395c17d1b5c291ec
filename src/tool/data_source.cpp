#include "tool/data_source.hpp"

#include <cstdio>

#include "io/folder_listing.hpp"
#include "io/idx_files.hpp"
#include "tool/interrupt.hpp"
#include "tool/text.hpp"

namespace rae::tool {

void add_data_flags(CLI::App& command, DataFlags& flags) {
  command.add_flag("--skip-broken", flags.skip_broken,
                   "go on without pictures that cannot be read, and list them");
  command.add_flag("--ignore-exif", flags.ignore_exif,
                   "show pictures as their pixels are stored, as the official loader does, instead "
                   "of turning them as their EXIF orientation says");
}

OwnedPointer<const ImageDataset> open_data(const std::string& folder, Split split,
                                           DatasetOptions options, const DataFlags& flags) {
  options.ignore_exif = flags.ignore_exif;
  const SurveyedDataset found = survey_dataset(folder, split, options, SurveyDepth::headers,
                                               [](index_t, index_t) { return !interrupted(); });
  const DataSurvey& survey = found.survey;
  if (!flags.skip_broken || !found.data) survey.require_unbroken();
  for (const BrokenPicture& picture : survey.broken)
    std::fprintf(stderr, "rae: note: skipped %s: %s\n", printable(picture.path).c_str(),
                 printable(picture.reason).c_str());
  if (flags.summary || !survey.unsupported.empty())
    std::fprintf(stderr, "rae: note: %s\n", printable(survey.summary()).c_str());
  for (const std::string& note : survey.notes)
    std::fprintf(stderr, "rae: note: %s\n", printable(note).c_str());
  return found.data;
}

std::string summary_of(const ImageDataset& data) {
  std::string out = plural(data.size(), "picture");
  for (const std::string& name : data.class_names())
    out += concat(out.find(':') == std::string::npos ? ": " : ", ", name);
  return out;
}

bool is_same_part(const std::string& folder) {
  for (const Split split : {Split::train, Split::test})
    if (!detail::find_idx(folder, detail::idx_name(split, "images-idx3-ubyte")).empty())
      return false;  // a missing part is an error
  return !detail::split_folders(folder).separate;
}

}  // namespace rae::tool
