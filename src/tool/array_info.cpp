// Describes arrays by their names, shapes and values.
#include "tool/array_info.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "rae/io/npz.hpp"
#include "tool/text.hpp"
#include "tool/weights_info.hpp"

namespace rae::tool {
namespace {

/// An array, without its values.
struct ArrayHead {
  std::string name;
  DType dtype;
  Shape shape;

  [[nodiscard]] bool is_float() const {
    return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 ||
           dtype == DType::bf16;
  }
  [[nodiscard]] bool is_batch() const { return is_float() && shape.rank() == 4; }
};

bool is_one_of(const std::string& name, std::initializer_list<const char*> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_latents(const ArrayHead& a) {
  return a.is_batch() &&
         is_one_of(a.name, {"latent", "latents", "sample_latent", "noise", "velocity"});
}
bool is_pixels(const ArrayHead& a) {
  return a.is_batch() && is_one_of(a.name, {"sample_image", "reconstruction"});
}
bool is_statistic(const ArrayHead& a) {
  return (is_one_of(a.name, {"mean", "var"}) && a.is_float() && a.shape.rank() == 3) ||
         (a.name == "count" && !a.is_float() && a.shape.numel() == 1);
}

/// The kind of a file with these arrays; absent if it is unknown.
std::optional<std::string> kind_of(const std::vector<ArrayHead>& arrays) {
  const auto all = [&](auto test) {
    return !arrays.empty() && std::all_of(arrays.begin(), arrays.end(), test);
  };
  const auto has = [&](const char* name) {
    return std::any_of(arrays.begin(), arrays.end(), [&](const auto& a) { return a.name == name; });
  };
  if (all(is_latents)) return "latents";
  if (all(is_pixels)) return "pixels";
  if (has("mean") && all(is_statistic)) return "statistics of latents";
  if (arrays.size() <= 2 && has("mu") && has("sigma")) return "statistics of features";
  const ArrayHead* const first = arrays.empty() ? nullptr : &arrays.front();
  if (first == nullptr || first->shape.rank() != 4) return std::nullopt;
  if (first->name == "arr_0" && first->dtype == DType::uint8) return "pictures";
  if (arrays.size() == 1 && first->is_float()) return "latents or pixels";
  return std::nullopt;
}

/// The meaning of the extents, or "".
std::string meaning_of(const ArrayHead& a) {
  const Shape& s = a.shape;
  if (a.name == "arr_0" && a.dtype == DType::uint8 && s.rank() == 4)
    return concat(plural(s[0], "picture"), " of ", s[2], " x ", s[1], " pixels, ",
                  plural(s[3], "channel"));
  if (is_pixels(a))
    return concat(plural(s[0], "picture"), " of ", s[3], " x ", s[2], " pixels, ",
                  plural(s[1], "channel"));
  if (is_latents(a) || a.is_batch())
    return concat(is_latents(a) ? plural(s[0], "latent") : concat("batch of ", s[0]), ", ",
                  plural(s[1], "channel"), ", ", s[2], " x ", s[3], " tokens");
  if (is_statistic(a) && a.name != "count")
    return concat(a.name == "mean" ? "means" : "variances", " of ", plural(s[0], "channel"), ", ",
                  s[1], " x ", s[2], " tokens");
  return {};
}

template <class T>
double to_double(T value) {
  if constexpr (std::is_arithmetic_v<T>)
    return static_cast<double>(value);
  else
    return static_cast<double>(static_cast<float>(value));
}

/// "range -3.1 to 2.9, mean 0.01", and how many values are not finite.
template <class T>
std::string values_of(std::span<const T> values) {
  double least = std::numeric_limits<double>::infinity(), most = -least, sum = 0;
  std::int64_t finite = 0;
  for (const T each : values) {
    const double value = to_double(each);
    if (!std::isfinite(value)) continue;
    least = std::min(least, value);
    most = std::max(most, value);
    sum += value;
    ++finite;
  }
  const auto count = static_cast<std::int64_t>(values.size());
  std::string out;
  if (finite > 0)
    out = concat("range ", format_number(least), " to ", format_number(most), ", mean ",
                 format_number(sum / static_cast<double>(finite)));
  if (finite < count)
    out += concat(out.empty() ? "" : ", ", plural(count - finite, "value"), " NaN or infinite");
  return out;
}

void print_array(const ArrayHead& a, const std::string& values) {
  print(concat("  ", name_of(a.dtype), "  ", a.shape, "  ", printable(a.name)));
  if (const std::string meaning = meaning_of(a); !meaning.empty()) print("       " + meaning);
  if (!values.empty()) print("       " + values);
}

void print_array(const std::string& name, const AnyTensor& tensor) {
  print_array({name, dtype_of(tensor), shape_of(tensor)},
              std::visit([](const auto& t) { return values_of(t.span()); }, tensor));
}

/// A tensor of any type.
AnyTensor read_any(const SafetensorsFile& file, const std::string& name) {
  switch (file.info(name).dtype) {
    case DType::f64: return file.read<double>(name);
    case DType::f16: return file.read<f16>(name);
    case DType::bf16: return file.read<bf16>(name);
    case DType::f32: return file.read<float>(name);
    default: return file.read<std::int64_t>(name);
  }
}

}  // namespace

bool print_known_arrays(const SafetensorsFile& file) {
  std::vector<ArrayHead> heads;
  for (const auto& name : file.names())
    heads.push_back({name, file.info(name).dtype, file.info(name).shape});
  const auto kind = kind_of(heads);
  if (!kind || *kind == "latents or pixels") return false;
  print(heading(file.origin(),
                concat("safetensors, ", plural(static_cast<index_t>(heads.size()), "tensor"), " (",
                       *kind, ")")));
  for (const auto& head : heads) print_array(head.name, read_any(file, head.name));
  print_texts("metadata:", file.metadata());
  return true;
}

void print_npz(const std::string& path) {
  const NpzFile file = NpzFile::open(path);
  // Large sets of pictures are read in place.
  std::vector<std::pair<ArrayHead, std::string>> arrays;
  std::vector<ArrayHead> heads;
  for (const auto& name : file.names()) {
    if (const auto pixels = file.mapped(name)) {
      heads.push_back({name, DType::uint8, pixels->shape()});
      arrays.emplace_back(
          heads.back(),
          values_of(std::span(pixels->data(), static_cast<std::size_t>(pixels->shape().numel()))));
      continue;
    }
    const AnyTensor tensor = file.read_any(name);
    heads.push_back({name, dtype_of(tensor), shape_of(tensor)});
    arrays.emplace_back(heads.back(),
                        std::visit([](const auto& t) { return values_of(t.span()); }, tensor));
  }
  const auto kind = kind_of(heads);
  print(heading(path, concat("npz, ", plural(static_cast<index_t>(heads.size()), "array"),
                             kind ? concat(" (", *kind, ")") : std::string())));
  for (const auto& [head, values] : arrays) print_array(head, values);
}

void print_npy(const std::string& path) {
  const AnyTensor tensor = read_npy(path);
  const auto kind = kind_of({{"arr_0", dtype_of(tensor), shape_of(tensor)}});
  print(heading(path, kind ? concat("npy (", *kind, ")") : std::string("npy")));
  print_array("", tensor);
}

}  // namespace rae::tool
