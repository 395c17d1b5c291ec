#include "safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <utility>

#include "rae/io/placeholder.hpp"

namespace rae::detail {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<std::string_view, DType>, 10> kTypeNames = {
    {{"F64", DType::f64},
     {"F32", DType::f32},
     {"BF16", DType::bf16},
     {"F16", DType::f16},
     {"I64", DType::int64},
     {"I32", DType::int32},
     {"I16", DType::int16},
     {"I8", DType::int8},
     {"U8", DType::uint8},
     {"BOOL", DType::boolean}}};

/// Limit of the number of extents, which bounds the memory for an unsupported tensor.
constexpr std::size_t kMostExtents = 64;

/// A string of a hostile file for a message: shortened.
std::string shortened(const std::string& text) {
  return text.size() <= 120 ? text : text.substr(0, 120) + "...";
}

/// Receives the JSON of the header as events, so that no tree is built and only the expected
/// structure is accepted: { "__metadata__": {string: string}, name: {"dtype": string, "shape":
/// [n...], "data_offsets": [begin, end]}, ... }
class HeaderHandler : public nlohmann::json_sax<Json> {
 public:
  HeaderHandler(SafetensorsHeader& out, const std::string& origin) : out_(out), origin_(origin) {}

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("boolean"); }
  bool number_float(number_float_t, const string_t&) override {
    unexpected("fraction or number out of range");
  }
  bool binary(binary_t&) override { unexpected("binary data"); }
  bool number_integer(number_integer_t) override { unexpected("negative number"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (!in_list_) unexpected("number");
    if (value > static_cast<number_unsigned_t>(std::numeric_limits<index_t>::max()))
      unexpected("number above 2^63");
    const std::size_t most = field_ == "shape" ? kMostExtents : 2;
    if (list_.size() == most)
      fail(concat(shortened(tensor_.name), ": ", field_, " has more than ", most, " numbers"));
    list_.push_back(static_cast<index_t>(value));
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ != 2 || in_list_) unexpected("string");
    if (in_metadata_) {
      if (!out_.metadata.emplace(field_, value).second)
        fail(concat("metadata: duplicate key '", shortened(field_), "'"));
      return true;
    }
    if (field_ != "dtype") unexpected("string");
    for (const auto& [name, type] : kTypeNames)
      if (name == value) dtype_ = type;
    has_type_ = true;
    if (!dtype_) unreadable_ = concat("has the dtype '", shortened(value), "'");
    return true;
  }

  bool start_object(std::size_t) override {
    if (depth_ >= 2 || in_list_) unexpected("object");
    ++depth_;
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ == 1) {
      if (!names_.insert(name).second) fail(concat("duplicate name '", shortened(name), "'"));
      in_metadata_ = name == "__metadata__";
      tensor_ = StoredTensor{name, {}, 0, 0};
      dtype_.reset();
      shape_.reset();
      has_type_ = has_shape_ = has_offsets_ = false;
      unreadable_.clear();
    } else if (!in_metadata_) {
      const bool repeated = name == "dtype"   ? has_type_
                            : name == "shape" ? has_shape_
                                              : has_offsets_;
      if (name != "dtype" && name != "shape" && name != "data_offsets")
        fail(concat(tensor_.name, ": unknown key '", shortened(name), "'"));
      if (repeated) fail(concat(tensor_.name, ": duplicate key '", name, "'"));
    }
    field_ = name;
    return true;
  }

  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_) finish_tensor();
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_list_ || in_metadata_ || field_ == "dtype") unexpected("list");
    in_list_ = true;
    list_.clear();
    return true;
  }

  bool end_array() override {
    in_list_ = false;
    if (field_ == "shape") {
      has_shape_ = true;
      if (list_.size() > static_cast<std::size_t>(kMaxRank)) {
        unreadable_ = concat("has rank ", list_.size(), "; at most ", kMaxRank);
        return true;
      }
      try {
        shape_ = Shape(std::span<const index_t>(list_));
      } catch (const ShapeError& error) {
        fail(concat(tensor_.name, ": ", error.what()));
      }
      return true;
    }
    if (list_.size() != 2) fail(concat(tensor_.name, ": data_offsets needs two numbers"));
    tensor_.begin = static_cast<std::size_t>(list_[0]);
    tensor_.end = static_cast<std::size_t>(list_[1]);
    has_offsets_ = true;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    fail(concat("the header is not valid JSON at byte ", position));
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    raise<FormatError>(origin_, ": safetensors: ", reason);
  }
  [[noreturn]] void unexpected(std::string_view kind) const {
    fail(concat(
        "unexpected ", kind,
        depth_ == 0 ? std::string(" at the top") : concat(" in '", shortened(tensor_.name), "'")));
  }

  void finish_tensor() {
    if (!has_type_ || !has_shape_ || !has_offsets_)
      fail(concat(tensor_.name, ": dtype, shape and data_offsets are required"));
    if (!unreadable_.empty()) {
      // The size of its elements is unknown, so that only the order of the offsets can be checked.
      if (tensor_.begin > tensor_.end)
        fail(concat(shortened(tensor_.name), ": data_offsets [", tensor_.begin, ", ", tensor_.end,
                    "] are in the wrong order"));
      out_.unreadable.emplace(tensor_.name, unreadable_ + ", which is not supported");
      out_.tensors.push_back(std::move(tensor_));
      return;
    }
    tensor_.info = {*dtype_, *shape_};
    // Shape bounds the element count to 2^59, so the product with at most eight bytes cannot
    // overflow.
    const auto bytes = static_cast<std::size_t>(shape_->numel()) * size_of(*dtype_);
    if (tensor_.begin > tensor_.end || tensor_.end - tensor_.begin != bytes)
      fail(concat(tensor_.name, ": data_offsets [", tensor_.begin, ", ", tensor_.end,
                  "] do not fit ", *shape_, " of ", name_of(*dtype_), ", which is ", bytes,
                  " bytes"));
    out_.tensors.push_back(std::move(tensor_));
  }

  SafetensorsHeader& out_;
  const std::string& origin_;
  std::unordered_set<std::string> names_;
  StoredTensor tensor_;
  std::string field_;
  std::optional<DType> dtype_;
  std::optional<Shape> shape_;
  std::vector<index_t> list_;
  std::string unreadable_;  // the reason; empty for a tensor that can be read
  int depth_ = 0;
  bool in_list_ = false, in_metadata_ = false;
  bool has_type_ = false, has_shape_ = false, has_offsets_ = false;
};

/// Throws FormatError unless the tensors cover the data without overlap or hole, as the reference
/// reader requires.
void require_tiling(const SafetensorsHeader& header, std::size_t data_size,
                    const std::string& origin) {
  std::vector<const StoredTensor*> order;
  order.reserve(header.tensors.size());
  for (const auto& tensor : header.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  std::size_t position = 0;
  for (const auto* tensor : order) {
    if (tensor->end > data_size)
      raise<FormatError>(origin, ": safetensors: tensor ", shortened(tensor->name),
                         " ends at byte ", tensor->end, " of the data, which has only ", data_size,
                         "; is the file truncated?");
    if (tensor->begin != position)
      raise<FormatError>(origin, ": safetensors: tensor ", shortened(tensor->name),
                         " begins at byte ", tensor->begin, ", expected ", position,
                         tensor->begin < position ? " (tensors overlap)" : " (there is a hole)");
    position = tensor->end;
  }
  if (position != data_size)
    raise<FormatError>(origin, ": safetensors: ", data_size - position,
                       " bytes after the last tensor");
}

}  // namespace

std::string_view safetensors_name(DType type) noexcept {
  return kTypeNames[static_cast<std::size_t>(type)].first;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           const std::string& origin) {
  require_no_placeholder(file, origin);
  std::uint64_t length = 0;
  if (file.size() < sizeof length)
    raise<FormatError>(origin, ": safetensors: the file has only ", file.size(),
                       " bytes; is it truncated?");
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kMaxSafetensorsHeader)
    raise<FormatError>(origin, ": safetensors: a header of ", length,
                       " bytes; is this a safetensors file?");
  if (length > file.size() - sizeof length)
    raise<FormatError>(origin, ": safetensors: the header has ", length, " bytes, the file only ",
                       file.size(), "; is it truncated?");

  SafetensorsHeader header;
  header.data_begin = sizeof length + static_cast<std::size_t>(length);
  const auto* text = reinterpret_cast<const char*>(file.data()) + sizeof length;
  HeaderHandler handler(header, origin);
  Json::sax_parse(text, text + length, &handler);
  require_tiling(header, file.size() - header.data_begin, origin);
  std::erase_if(header.tensors, [&](const StoredTensor& tensor) {
    return header.unreadable.find(tensor.name) != header.unreadable.end();
  });
  return header;
}

}  // namespace rae::detail
