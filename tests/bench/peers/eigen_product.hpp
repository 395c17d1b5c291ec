// Eigen's matrix product, in a library of its own (see eigen_product.cpp).
#pragma once

/// Computes out (M, N) = a * b, row-major. A transposed operand is stored as its transpose, (K, M)
/// or (N, K).
extern "C" void eigen_product(bool transpose_a, bool transpose_b, long m, long n, long k,
                              const float* a, const float* b, float* out, int threads);
