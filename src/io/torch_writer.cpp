#include "torch_writer.hpp"

#include <cstring>
#include <utility>

#include "stored_elements.hpp"

namespace rae::detail {
namespace {

template <class N>
void append(std::string& out, N number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out.append(bytes, sizeof number);
}

void string(std::string& out, std::string_view value) {
  out += 'X';
  append(out, static_cast<std::uint32_t>(value.size()));
  out += value;
}

void integer(std::string& out, std::int64_t value) {
  out += "\x8a\x08";
  append(out, value);
}

constexpr std::string_view kOrderedDictOpcodes = "ccollections\nOrderedDict\n)R";

std::string_view storage_of(const SafetensorsSlot& slot) {
  switch (slot.dtype) {
    case DType::f64: return "DoubleStorage";
    case DType::f32: return "FloatStorage";
    case DType::bf16: return "BFloat16Storage";
    case DType::f16: return "HalfStorage";
    default:
      raise<ArgumentError>("TorchWriter: tensor ", slot.name, ": ", name_of(slot.dtype),
                           " is not a float type");
  }
}

/// The pickle of the dict, in which tensor i refers to storage i.
std::string description(const std::vector<SafetensorsSlot>& slots) {
  std::string out = "\x80\x02";
  out += kOrderedDictOpcodes;
  out += '(';
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const SafetensorsSlot& slot = slots[i];
    string(out, slot.name);
    out += "ctorch._utils\n_rebuild_tensor_v2\n((";
    string(out, "storage");
    out += concat("ctorch\n", storage_of(slot), "\n");
    string(out, std::to_string(i));
    string(out, "cpu");
    integer(out, slot.shape.numel());
    out += "tQ";
    integer(out, 0);
    out += '(';
    for (const index_t extent : slot.shape) integer(out, extent);
    out += "t(";
    for (int d = 0; d < slot.shape.rank(); ++d) {
      index_t stride = 1;
      for (int inner = d + 1; inner < slot.shape.rank(); ++inner) stride *= slot.shape[inner];
      integer(out, stride);
    }
    out += "t\x89";
    out += kOrderedDictOpcodes;
    out += "tR";
  }
  out += "u.";
  return out;
}

template <class To>
void add_converted(ZipWriter& zip, const std::string& name, const Tensor<float>& tensor) {
  const Tensor<To> converted = convert<To>(tensor);  // tensor.shape()
  zip.add(name, {std::as_bytes(converted.span())});
}

}  // namespace

TorchWriter::TorchWriter(const std::string& path, std::vector<SafetensorsSlot> slots)
    : slots_(std::move(slots)), zip_(path) {
  const std::string pickle = description(slots_);
  zip_.add("archive/data.pkl", {as_byte_span(pickle)});
}

void TorchWriter::write(const Tensor<float>& tensor) {
  if (next_ == slots_.size())
    raise<ArgumentError>("TorchWriter: all ", next_, " tensors were already written");
  const SafetensorsSlot& slot = slots_[next_];
  require_shape(concat("TorchWriter: ", slot.name), tensor.shape(), slot.shape);
  const std::string name = "archive/data/" + std::to_string(next_++);
  switch (slot.dtype) {
    case DType::f64: return add_converted<double>(zip_, name, tensor);
    case DType::bf16: return add_converted<bf16>(zip_, name, tensor);
    case DType::f16: return add_converted<f16>(zip_, name, tensor);
    default: zip_.add(name, {std::as_bytes(tensor.span())});
  }
}

void TorchWriter::commit() {
  if (next_ != slots_.size())
    raise<ArgumentError>("TorchWriter: ", slots_.size() - next_, " tensors were not written");
  zip_.add("archive/version", {as_byte_span("3\n")});
  zip_.commit();
}

}  // namespace rae::detail
