#include "rae/kernels/embedding.hpp"

#include <array>
#include <limits>
#include <vector>

#include "rae/kernels/reference/embedding.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

std::vector<std::int64_t> random_ids(index_t count, index_t rows) {
  std::vector<std::int64_t> ids;
  for (index_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int64_t>(
        Philox(7).below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(rows))));
  return ids;
}

template <class T>
void compare_with_reference() {
  for (const auto& [rows, d, count] :
       {std::array<index_t, 3>{1, 1, 1}, {5, 3, 9}, {1001, 24, 40}, {4, 130, 257}}) {
    const std::vector<std::int64_t> ids = random_ids(count, rows);
    const Tensor<T> table = random_tensor<T>({rows, d}, 1),
                    dout = random_tensor<T>({count, d}, 2);     // (V, D), (N, D)
    Tensor<T> out(Shape{count, d}), expected(Shape{count, d});  // (N, D) each
    embedding<T>(table, ids, out);
    reference::embedding<T>(table, ids, expected);
    EXPECT_TRUE(close(out, expected, 0.0));
    Tensor<T> dtable = random_tensor<T>({rows, d}, 3), expected_dtable = dtable;  // (R, D) each
    embedding_backward<T>(dout, ids, dtable);
    reference::embedding_backward<T>(dout, ids, expected_dtable);
    EXPECT_TRUE(close(dtable, expected_dtable, 0.0));
  }
}

TEST(Embedding, AgreesWithReference) {
  compare_with_reference<float>();
  compare_with_reference<double>();
}

TEST(Embedding, BackwardAgreesWithFiniteDifferences) {
  const std::vector<std::int64_t> ids = {2, 0, 2, 2, 3};
  const Tensor<double> table = random_tensor<double>({4, 3}, 4),
                       dout = random_tensor<double>({5, 3}, 5);  // (4, 3), (5, 3)
  const auto loss = [&](const Tensor<double>& t) {
    Tensor<double> out(Shape{5, 3});  // (5, 3)
    embedding<double>(t, ids, out);
    return test::dot(out, dout);
  };
  Tensor<double> dtable = Tensor<double>::zeros({4, 3});  // (4, 3)
  embedding_backward<double>(dout, ids, dtable);
  EXPECT_TRUE(close(dtable, test::numeric_gradient(loss, table), 1e-9));
}

TEST(Embedding, ThreadCountDoesNotChangeABit) {
  const std::vector<std::int64_t> ids = random_ids(600, 10);
  const Tensor<float> dout = random_tensor<float>({600, 300}, 6);  // (600, 300)
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<float> dtable = Tensor<float>::zeros({10, 300});  // (10, 300)
    embedding_backward<float>(dout, ids, dtable);
    return dtable;
  }));
}

TEST(Embedding, WithoutIdsNothingIsWritten) {
  const Tensor<float> table(Shape{2, 2}, 1.0f);               // (2, 2)
  Tensor<float> out(Shape{0, 2}), dtable(Shape{2, 2}, 5.0f);  // (0, 2), (2, 2)
  EXPECT_NO_THROW(embedding<float>(table, {}, out));
  EXPECT_NO_THROW(embedding_backward<float>(out, {}, dtable));
  EXPECT_TRUE(close(dtable, Tensor<float>(Shape{2, 2}, 5.0f), 0.0));
}

TEST(Embedding, RejectsIndicesBeforeWriting) {
  const Tensor<float> table(Shape{3, 2}, 1.0f);  // (3, 2)
  for (const std::int64_t bad :
       {std::int64_t{3}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min()}) {
    const std::vector<std::int64_t> ids = {0, bad};
    Tensor<float> out(Shape{2, 2}, 5.0f), dtable(Shape{3, 2}, 5.0f);  // (2, 2), (3, 2)
    EXPECT_THROW(embedding<float>(table, ids, out), ArgumentError);
    EXPECT_THROW(embedding_backward<float>(table.view().slice(0, 0, 2), ids, dtable),
                 ArgumentError);
    EXPECT_TRUE(close(out, Tensor<float>(Shape{2, 2}, 5.0f), 0.0));
    EXPECT_TRUE(close(dtable, Tensor<float>(Shape{3, 2}, 5.0f), 0.0));
  }
}

TEST(Embedding, RejectsShapes) {
  const Tensor<float> table(Shape{3, 2}, 1.0f), vector(Shape{3}, 1.0f);  // (3, 2), (3)
  const std::vector<std::int64_t> ids = {0, 1};
  Tensor<float> wrong(Shape{2, 3}), out(Shape{2, 2});  // (2, 3), (2, 2)
  EXPECT_THROW(embedding<float>(table, ids, wrong), ShapeError);
  EXPECT_THROW(embedding<float>(vector, ids, out), ShapeError);
  EXPECT_THROW(embedding<float>(table, ids, out.view().transposed()), ShapeError);
  EXPECT_THROW(embedding_backward<float>(wrong, ids, out), ShapeError);
}

}  // namespace
}  // namespace rae
