#include "bench/peers/onednn_product.hpp"

#include <oneapi/dnnl/dnnl.hpp>
#if defined(_OPENMP)
#include <omp.h>
#endif

namespace rae::bench {
namespace {

dnnl::engine& engine() {
  static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

}  // namespace

struct OneDnnProduct::State {
  dnnl::stream stream{engine()};
  dnnl::memory source, weight, target;
  dnnl::matmul product;
};

OneDnnProduct::OneDnnProduct(DType type, index_t m, index_t n, index_t k, const float* weight)
    : state_(new State) {
  using dnnl::memory;
  using Type = memory::data_type;
  const Type of_a = type == DType::f32 ? Type::f32 : type == DType::bf16 ? Type::bf16 : Type::u8;
  const Type of_b = type == DType::int8 ? Type::s8 : of_a;
  const memory::desc a({m, k}, of_a, memory::format_tag::ab),
      any({k, n}, of_b, memory::format_tag::any);
  const memory::desc plain({k, n}, Type::f32, memory::format_tag::ba),
      out({m, n}, Type::f32, memory::format_tag::ab);
  dnnl::primitive_attr scaled;
  if (type == DType::int8) scaled.set_output_scales(0, {1e-3f});
  const dnnl::matmul::primitive_desc description({a, any, out}, scaled, engine());
  state_->product = dnnl::matmul(description);
  state_->source = memory(a, engine(), nullptr);
  state_->target = memory(out, engine(), nullptr);
  state_->weight = memory(description.weights_desc(), engine());
  memory from(plain, engine(), const_cast<float*>(weight));
  dnnl::primitive_attr to_integers;
  if (type == DType::int8) to_integers.set_output_scales(0, {100.0f});
  dnnl::reorder(dnnl::reorder::primitive_desc(from, state_->weight, to_integers))
      .execute(state_->stream, from, state_->weight);
  state_->stream.wait();
}

OneDnnProduct::~OneDnnProduct() = default;

bool OneDnnProduct::supports(DType type) {
  if (type != DType::f32 && type != DType::bf16 && type != DType::int8) return false;
  try {
    constexpr float kWeight = 1;
    const OneDnnProduct tried(type, 1, 1, 1, &kWeight);
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

void OneDnnProduct::set_threads([[maybe_unused]] int threads) {
#if defined(_OPENMP)
  omp_set_num_threads(threads);
#endif
}

void OneDnnProduct::operator()(const void* a, float* out) const {
  state_->source.set_data_handle(const_cast<void*>(a));
  state_->target.set_data_handle(out);
  state_->product.execute(state_->stream, {{DNNL_ARG_SRC, state_->source},
                                           {DNNL_ARG_WEIGHTS, state_->weight},
                                           {DNNL_ARG_DST, state_->target}});
  state_->stream.wait();
}

}  // namespace rae::bench
