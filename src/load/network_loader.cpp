#include "load/network_loader.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "core/process_limits.hpp"
#include "formats/bundle_layout.hpp"
#include "formats/check_tensors.hpp"
#include "formats/packed_weights.hpp"
#include "io/suggestion.hpp"
#include "rae/spec/weight_types.hpp"
#include "spec/model_size.hpp"

namespace rae::detail {
namespace {

constexpr std::size_t index_of(NetworkRole role) noexcept { return static_cast<std::size_t>(role); }

/// Weights are on the heap, whatever workspace the caller has: it would keep each tensor's memory
/// after it was packed.
class OnTheHeap {
 public:
  OnTheHeap() noexcept : source_(std::exchange(current_source, nullptr)) {}
  ~OnTheHeap() { current_source = source_; }
  OnTheHeap(const OnTheHeap&) = delete;
  OnTheHeap& operator=(const OnTheHeap&) = delete;

 private:
  BlockSource* source_;
};

/// The weights of one network in a file.
struct Weights {
  const TensorGroup& group;
  std::string_view role;
  NetworkOutline outline;
  DType dtype;  // that the network is held as
  bool packed;  // weights of products are stored as the kernels read them

  [[nodiscard]] std::string where() const { return concat(group.tensors.origin(), ": ", role); }

  /// Throws unless the file has every parameter in its shape, with as many elements as the network
  /// will take memory for.
  void check() const {
    index_t found = 0;
    for (const std::string& name : group.tensors.names())
      found += group.tensors.info(name).shape.numel();
    const index_t parameters = parameter_count(outline.parameters);
    if (const index_t needed = packed ? least_packed_elements(dtype, parameters) : parameters;
        found < needed)
      raise<FormatError>(where(), ": the tensors have ", found,
                         " elements, the configuration needs ", needed);
    for (const auto& [name, shape, use] : outline.parameters) {
      if (packed && use != ParameterUse::elements)
        packed_weight(name, shape, use).check(group.tensors, where());
      else
        check_elements(name, shape);
    }
  }

  /// Sets and packs one parameter after the other, so that no more than one tensor is held twice.
  template <class Network>
  void fill(Network& network) const {
    network.parameters([&](const std::string& name, auto& p) {
      if (p.empty()) return;
      if (packed && p.use() != ParameterUse::elements)
        return p.pack(packed_weight(name, p.shape(), p.use()).read(group.tensors, where()));
      const DType stored = outline.weight_type(dtype, name);
      const std::vector<std::string> pieces = names_in_file(group, name);
      if (const View<const float> elements =
              pieces.size() == 1 ? in_place(pieces.front(), p.shape()) : View<const float>();
          !elements.empty()) {
        require_finite(pieces.front(),
                       {elements.data(), static_cast<std::size_t>(elements.numel())});
        p.pack(elements, stored);
        group.tensors.release(pieces.front());
        return;
      }
      p.set(parameter(name, p.shape()));
      p.pack(stored);
    });
  }

 private:
  void check_elements(const std::string& name, const Shape& shape) const {
    const std::vector<std::string> pieces = names_in_file(group, name);
    for (const std::string& each : pieces) {
      if (!group.tensors.contains(each))
        raise<FormatError>(where(), ": the tensor ", each, " is missing",
                           suggestion(each, group.tensors.names()));
      const Shape& found = group.tensors.info(each).shape;
      if (!fits(found, piece_of(shape, pieces.size())))
        raise<ShapeError>(where(), ": tensor ", each, ": expected ",
                          pieces.size() > 1 ? "a part of " : "", shape, ", got ", found);
    }
  }

  [[nodiscard]] PackedWeight packed_weight(const std::string& name, const Shape& shape,
                                           ParameterUse use) const {
    return {name, shape, outline.weight_type(dtype, name), panel_columns(use)};
  }

  void require_finite(const std::string& name, std::span<const float> values) const {
    if (!is_finite(std::as_bytes(values), DType::f32))
      raise<FormatError>(where(), ": tensor ", name, " holds NaN or infinity");
  }

  [[nodiscard]] Tensor<float> read(const std::string& name) const {
    Tensor<float> out = group.tensors.read<float>(name);  // as stored
    require_finite(name, std::as_const(out).span());
    return out;
  }

  /// A tensor of f32 as it is in the file; empty when it is stored otherwise.
  [[nodiscard]] View<const float> in_place(const std::string& name, const Shape& shape) const {
    const std::span<const std::byte> bytes = group.tensors.bytes(name);
    if (group.tensors.info(name).dtype != DType::f32 ||
        bytes.size() != static_cast<std::size_t>(shape.numel()) * sizeof(float) ||
        reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(float) != 0)
      return {};
    return {reinterpret_cast<const float*>(bytes.data()), shape};
  }

  /// One parameter, concatenated from several tensors if need be.
  [[nodiscard]] Tensor<float> parameter(const std::string& name, const Shape& shape) const {
    const std::vector<std::string> pieces = names_in_file(group, name);
    if (pieces.size() == 1) return read(pieces.front()).reshaped(shape);
    Tensor<float> joined(shape);  // the parameter's shape
    float* target = joined.data();
    for (const std::string& each : pieces) {
      const Tensor<float> rows = read(each);
      target = std::copy_n(rows.data(), rows.numel(), target);
    }
    return joined;
  }
};

}  // namespace

NetworkLoader::NetworkLoader(ModelFiles files, const LoadOptions& options,
                             std::vector<NetworkRole> used)
    : config_(std::move(files.config)),
      latent_norm_(std::move(files.latent_norm)),
      origin_(std::move(files.origin)),
      packed_(files.packed.has_value()),
      keep_(options.keep_loaded),
      dtype_(options.dtype.value_or(files.packed.value_or(DType::f32))) {
  validate(config_, ConfigPlace(origin_));
  require_weight_type(dtype_);
  if (packed_ && dtype_ != *files.packed)
    raise<ArgumentError>(origin_, ": its weights are packed for ", name_of(*files.packed),
                         " and cannot be loaded as ", name_of(dtype_),
                         "; take the bundle that it was made from");
  std::erase_if(
      used, [&](NetworkRole role) { return !files.network(role) || !describes(config_, role); });
  for (const NetworkRole role : used) {
    has_[index_of(role)] = true;
    groups_[index_of(role)] = std::move(files.network(role));
  }
  require_memory(options, used);
  if (!keep_) return;
  if (has(NetworkRole::encoder)) (void)encoder();
  if (has(NetworkRole::decoder)) (void)decoder();
  if (has(NetworkRole::dit)) (void)dit();
  if (has(NetworkRole::guide)) (void)guide();
  for (auto& group : groups_) group.reset();
}

bool NetworkLoader::has(NetworkRole role) const noexcept { return has_[index_of(role)]; }

const TensorGroup& NetworkLoader::group_of(NetworkRole role) const {
  if (!has(role))
    raise<FormatError>(origin_, ": has no weights of a ", name_of(role), ", which this needs");
  return *groups_[index_of(role)];
}

void NetworkLoader::require_memory(const LoadOptions& options,
                                   const std::vector<NetworkRole>& used) const {
  const std::uint64_t available =
      options.available_memory > 0 ? options.available_memory : available_memory();
  if (available == 0) return;
  std::uint64_t all = 0, sampling = 0, largest = 0;
  std::string list;
  for (const NetworkRole role : kNetworkRoles) {
    if (std::find(used.begin(), used.end(), role) == used.end()) continue;
    const std::uint64_t bytes = bytes_of_network(outline_of(config_, role), dtype_);
    all += bytes;
    // The guide is used at the same time as the network that it guides.
    if (role == NetworkRole::dit || role == NetworkRole::guide)
      sampling += bytes;
    else
      largest = std::max(largest, bytes);
    list += concat(list.empty() ? "" : ", ", name_of(role), " ", in_gigabytes(bytes));
  }
  largest = std::max(largest, sampling);
  const std::uint64_t needed = keep_ ? all : largest;
  if (needed <= available) return;
  const std::string narrower = dtype_ == DType::int4 ? ""
                               : dtype_ == DType::f32 || dtype_ == DType::bf16
                                   ? "narrower weights (int8 or int4)"
                                   : "narrower weights (int4)";
  const std::string hint =
      keep_ && largest <= available
          ? concat("; loading its networks one after the other (keep_loaded = false) takes ",
                   in_gigabytes(largest), narrower.empty() ? "" : "; or take ", narrower)
          : concat("; take a smaller model, ", narrower, narrower.empty() ? "" : ", ",
                   "or a machine with more memory");
  raise<MemoryError>(origin_, ": the weights of '", config_.name, "' take ", in_gigabytes(needed),
                     " in ", name_of(dtype_), " (", list, "), but only ", in_gigabytes(available),
                     " of memory are free", hint);
}

/// A network with its weights: make() gives one without, as a pointer.
template <class Make>
auto NetworkLoader::load(NetworkRole role, Make make) const {
  const Weights weights{group_of(role), name_of(role), outline_of(config_, role), dtype_, packed_};
  weights.check();
  if (!keep_) {
    // Encoder and decoder are used without other networks, the dit together with its guide.
    loaded_.encoder = nullptr;
    loaded_.decoder = nullptr;
    if (role == NetworkRole::encoder || role == NetworkRole::decoder) loaded_ = {};
  }
  const OnTheHeap heap;
  auto network = make();
  weights.fill(*network);
  return network;
}

std::shared_ptr<const Encoder<Tensor<float>>> NetworkLoader::encoder() const {
  const std::lock_guard lock(mutex_);
  if (!loaded_.encoder)
    loaded_.encoder = load(NetworkRole::encoder, [this] {
      return std::make_unique<Encoder<Tensor<float>>>(config_.encoder);
    });
  return loaded_.encoder;
}

std::shared_ptr<const Decoder<Tensor<float>>> NetworkLoader::decoder() const {
  const std::lock_guard lock(mutex_);
  if (!loaded_.decoder)
    loaded_.decoder = load(NetworkRole::decoder, [this] {
      return std::make_unique<Decoder<Tensor<float>>>(*config_.decoder);
    });
  return loaded_.decoder;
}

OwnedPointer<const BackboneNetwork<Tensor<float>>> NetworkLoader::dit() const {
  const std::lock_guard lock(mutex_);
  if (!loaded_.dit)
    loaded_.dit = load(NetworkRole::dit, [this] { return config_.dit->make<Tensor<float>>(); });
  return loaded_.dit;
}

OwnedPointer<const BackboneNetwork<Tensor<float>>> NetworkLoader::guide() const {
  const std::lock_guard lock(mutex_);
  if (!loaded_.guide)
    loaded_.guide =
        load(NetworkRole::guide, [this] { return config_.guide->make<Tensor<float>>(); });
  return loaded_.guide;
}

}  // namespace rae::detail
