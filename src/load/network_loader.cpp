#include "load/network_loader.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "core/process_limits.hpp"
#include "formats/bundle_layout.hpp"
#include "rae/core/owner.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/spec/auto_dtype.hpp"
#include "rae/spec/weight_types.hpp"
#include "spec/model_size.hpp"

namespace rae::detail {
namespace {

constexpr std::size_t index_of(NetworkRole role) noexcept { return static_cast<std::size_t>(role); }

/// The same network as a std::shared_ptr.
std::shared_ptr<const BackboneNetwork<Tensor<float>>> shared(
    OwnedPointer<BackboneNetwork<Tensor<float>>> network) {
  auto* const object = network.get();
  return {std::make_shared<OwnedPointer<BackboneNetwork<Tensor<float>>>>(std::move(network)),
          object};
}

/// Allocates weights on the heap even when the caller has a workspace, which would keep the memory
/// of each tensor after it was packed.
class OnTheHeap {
 public:
  OnTheHeap() noexcept : source_(std::exchange(current_source, nullptr)) {}
  ~OnTheHeap() { current_source = source_; }
  OnTheHeap(const OnTheHeap&) = delete;
  OnTheHeap& operator=(const OnTheHeap&) = delete;

 private:
  BlockSource* source_;
};

/// Throws FormatError unless the file has at least as many elements as the network, so that memory
/// is only allocated for weights that exist. `packed`: the type that its matrices are packed for.
void require_elements(const TensorGroup& group, NetworkRole role, const NetworkOutline& outline,
                      std::optional<DType> packed) {
  index_t found = 0;
  for (const std::string& name : group.tensors.names())
    found += group.tensors.info(name).shape.numel();
  const index_t parameters = parameter_count(outline.parameters);
  if (const index_t needed = packed ? least_packed_elements(*packed, parameters) : parameters;
      found < needed)
    raise<FormatError>(group.tensors.origin(), ": ", name_of(role), ": the tensors have ", found,
                       " elements, the configuration needs ", needed);
}

}  // namespace

NetworkLoader::NetworkLoader(ModelFiles files, const LoadOptions& options,
                             std::vector<NetworkRole> used)
    : config_(std::move(files.config)),
      latent_norm_(std::move(files.latent_norm)),
      origin_(std::move(files.origin)),
      packed_(files.packed.has_value()),
      keep_(options.keep_loaded),
      dtype_(options.dtype        ? *options.dtype
             : files.packed       ? *files.packed
             : options.auto_dtype ? fastest_dtype()
                                  : DType::f32),
      layer_types_(options.layer_types.empty() ? files.layer_types : options.layer_types) {
  validate(config_, ConfigPlace(origin_));
  require_weight_type(dtype_);
  require_packing(files, options);
  if (!layer_types_.empty()) dtype_ = narrowest(layer_types_);
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

/// Throws ArgumentError for other types than those that the files are packed for, and for both
/// options.
void NetworkLoader::require_packing(const ModelFiles& files, const LoadOptions& options) const {
  if (options.dtype && !options.layer_types.empty())
    raise<ArgumentError>(origin_, ": LoadOptions has both a dtype and types of single layers");
  if (!files.packed) return;
  const bool mixed = !files.layer_types.empty();
  const bool same = options.layer_types.empty()
                        ? !options.dtype || (!mixed && *options.dtype == *files.packed)
                        : options.layer_types == files.layer_types;
  if (!same)
    raise<ArgumentError>(origin_, ": its weights are packed for ",
                         mixed ? "a type for each layer" : name_of(*files.packed),
                         " and cannot be loaded as ", name_of(dtype_, options.layer_types),
                         "; use the bundle that it was packed from");
}

bool NetworkLoader::has(NetworkRole role) const noexcept { return has_[index_of(role)]; }

const TensorGroup& NetworkLoader::group_of(NetworkRole role) const {
  if (!has(role))
    raise<FormatError>(origin_, ": has no weights of a ", name_of(role), ", which are needed");
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
    const std::uint64_t bytes = bytes_of_network(outline_of(config_, role, layer_types_), dtype_);
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
          ? concat("; loading its networks in turn (keep_loaded = false) takes ",
                   in_gigabytes(largest), narrower.empty() ? "" : "; or use ", narrower)
          : concat("; use a smaller model, ", narrower, narrower.empty() ? "" : ", ",
                   "or a machine with more memory");
  raise<MemoryError>(origin_, ": the weights of '", config_.name, "' take ", in_gigabytes(needed),
                     " in ", type_name(), " (", list, "), but only ", in_gigabytes(available),
                     " of memory are free", hint);
}

/// Loads the weights of the network that make() returns as a pointer.
template <class Make>
auto NetworkLoader::load(NetworkRole role, Make make) const {
  const TensorGroup& group = group_of(role);
  const NetworkOutline outline = outline_of(config_, role, layer_types_);
  require_elements(group, role, outline, packed_ ? std::optional(dtype_) : std::nullopt);
  const WeightPacking packing{
      [&](const std::string& name) { return outline.weight_type(dtype_, name); }, packed_};
  check_weights(group, name_of(role), outline.parameters, &packing);
  if (!keep_) {
    // Encoder and decoder are used without other networks, the dit together with its guide.
    loaded_.encoder = nullptr;
    loaded_.decoder = nullptr;
    if (role == NetworkRole::encoder || role == NetworkRole::decoder) loaded_ = {};
  }
  const OnTheHeap heap;
  auto network = make();
  fill_weights(*network, group, name_of(role), &packing);
  using Network = std::remove_pointer_t<decltype(network.get())>;
  return std::shared_ptr<Network>(network.get(), [kept = network](Network*) mutable { kept = {}; });
}

std::shared_ptr<const EncoderNetwork<Tensor<float>>> NetworkLoader::encoder() const {
  const std::lock_guard lock(mutex_);
  if (!loaded_.encoder)
    loaded_.encoder = load(NetworkRole::encoder, [this] { return config_.encoder.make(); });
  return loaded_.encoder;
}

std::shared_ptr<const Decoder<Tensor<float>>> NetworkLoader::decoder() const {
  const std::lock_guard lock(mutex_);
  if (!loaded_.decoder)
    loaded_.decoder = load(NetworkRole::decoder, [this] {
      return OwnedPointer<Decoder<Tensor<float>>>::make(*config_.decoder);
    });
  return loaded_.decoder;
}

std::shared_ptr<const BackboneNetwork<Tensor<float>>> NetworkLoader::dit() const {
  const std::lock_guard lock(mutex_);
  if (!loaded_.dit)
    loaded_.dit =
        shared(load(NetworkRole::dit, [this] { return config_.dit->make<Tensor<float>>(); }));
  return loaded_.dit;
}

std::shared_ptr<const BackboneNetwork<Tensor<float>>> NetworkLoader::guide() const {
  const std::lock_guard lock(mutex_);
  if (!loaded_.guide)
    loaded_.guide =
        shared(load(NetworkRole::guide, [this] { return config_.guide->make<Tensor<float>>(); }));
  return loaded_.guide;
}

Rae<float> NetworkLoader::autoencoder(NetworkRole role) const {
  RaeSettings<float> settings{
      .pixels = config_.pixels, .latent_norm = latent_norm_, .output = config_.decoder_output};
  if (config_.encoder_size > 0) {
    const Shape input = config_.encoder_input_shape();  // (channels, H, W)
    settings.encoder_height = input[1];
    settings.encoder_width = input[2];
  }
  return {role == NetworkRole::encoder ? encoder() : nullptr,
          role == NetworkRole::decoder ? decoder() : nullptr, std::move(settings)};
}

}  // namespace rae::detail
