#include "folder_listing.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "escaped_name.hpp"
#include "picture_decoders.hpp"
#include "rae/core/cancellation.hpp"
#include "rae/error.hpp"

namespace rae::detail {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 5> kRead = {".png", ".jpg", ".jpeg", ".jfif", ".bmp"};
/// Pictures in formats that are not read.
constexpr std::array<std::string_view, 14> kForeign = {".webp", ".gif",  ".tif", ".tiff", ".heic",
                                                       ".heif", ".avif", ".jxl", ".jp2",  ".psd",
                                                       ".ppm",  ".pgm",  ".tga", ".ico"};
constexpr std::array<std::string_view, 4> kTestNames = {"test", "val", "validation", "valid"};
constexpr int kDeepest = 4;  // levels below a class that are searched for pictures

std::string lower_ending(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return ending;
}

bool reads_webp() { return !picture_decoders(ImageFormat::webp).empty(); }

/// True for the ending, in lower case, of a picture that is read.
bool is_read(std::string_view ending) {
  return std::find(kRead.begin(), kRead.end(), ending) != kRead.end() ||
         (ending == ".webp" && reads_webp());
}

template <class List>
bool contains(const List& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

/// The entries of one folder that are not hidden, sorted by name.
struct Entries {
  std::vector<fs::path> folders, pictures, dangling;
  std::map<std::string, index_t> unsupported;
};

Entries entries_of(const fs::path& folder) {
  std::error_code error;
  Entries out;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    stop_if_cancelled();
    const fs::path& path = entry->path();
    if (is_hidden_name(path.filename().string())) continue;
    std::error_code ignored;
    const std::string ending = lower_ending(path);
    if (entry->is_directory(ignored))
      out.folders.push_back(path);
    else if (entry->is_symlink(ignored) && !fs::exists(path, ignored))
      out.dangling.push_back(path);
    else if (!entry->is_regular_file(ignored))
      continue;
    else if (is_read(ending))
      out.pictures.push_back(path);
    else if (contains(kForeign, ending))
      ++out.unsupported[ending];
  }
  if (error) raise<FileError>("cannot list '", folder.string(), "': ", error.message());
  for (auto* list : {&out.folders, &out.pictures, &out.dangling})
    std::sort(list->begin(), list->end());
  return out;
}

std::string count_of(index_t count, std::string_view what) {
  return concat(count, " ", what, count == 1 ? "" : "s");
}

/// The pictures in the folders below a class, which are not used.
struct Deeper {
  index_t pictures = 0;
  std::string first;  // one of their folders
};

void search(const fs::path& folder, int level, Deeper& out) {
  const Entries entries = entries_of(folder);
  if (!entries.pictures.empty() && out.first.empty()) out.first = folder.string();
  out.pictures += static_cast<index_t>(entries.pictures.size());
  std::error_code ignored;  // a link may lead back to a folder above
  if (level < kDeepest && !fs::is_symlink(folder, ignored))
    for (const fs::path& deeper : entries.folders) search(deeper, level + 1, out);
}

/// Collects the classes and the remarks.
class Listing {
 public:
  explicit Listing(const std::string& folder) : folder_(folder), top_(entries_of(folder)) {
    for (const fs::path& sub : top_.folders) add_sub_folder(sub);
    if (out_.classes.empty() && !top_.pictures.empty()) {
      add_class(fs::absolute(folder).lexically_normal(), top_);
    } else if (!top_.pictures.empty()) {
      out_.notes.push_back(concat(count_of(static_cast<index_t>(top_.pictures.size()), "picture"),
                                  " beside the class folders, such as ",
                                  shown(top_.pictures.front()), ", not used"));
    }
    note_leftovers(top_);
    if (out_.classes.empty()) raise_none();
    if (deeper_.pictures > 0)
      out_.notes.push_back(concat(count_of(deeper_.pictures, "picture"),
                                  " in folders inside class folders, such as ",
                                  shown(deeper_.first), ", not used"));
  }

  FolderListing take() { return std::move(out_); }

 private:
  static std::string shown(const fs::path& path) { return escaped_name(path.string()); }

  void add_sub_folder(const fs::path& sub) {
    const Entries entries = entries_of(sub);
    for (const fs::path& deeper : entries.folders) search(deeper, 1, deeper_);
    note_leftovers(entries);
    if (!entries.pictures.empty())
      add_class(sub, entries);
    else
      out_.notes.push_back(
          concat("the folder ", shown(sub), " has no pictures, so it is no class"));
  }

  void add_class(const fs::path& folder, const Entries& entries) {
    // A path with a '/' at its end has no file name.
    const fs::path named = folder.has_filename() ? folder : folder.parent_path();
    ListedClass added{named.filename().string()};
    for (const fs::path& file : entries.pictures) added.files.push_back(file.string());
    out_.classes.push_back(std::move(added));
  }

  void note_leftovers(const Entries& entries) {
    for (const auto& [ending, count] : entries.unsupported) out_.unsupported[ending] += count;
    for (const fs::path& link : entries.dangling)
      out_.notes.push_back(concat("the link ", shown(link), " leads nowhere"));
  }

  [[noreturn]] void raise_none() const {
    std::string found;
    for (const auto& [ending, count] : out_.unsupported)
      found += concat(found.empty() ? "" : ", ", count, " ", ending);
    if (!found.empty()) found = concat("; found only ", found);
    if (deeper_.pictures > 0)
      found += concat("; ", count_of(deeper_.pictures, "picture"), " in deeper folders, such as ",
                      shown(deeper_.first), " (expected FOLDER/CLASS/PICTURE)");
    raise<FileError>("no ", picture_formats(), " files in '", shown(folder_),
                     "' or its sub-folders", found);
  }

  std::string folder_;
  Entries top_;
  Deeper deeper_;
  FolderListing out_;
};

}  // namespace

bool is_hidden_name(const std::string& name) {
  constexpr std::array<std::string_view, 5> kNames = {"__MACOSX", "Thumbs.db", "desktop.ini",
                                                      "@eaDir", "$RECYCLE.BIN"};
  return name.starts_with('.') || contains(kNames, name);
}

bool has_picture_ending(const std::string& name) { return is_read(lower_ending(name)); }

std::string picture_formats() {
  return reads_webp() ? "PNG, JPEG, WebP or BMP" : "PNG, JPEG or BMP";
}

FolderListing list_picture_folder(const std::string& folder) { return Listing(folder).take(); }

SplitFolders split_folders(const std::string& folder) {
  std::error_code ignored;
  const fs::path root(folder), train = root / "train";
  SplitFolders out{folder, folder};
  if (!fs::is_directory(train, ignored)) return out;
  const Entries entries = entries_of(root);
  for (const std::string_view name : kTestNames) {
    const fs::path test = root / name;
    if (!fs::is_directory(test, ignored)) continue;
    out.test = test.string();
    out.separate = true;
    break;
  }
  if (!out.separate) {
    // A lone folder "train" is the training part; beside other folders it is a class.
    if (entries.folders.size() != 1 || !entries.pictures.empty()) return out;
    out.test = train.string();
  }
  out.train = train.string();
  for (const fs::path& other : entries.folders)
    if (other != train && other.string() != out.test)
      out.notes.push_back(concat("the folder ", escaped_name(other.string()), " beside ",
                                 escaped_name(out.train), " is not used"));
  if (!entries.pictures.empty())
    out.notes.push_back(concat(count_of(static_cast<index_t>(entries.pictures.size()), "picture"),
                               " beside ", escaped_name(out.train), ", not used"));
  return out;
}

}  // namespace rae::detail
