// A linear layer with GELU on matrices of Eigen, without a copy, compared with the same in plain
// Eigen: example_eigen_kernel
#include <cmath>
#include <cstdio>
#include <exception>
#include <rae/core/cpu.hpp>
#include <rae/interop/eigen.hpp>
#include <rae/kernels/gemm.hpp>
#include <rae/kernels/isa.hpp>

int main() {
  try {
    // Your matrices, in Eigen's default column-major order.
    const Eigen::MatrixXf x = Eigen::MatrixXf::Random(300, 200);  // (rows, in)
    const Eigen::MatrixXf w =
        Eigen::MatrixXf::Random(100, 200);  // (out, in), as a linear layer stores it
    const Eigen::VectorXf bias = Eigen::VectorXf::Random(100);  // (out)

    // Views have strides, so both storage orders work, and a transposed operand is a view, too.
    // Only the result must have contiguous rows.
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> y(300,
                                                                            100);  // (rows, out)
    rae::gemm(rae::view_of(x), rae::view_of(w).transposed(), rae::view_of(y),
              rae::Epilogue{.bias = rae::view_of(bias), .activation = rae::Gelu});

    const auto gelu = [](double v) { return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0))); };
    const Eigen::MatrixXd expected = ((x.cast<double>() * w.cast<double>().transpose()).rowwise() +
                                      bias.cast<double>().transpose())
                                         .unaryExpr(gelu);
    const double difference = (y.cast<double>() - expected).cwiseAbs().maxCoeff();
    const auto isa = rae::name_of(rae::active_isa());
    std::printf("kernels for %.*s; largest difference from Eigen in double: %.1e\n",
                static_cast<int>(isa.size()), isa.data(), difference);

    // In the other direction: a tensor as an Eigen map.
    const rae::Tensor<float> t({2, 3}, {1, 2, 3, 4, 5, 6});  // (2, 3)
    std::printf("sum of a tensor, by Eigen: %g\n", static_cast<double>(rae::eigen_map(t).sum()));
    return difference < 1e-4 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
