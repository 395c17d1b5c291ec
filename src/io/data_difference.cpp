#include "rae/io/data_difference.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

#include "escaped_name.hpp"

namespace rae {
namespace {

using detail::escaped_name;

std::string plural(std::size_t count, std::string_view what) {
  return concat(count, " ", what, count == 1 ? "" : "s");
}

/// "1 picture was", "2 pictures were".
std::string plural_of(index_t pictures) {
  return concat(pictures, pictures == 1 ? " picture was" : " pictures were");
}

/// Differences of pictures, collected over all classes.
class PictureChanges {
 public:
  void compare(const ManifestClass& saved, const ManifestClass& now) {
    if (saved.checksum == now.checksum && saved.pictures == now.pictures) return;
    if (!listed(saved) || !listed(now)) return compare_numbers(saved, now);
    std::map<std::string_view, const ManifestFile*> old;
    for (const ManifestFile& file : saved.files) old.emplace(file.name, &file);
    for (const ManifestFile& file : now.files) {
      const auto found = old.find(file.name);
      if (found == old.end()) {
        added_.push_back(place(now, file));
        continue;
      }
      if (!(*found->second == file)) changed_.push_back(place(now, file));
      old.erase(found);
    }
    for (const auto& [name, file] : old) removed_.push_back(place(saved, *file));
  }

  void lost(const ManifestClass& saved) { whole(saved, removed_, DataChange::pictures_removed); }
  void found(const ManifestClass& now) { whole(now, added_, DataChange::pictures_added); }

  /// Appends the differences.
  void write(std::vector<DataDifference>& out) const {
    list(out, DataChange::pictures_removed, removed_);
    list(out, DataChange::pictures_added, added_);
    list(out, DataChange::pictures_changed, changed_);
    out.insert(out.end(), numbers_.begin(), numbers_.end());
  }

 private:
  static bool listed(const ManifestClass& c) {
    return static_cast<index_t>(c.files.size()) == c.pictures;
  }

  static std::string place(const ManifestClass& c, const ManifestFile& file) {
    return escaped_name(c.name.empty() ? file.name : c.name + "/" + file.name);
  }

  void compare_numbers(const ManifestClass& saved, const ManifestClass& now) {
    const std::string subject = concat("class '", escaped_name(now.name), "'");
    if (saved.pictures == now.pictures)
      numbers_.push_back(
          {DataChange::pictures_changed, concat("the pictures of ", subject, " changed")});
    else
      numbers_.push_back(
          {saved.pictures > now.pictures ? DataChange::pictures_removed
                                         : DataChange::pictures_added,
           concat(subject, " had ", saved.pictures, " pictures, has ", now.pictures)});
  }

  void whole(const ManifestClass& c, std::vector<std::string>& to, DataChange kind) {
    if (c.pictures == 0) return;
    if (listed(c)) {
      for (const ManifestFile& file : c.files) to.push_back(place(c, file));
      return;
    }
    numbers_.push_back(
        {kind, concat(plural(static_cast<std::size_t>(c.pictures), "picture"), " of class '",
                      escaped_name(c.name),
                      kind == DataChange::pictures_added ? "' added" : "' removed")});
  }

  static void list(std::vector<DataDifference>& out, DataChange kind,
                   const std::vector<std::string>& names) {
    if (names.empty()) return;
    const char* verb = kind == DataChange::pictures_removed ? " removed ("
                       : kind == DataChange::pictures_added ? " added ("
                                                            : " changed (";
    std::string text = plural(names.size(), "picture") + verb;
    constexpr std::size_t kNamed = 3;
    for (std::size_t i = 0; i < std::min(kNamed, names.size()); ++i)
      text += concat(i == 0 ? "" : ", ", names[i]);
    out.push_back({kind, text + (names.size() > kNamed ? ", ...)" : ")")});
  }

  std::vector<std::string> removed_, added_, changed_;
  std::vector<DataDifference> numbers_;
};

/// The class of `now` that each class of `saved` has become: that of the same name; else one of
/// equal pictures; else, where no name is known, that of the same label.
std::vector<std::optional<std::size_t>> successors(const DataManifest& saved,
                                                   const DataManifest& now) {
  std::vector<bool> taken(now.classes.size());
  std::vector<std::optional<std::size_t>> out(saved.classes.size());
  const auto match = [&](auto&& fits) {
    for (std::size_t s = 0; s < out.size(); ++s)
      for (std::size_t n = 0; n < taken.size() && !out[s]; ++n)
        if (!taken[n] && fits(s, n)) {
          out[s] = n;
          taken[n] = true;
        }
  };
  const auto same_name = [&](std::size_t s, std::size_t n) {
    return saved.classes[s].name == now.classes[n].name;
  };
  const auto same_label = [&](std::size_t s, std::size_t n) { return s == n; };
  match([&](std::size_t s, std::size_t n) { return same_label(s, n) && same_name(s, n); });
  match([&](std::size_t s, std::size_t n) {
    return same_name(s, n) && !saved.classes[s].name.empty();
  });
  match([&](std::size_t s, std::size_t n) {
    return saved.classes[s].checksum == now.classes[n].checksum &&
           saved.classes[s].pictures == now.classes[n].pictures;
  });
  match([&](std::size_t s, std::size_t n) {
    return same_label(s, n) && (saved.classes[s].name.empty() || now.classes[n].name.empty());
  });
  return out;
}

void compare_classes(std::vector<DataDifference>& out, const DataManifest& saved,
                     const DataManifest& now) {
  const std::size_t most = std::max(saved.classes.size(), now.classes.size());
  std::vector<std::string> texts;
  for (std::size_t k = 0; k < most; ++k) {
    const bool before = k < saved.classes.size(), after = k < now.classes.size();
    const std::string was = before ? concat("'", escaped_name(saved.classes[k].name), "'") : "",
                      is = after ? concat("'", escaped_name(now.classes[k].name), "'") : "";
    if (before && after && was != is)
      texts.push_back(concat("class ", k, " was ", was, ", is ", is));
    else if (!after)
      texts.push_back(concat("class ", k, " was ", was, ", is missing"));
    else if (!before)
      texts.push_back(concat("class ", k, " is new: ", is));
  }
  constexpr std::size_t kNamed = 5;
  for (std::size_t i = 0; i < std::min(texts.size(), kNamed); ++i)
    out.push_back({DataChange::classes, texts[i]});
  if (texts.size() > kNamed)
    out.push_back(
        {DataChange::classes, concat(texts.size() - kNamed, " more classes have other names")});
}

void compare_options(std::vector<DataDifference>& out, const DataManifest& saved,
                     const DataManifest& now) {
  const auto compare = [&](const char* name, auto was, auto is) {
    if (was != is) out.push_back({DataChange::options, concat(name, " was ", was, ", is ", is)});
  };
  const DatasetOptions &a = saved.options, &b = now.options;
  compare("the height of the pictures", a.size, b.size);
  compare("the width of the pictures", a.width, b.width);
  compare("the number of channels", a.channels, b.channels);
  compare("random_crop", a.random_crop, b.random_crop);
  compare("flip", a.flip, b.flip);
  compare("the seed of the data", a.seed, b.seed);
  compare("ignore_exif", a.ignore_exif, b.ignore_exif);
  if ((saved.held_out > 0) != (now.held_out > 0))
    out.push_back(
        {DataChange::options, saved.held_out > 0
                                  ? concat(plural_of(saved.held_out), " held out, none is now")
                                  : concat("no picture was held out, now ", now.held_out, " are")});
  else if (out.empty() && saved.held_out != now.held_out)
    out.push_back({DataChange::options,
                   concat(plural_of(saved.held_out), " held out, now ", now.held_out, " are")});
}

}  // namespace

std::vector<DataDifference> differences(const DataManifest& saved, const DataManifest& now) {
  std::vector<DataDifference> out;
  if (saved.checksum() == now.checksum()) return out;
  if (saved.extent != now.extent) {
    out.push_back({DataChange::pictures_changed,
                   concat("the checksums were ", name_of(saved.extent), ", are ",
                          name_of(now.extent), ", so that the pictures cannot be compared")});
    compare_classes(out, saved, now);
    compare_options(out, saved, now);
    return out;
  }
  compare_classes(out, saved, now);
  PictureChanges pictures;
  const auto successor = successors(saved, now);
  std::vector<bool> known(now.classes.size());
  for (std::size_t s = 0; s < successor.size(); ++s) {
    if (successor[s]) {
      pictures.compare(saved.classes[s], now.classes[*successor[s]]);
      known[*successor[s]] = true;
    } else {
      pictures.lost(saved.classes[s]);
    }
  }
  for (std::size_t n = 0; n < known.size(); ++n)
    if (!known[n]) pictures.found(now.classes[n]);
  pictures.write(out);
  compare_options(out, saved, now);
  if (out.empty())  // equal files whose order or labels differ
    out.push_back({DataChange::pictures_changed, "the pictures have another order"});
  return out;
}

std::string describe_difference(const DataManifest& saved, const DataManifest& now) {
  std::string out;
  for (const DataDifference& difference : differences(saved, now))
    out += concat(out.empty() ? "" : "; ", difference.text);
  return out;
}

}  // namespace rae
