#include "load/network_loader.hpp"

#include <algorithm>
#include <utility>

#include "formats/bundle_parts.hpp"
#include "formats/check_tensors.hpp"
#include "formats/packed_weights.hpp"
#include "io/suggestion.hpp"
#include "spec/model_memory.hpp"

namespace rae::detail {
namespace {

constexpr Part kParts[] = {Part::encoder, Part::decoder, Part::dit, Part::guide};

constexpr std::size_t index_of(Part part) noexcept { return static_cast<std::size_t>(part); }

std::string_view name_of(Part part) noexcept {
  constexpr std::string_view kNames[] = {"encoder", "decoder", "dit", "guide"};
  return kNames[index_of(part)];
}

/// What is loaded lies on the heap, whatever workspace the caller has: it would keep each tensor's
/// memory after it was packed.
class OnTheHeap {
 public:
  OnTheHeap() noexcept : pool_(std::exchange(current_pool, nullptr)) {}
  ~OnTheHeap() { current_pool = pool_; }
  OnTheHeap(const OnTheHeap&) = delete;
  OnTheHeap& operator=(const OnTheHeap&) = delete;

 private:
  Pool* pool_;
};

Shape without_ones(const Shape& shape) {
  std::array<index_t, kMaxRank> extents{};
  std::size_t n = 0;
  for (const index_t extent : shape)
    if (extent != 1) extents[n++] = extent;
  return Shape(std::span<const index_t>(extents.data(), n));
}

/// True when a tensor of the file is the n-th part of the rows of our parameter. Convolutions are
/// stored with their kernel's extents.
bool fits(const Shape& stored, const Shape& ours, index_t parts) {
  if (stored.numel() * parts != ours.numel()) return false;
  if (parts > 1) return stored.rank() > 0 && ours.rank() > 0 && stored[0] * parts == ours[0];
  return without_ones(stored) == without_ones(ours) ||
         (ours.rank() == 2 && stored.rank() == 4 && stored[0] == ours[0]);
}

/// Where the weights of a model come from.
struct Weights {
  const PartFile& file;
  std::string_view part;
  DType dtype;  // that the model is held as
  bool packed;  // weights of products lie as the kernels read them

  [[nodiscard]] std::string where() const { return concat(file.tensors.origin(), ": ", part); }

  /// Throws unless the file has every parameter in its shape.
  template <class Config>
  void check(const Config& config, const std::vector<ParameterShape>& parameters) const {
    for (const auto& [name, shape, use] : parameters) {
      if (packed && use != ParameterUse::elements) {
        packed_weight(config, name, shape, use).check(file.tensors, where());
        continue;
      }
      const std::vector<std::string> stored = files_of(file, name);
      for (const std::string& each : stored) {
        if (!file.tensors.contains(each))
          raise<FormatError>(where(), ": the tensor ", each, " is missing",
                             suggestion(each, file.tensors.names()));
        const Shape& found = file.tensors.info(each).shape;
        if (!fits(found, shape, static_cast<index_t>(stored.size())))
          raise<ShapeError>(where(), ": tensor ", each, ": expected ",
                            stored.size() > 1 ? "a part of " : "", shape, ", got ", found);
      }
    }
  }

  template <class Config>
  [[nodiscard]] PackedWeight packed_weight(const Config& config, const std::string& name,
                                           const Shape& shape, ParameterUse use) const {
    return {name, shape, weight_type(config, dtype, name), panel_columns(use)};
  }

  void require_finite(const std::string& name, std::span<const float> values) const {
    if (!is_finite(std::as_bytes(values), DType::f32))
      raise<FormatError>(where(), ": tensor ", name, " holds NaN or infinity");
  }

  [[nodiscard]] Tensor<float> read(const std::string& name) const {
    Tensor<float> out = file.tensors.read<float>(name);  // as stored
    require_finite(name, std::as_const(out).span());
    return out;
  }

  /// A tensor of f32 as it lies in the file; empty when it is stored otherwise.
  [[nodiscard]] View<const float> in_place(const std::string& name, const Shape& shape) const {
    const std::span<const std::byte> bytes = file.tensors.bytes(name);
    if (file.tensors.info(name).dtype != DType::f32 ||
        bytes.size() != static_cast<std::size_t>(shape.numel()) * sizeof(float) ||
        reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(float) != 0)
      return {};
    return {reinterpret_cast<const float*>(bytes.data()), shape};
  }

  /// One parameter, of several tensors one behind the other if need be.
  [[nodiscard]] Tensor<float> parameter(const std::string& name, const Shape& shape) const {
    const std::vector<std::string> stored = files_of(file, name);
    if (stored.size() == 1) return read(stored.front()).reshaped(shape);
    Tensor<float> joined(shape);  // the parameter's shape
    float* target = joined.data();
    for (const std::string& each : stored) {
      const Tensor<float> rows = read(each);
      target = std::copy_n(rows.data(), rows.numel(), target);
    }
    return joined;
  }

  /// Sets and packs one parameter after the other, so that no more than one tensor is held twice.
  template <class Model>
  void fill(Model& model) const {
    model.parameters([&](const std::string& name, auto& p) {
      if (p.empty()) return;
      if (packed && p.use() != ParameterUse::elements)
        return p.pack(
            packed_weight(model.config(), name, p.shape(), p.use()).read(file.tensors, where()));
      const DType stored = weight_type(model.config(), dtype, name);
      const std::vector<std::string> pieces = files_of(file, name);
      if (const View<const float> elements =
              pieces.size() == 1 ? in_place(pieces.front(), p.shape()) : View<const float>();
          !elements.empty()) {
        require_finite(pieces.front(),
                       {elements.data(), static_cast<std::size_t>(elements.numel())});
        p.pack(elements, stored);
        file.tensors.release(pieces.front());
        return;
      }
      p.set(parameter(name, p.shape()));
      p.pack(stored);
    });
  }
};

/// Makes a model once it is known that the file has the elements for it.
template <template <class> class Model, class Config>
Model<Tensor<float>> load_model(const Config& config, const Weights& weights) {
  index_t found = 0;
  for (const std::string& name : weights.file.tensors.names())
    found += weights.file.tensors.info(name).shape.numel();
  const index_t parameters = parameter_count(config);
  if (const index_t needed =
          weights.packed ? least_packed_elements(weights.dtype, parameters) : parameters;
      found < needed)
    raise<FormatError>(weights.where(), ": the tensors have ", found,
                       " elements, the configuration needs ", needed);
  weights.check(config, parameter_shapes<Model>(config));
  const OnTheHeap heap;
  Model<Tensor<float>> model(config);
  weights.fill(model);
  return model;
}

/// The network of either kind that a model has.
std::shared_ptr<const DiffusionNetwork> load_network(
    const std::optional<DitDhConfig>& dit, const std::optional<LightningDitConfig>& lightning,
    const Weights& weights) {
  return dit ? std::make_shared<const DiffusionNetwork>(load_model<DitDh>(*dit, weights))
             : std::make_shared<const DiffusionNetwork>(
                   load_model<LightningDit>(*lightning, weights));
}

}  // namespace

PartLoader::PartLoader(ModelFiles files, const LoadOptions& options, std::vector<Part> used)
    : config_(std::move(files.config)),
      latent_norm_(std::move(files.latent_norm)),
      origin_(std::move(files.origin)),
      packed_(files.packed.has_value()),
      keep_(options.keep_loaded),
      dtype_(options.dtype.value_or(files.packed.value_or(DType::f32))) {
  require_weight_type(dtype_);
  if (packed_ && dtype_ != *files.packed)
    raise<ArgumentError>(origin_, ": its weights are packed for ", name_of(*files.packed),
                         " and cannot be loaded as ", name_of(dtype_),
                         "; take the bundle that it was made from");
  std::optional<PartFile>* const sources[] = {&files.encoder, &files.decoder, &files.dit,
                                              &files.guide};
  const bool described[] = {true, config_.decoder.has_value(), config_.dit || config_.lightning_dit,
                            config_.has_guide()};
  std::erase_if(used,
                [&](Part part) { return !*sources[index_of(part)] || !described[index_of(part)]; });
  for (const Part part : used) {
    has_[index_of(part)] = true;
    files_[index_of(part)] = std::move(*sources[index_of(part)]);
  }
  require_memory(options, used);
  if (!keep_) return;
  if (has(Part::encoder)) (void)encoder();
  if (has(Part::decoder)) (void)decoder();
  if (has(Part::dit)) (void)dit();
  if (has(Part::guide)) (void)guide();
  for (auto& file : files_) file.reset();
}

bool PartLoader::has(Part part) const noexcept { return has_[index_of(part)]; }

const PartFile& PartLoader::file_of(Part part) const {
  if (!has(part))
    raise<FormatError>(origin_, ": has no weights of a ", name_of(part), ", which this needs");
  return *files_[index_of(part)];
}

std::uint64_t PartLoader::bytes_of(Part part) const {
  switch (part) {
    case Part::encoder: return bytes_of_model<Encoder>(config_.encoder, dtype_);
    case Part::decoder: return bytes_of_model<Decoder>(*config_.decoder, dtype_);
    case Part::guide:
      return config_.guide ? bytes_of_model<DitDh>(*config_.guide, dtype_)
                           : bytes_of_model<LightningDit>(*config_.lightning_guide, dtype_);
    default:
      return config_.dit ? bytes_of_model<DitDh>(*config_.dit, dtype_)
                         : bytes_of_model<LightningDit>(*config_.lightning_dit, dtype_);
  }
}

void PartLoader::require_memory(const LoadOptions& options, const std::vector<Part>& used) const {
  const std::uint64_t available =
      options.available_memory > 0 ? options.available_memory : available_memory();
  if (available == 0) return;
  std::uint64_t all = 0, sampling = 0, largest = 0;
  std::string list;
  for (const Part part : kParts) {
    if (std::find(used.begin(), used.end(), part) == used.end()) continue;
    const std::uint64_t bytes = bytes_of(part);
    all += bytes;
    // The guide is at work at the same time as the model that it guides.
    if (part == Part::dit || part == Part::guide)
      sampling += bytes;
    else
      largest = std::max(largest, bytes);
    list += concat(list.empty() ? "" : ", ", name_of(part), " ", in_gigabytes(bytes));
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
          ? concat("; loading its parts one after the other (keep_loaded = false) takes ",
                   in_gigabytes(largest), narrower.empty() ? "" : "; or take ", narrower)
          : concat("; take a smaller model, ", narrower, narrower.empty() ? "" : ", ",
                   "or a machine with more memory");
  raise<MemoryError>(origin_, ": the weights of '", config_.name, "' take ", in_gigabytes(needed),
                     " in ", name_of(dtype_), " (", list, "), but only ", in_gigabytes(available),
                     " of memory are free", hint);
}

std::shared_ptr<const Encoder<Tensor<float>>> PartLoader::encoder() const {
  const std::lock_guard lock(mutex_);
  if (loaded_.encoder) return loaded_.encoder;
  const Weights weights{file_of(Part::encoder), "encoder", dtype_, packed_};
  if (!keep_) loaded_ = {};
  loaded_.encoder =
      std::make_shared<const Encoder<Tensor<float>>>(load_model<Encoder>(config_.encoder, weights));
  return loaded_.encoder;
}

std::shared_ptr<const Decoder<Tensor<float>>> PartLoader::decoder() const {
  const std::lock_guard lock(mutex_);
  if (loaded_.decoder) return loaded_.decoder;
  const Weights weights{file_of(Part::decoder), "decoder", dtype_, packed_};
  if (!keep_) loaded_ = {};
  loaded_.decoder = std::make_shared<const Decoder<Tensor<float>>>(
      load_model<Decoder>(*config_.decoder, weights));
  return loaded_.decoder;
}

std::shared_ptr<const DiffusionNetwork> PartLoader::dit() const {
  const std::lock_guard lock(mutex_);
  if (loaded_.dit) return loaded_.dit;
  const Weights weights{file_of(Part::dit), "dit", dtype_, packed_};
  if (!keep_) loaded_.encoder = nullptr, loaded_.decoder = nullptr;
  loaded_.dit = load_network(config_.dit, config_.lightning_dit, weights);
  return loaded_.dit;
}

std::shared_ptr<const DiffusionNetwork> PartLoader::guide() const {
  const std::lock_guard lock(mutex_);
  if (loaded_.guide) return loaded_.guide;
  const Weights weights{file_of(Part::guide), "guide", dtype_, packed_};
  if (!keep_) loaded_.encoder = nullptr, loaded_.decoder = nullptr;
  loaded_.guide = load_network(config_.guide, config_.lightning_guide, weights);
  return loaded_.guide;
}

}  // namespace rae::detail
