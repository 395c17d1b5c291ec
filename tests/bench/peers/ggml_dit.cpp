// DiT^DH-XL as a graph of ggml, written with its public interface, as a peer of `rae bench`: the
// same sizes and random weights. The conditioning of the backbone is computed before the
// measurement, and the modulation of the head for each token in the graph.
//
//   ggml_dit [--threads N] [--rounds N] [--json FILE]
//
// ggml is not a dependency, so this program is built by hand (GGML is a checkout of ggml, built as
// shared libraries in GGML/build):
//
//   cmake -S GGML -B GGML/build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DGGML_LLAMAFILE=ON
//     -DGGML_BUILD_TESTS=OFF -DGGML_BUILD_EXAMPLES=OFF
//   cmake --build GGML/build --target ggml
//   g++ -O2 -std=c++20 -I GGML/include tests/bench/peers/ggml_dit.cpp -o ggml_dit -L GGML/build/src
//   -Wl,-rpath,GGML/build/src
//       -lggml -lggml-base -lggml-cpu
//
// Some choices favour ggml. The hidden width 5461 of the head is padded to 5472, since ggml is slow
// with odd sizes. The 1 of (1 + scale) is included in the bias of the modulation layer. Positions
// are rotated by their index instead of by row and column, which takes the same time. Attention is
// written as two products, since ggml_flash_attn_ext is slower here.
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using Tensor = ggml_tensor*;

constexpr int kTokens = 256, kChannels = 768;

struct Linear {
  Tensor weight, bias;  // in ggml's order (K, N), (N)
};
struct Block {
  int dim, heads;
  Tensor norm1, norm2;
  Linear qkv, proj, w12, w3, adaln;  // adaln is used in head blocks only
  Tensor modulation[6];              // (D) each, used in backbone blocks only
};

/// The weights and inputs of the network in one buffer, and its graph.
class Network {
 public:
  Network(ggml_type type, ggml_backend_t backend)
      : type_(type), backend_(backend), weights_(context(4096)), work_(context(16384)) {
    constexpr int kWidth = 1152, kWide = 2048;
    x_ = vector(kChannels, kTokens);
    positions_ = ggml_new_tensor_1d(weights_, GGML_TYPE_I32, kTokens);
    pos_embed_ = vector(kWidth, kTokens);
    time_ = vector(kWidth);
    s_embedder_ = linear(kChannels, kWidth);
    x_embedder_ = linear(kChannels, kWide);
    s_projector_ = linear(kWidth, kWide);
    for (int i = 0; i < 28; ++i) blocks_.push_back(block(kWidth, 16, false));
    for (int i = 0; i < 2; ++i) blocks_.push_back(block(kWide, 16, true));
    norm_ = vector(kWide);
    final_adaln_ = linear(kWide, 2 * kWide);
    out_ = linear(kWide, kChannels);
    ggml_backend_alloc_ctx_tensors(weights_, backend_);
    fill();
    graph_ = ggml_new_graph_custom(work_, 16384, false);
    result_ = forward();
    ggml_build_forward_expand(graph_, result_);
    allocator_ = ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend_));
    ggml_gallocr_alloc_graph(allocator_, graph_);
  }

  void run() { ggml_backend_graph_compute(backend_, graph_); }

  [[nodiscard]] bool finite() const {
    std::vector<float> values(static_cast<std::size_t>(ggml_nelements(result_)));
    ggml_backend_tensor_get(result_, values.data(), 0, ggml_nbytes(result_));
    return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  }

 private:
  static ggml_context* context(std::size_t tensors) {
    return ggml_init(
        {.mem_size = tensors * ggml_tensor_overhead() + ggml_graph_overhead_custom(tensors, false),
         .mem_buffer = nullptr,
         .no_alloc = true});
  }
  Tensor vector(int n, int rows = 1) {
    return ggml_new_tensor_2d(weights_, GGML_TYPE_F32, n, rows);
  }
  Linear linear(int in, int out) {
    return {ggml_new_tensor_2d(weights_, type_, in, out), vector(out)};
  }
  Block block(int dim, int heads, bool of_head) {
    const int hidden = (static_cast<int>(2.0 / 3.0 * (4 * dim)) + 31) / 32 * 32;
    Block b{dim,
            heads,
            vector(dim),
            vector(dim),
            linear(dim, 3 * dim),
            linear(dim, dim),
            linear(dim, 2 * hidden),
            linear(hidden, dim),
            {},
            {}};
    if (of_head) b.adaln = linear(dim, 6 * dim);
    for (int i = 0; i < 6 && !of_head; ++i) b.modulation[i] = vector(dim);
    return b;
  }

  void fill() {
    std::vector<float> values;
    std::vector<ggml_bf16_t> narrow;
    std::uint32_t state = 1;
    for (Tensor t = ggml_get_first_tensor(weights_); t != nullptr;
         t = ggml_get_next_tensor(weights_, t)) {
      const auto count = static_cast<std::size_t>(ggml_nelements(t));
      if (t->type == GGML_TYPE_I32) {
        std::vector<std::int32_t> numbers(count);
        for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<std::int32_t>(i);
        ggml_backend_tensor_set(t, numbers.data(), 0, ggml_nbytes(t));
        continue;
      }
      const float bound = t->ne[1] > 1 ? std::sqrt(3.0f / static_cast<float>(t->ne[0])) : 0.5f;
      values.resize(count);
      for (float& v : values) {
        state = state * 1664525u + 1013904223u;
        v = (static_cast<float>(state >> 8) / 8388608.0f - 1.0f) * bound;
      }
      if (t->type == GGML_TYPE_BF16) {
        narrow.resize(count);
        ggml_fp32_to_bf16_row(values.data(), narrow.data(), static_cast<std::int64_t>(count));
        ggml_backend_tensor_set(t, narrow.data(), 0, ggml_nbytes(t));
      } else {
        ggml_backend_tensor_set(t, values.data(), 0, ggml_nbytes(t));
      }
    }
  }

  // The forward pass. Shapes are in ggml's order, innermost dimension first.
  Tensor apply(const Linear& l, Tensor x) {
    return ggml_add(work_, ggml_mul_mat(work_, l.weight, x), l.bias);
  }

  Tensor modulate(Tensor x, Tensor norm, Tensor shift, Tensor scale) {  // (D, N)
    const Tensor y = ggml_mul(work_, ggml_rms_norm(work_, x, 1e-6f), norm);
    return ggml_add(work_, ggml_mul(work_, y, scale), shift);
  }

  Tensor attention(const Block& b, Tensor x) {  // (D, N)
    const int width = b.dim / b.heads;
    const Tensor qkv = apply(b.qkv, x);  // (3D, N)
    const auto part = [&](int i) {
      return ggml_view_3d(work_, qkv, width, b.heads, kTokens,
                          static_cast<std::size_t>(width) * sizeof(float), qkv->nb[1],
                          static_cast<std::size_t>(i * b.dim) * sizeof(float));  // (hd, heads, N)
    };
    const auto rotated = [&](Tensor t) {
      return ggml_rope_ext(work_, t, positions_, nullptr, width, GGML_ROPE_TYPE_NEOX, 0, 10000.0f,
                           1.0f, 0.0f, 1.0f, 0.0f, 0.0f);
    };
    const Tensor q = ggml_permute(work_, rotated(part(0)), 0, 2, 1, 3),
                 k = ggml_permute(work_, rotated(part(1)), 0, 2, 1, 3);
    const float scale = 1.0f / std::sqrt(static_cast<float>(width));
    const Tensor scores =
        ggml_soft_max_ext(work_, ggml_mul_mat(work_, k, q), nullptr, scale, 0.0f);  // (N, N, heads)
    const Tensor v = ggml_cont(work_, ggml_permute(work_, part(2), 1, 2, 0, 3));  // (N, hd, heads)
    const Tensor o =
        ggml_permute(work_, ggml_mul_mat(work_, v, scores), 0, 2, 1, 3);  // (hd, heads, N)
    return apply(b.proj, ggml_cont_2d(work_, o, b.dim, kTokens));
  }

  Tensor run_block(const Block& b, Tensor x, Tensor condition) {  // (D, N)
    Tensor m[6];
    const Tensor all = condition ? apply(b.adaln, condition) : nullptr;  // (6D, N)
    for (int i = 0; i < 6; ++i)
      m[i] = all ? ggml_view_2d(work_, all, b.dim, kTokens, all->nb[1],
                                static_cast<std::size_t>(i * b.dim) * sizeof(float))
                 : b.modulation[i];
    x = ggml_add(work_, x, ggml_mul(work_, attention(b, modulate(x, b.norm1, m[0], m[1])), m[2]));
    const Tensor h =
        apply(b.w3, ggml_swiglu(work_, apply(b.w12, modulate(x, b.norm2, m[3], m[4]))));
    return ggml_add(work_, x, ggml_mul(work_, h, m[5]));
  }

  Tensor forward() {
    Tensor s = ggml_add(work_, apply(s_embedder_, x_), pos_embed_);  // (h, N)
    for (int i = 0; i < 28; ++i) s = run_block(blocks_[static_cast<std::size_t>(i)], s, nullptr);
    s = apply(s_projector_, ggml_silu(work_, ggml_add(work_, s, time_)));  // (d, N)
    const Tensor c = ggml_silu(work_, s);
    Tensor z = apply(x_embedder_, x_);  // (d, N)
    for (int i = 28; i < 30; ++i) z = run_block(blocks_[static_cast<std::size_t>(i)], z, c);
    const Tensor m = apply(final_adaln_, c);  // (2d, N)
    const auto half = [&](int i) {
      return ggml_view_2d(
          work_, m, z->ne[0], kTokens, m->nb[1],
          static_cast<std::size_t>(i) * static_cast<std::size_t>(z->ne[0]) * sizeof(float));
    };
    return apply(out_, modulate(z, norm_, half(0), half(1)));  // (C, N)
  }

  ggml_type type_;
  ggml_backend_t backend_;
  ggml_context *weights_, *work_;
  Tensor x_, positions_, pos_embed_, time_, norm_, result_;
  Linear s_embedder_, x_embedder_, s_projector_, final_adaln_, out_;
  std::vector<Block> blocks_;
  ggml_cgraph* graph_;
  ggml_gallocr_t allocator_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 2, rounds = 5;
  std::string json;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string word = argv[i];
    if (word == "--threads") threads = std::atoi(argv[i + 1]);
    if (word == "--rounds") rounds = std::max(1, std::atoi(argv[i + 1]));
    if (word == "--json") json = argv[i + 1];
  }
  const ggml_backend_t backend = ggml_backend_cpu_init();
  ggml_backend_cpu_set_n_threads(backend, threads);
  struct Line {
    const char* name;
    Network network;
    std::vector<double> seconds{};
  };
  Line lines[] = {{"f32", Network(GGML_TYPE_F32, backend)},
                  {"bf16", Network(GGML_TYPE_BF16, backend)}};
  for (Line& line : lines) {
    line.network.run();
    if (!line.network.finite()) {
      std::fprintf(stderr, "%s gives NaN or infinity\n", line.name);
      return 1;
    }
  }
  using Clock = std::chrono::steady_clock;
  for (int round = 0; round < rounds; ++round)
    for (Line& line : lines) {
      const auto start = Clock::now();
      line.network.run();
      line.seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
  std::FILE* out = json.empty() ? nullptr : std::fopen(json.c_str(), "w");
  if (out)
    std::fprintf(out, "{\"ggml\": \"%s\", \"threads\": %d, \"networks\": [", ggml_version(),
                 threads);
  for (const Line& line : lines) {
    std::printf("dit-dh-xl %-5s %9.2f ms\n", line.name, 1e3 * median(line.seconds));
    if (out)
      std::fprintf(out, "%s{\"name\": \"dit-dh-xl\", \"dtype\": \"%s\", \"seconds\": %.6f}",
                   &line == lines ? "" : ", ", line.name, median(line.seconds));
  }
  if (out) std::fprintf(out, "]}\n");
  return out && std::fclose(out) != 0 ? 1 : 0;
}
