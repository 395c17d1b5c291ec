// Embedded Runge-Kutta pairs: methods that estimate their own error, for step control.
//
// Source: the official sampler offers these solvers of torchdiffeq by name. Coefficients: Dormand
// and Prince (1980, with Shampine's middle), Prince and Dormand (1981), Bogacki and Shampine
// (1989), Fehlberg (1969).
#pragma once

#include <array>
#include <string_view>

#include "rae/core/shape.hpp"

namespace rae {

/// Methods with step control, with the names of torchdiffeq; their orders are 5, 8, 3, 2, 2.
enum class AdaptiveSolver { dopri5, dopri8, bosh3, fehlberg2, adaptive_heun };

/// Lower-case name.
constexpr std::string_view name_of(AdaptiveSolver solver) noexcept {
  constexpr std::string_view kNames[] = {"dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun"};
  return kNames[static_cast<std::size_t>(solver)];
}

namespace detail {

inline constexpr std::size_t kMaxAdaptiveStages = 14;

/// Coefficients of a pair: k_i = v(x + dt sum_j a[i][j] k_j, t + c[i] dt). The step adds dt sum_i
/// b[i] k_i to x, its estimated error is dt sum_i error[i] k_i, and x + dt sum_i middle[i] k_i is
/// the state at the midpoint of the step.
struct AdaptiveTableau {
  using Row = std::array<double, kMaxAdaptiveStages>;
  std::size_t stages;
  int order;
  Row c;
  std::array<Row, kMaxAdaptiveStages> a;
  Row b, error, middle;

  /// True if the state of the last stage is the result of the step.
  [[nodiscard]] constexpr bool ends_in_last_stage() const noexcept { return a[stages - 1] == b; }
};

inline constexpr AdaptiveTableau kDopri5{
    7,
    5,
    {0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1},
    {{{},
      {1.0 / 5},
      {3.0 / 40, 9.0 / 40},
      {44.0 / 45, -56.0 / 15, 32.0 / 9},
      {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
      {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
      {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84}}},
    {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84},
    // As in torchdiffeq, the embedded method is that of Shampine (1986), not that of the original
    // pair.
    {35.0 / 384 - 1951.0 / 21600, 0, 500.0 / 1113 - 22642.0 / 50085, 125.0 / 192 - 451.0 / 720,
     -2187.0 / 6784 + 12231.0 / 42400, 11.0 / 84 - 649.0 / 6300, -1.0 / 60},
    {6025192743.0 / 30085553152 / 2, 0, 51252292925.0 / 65400821598 / 2,
     -2691868925.0 / 45128329728 / 2, 187940372067.0 / 1594534317056 / 2,
     -1776094331.0 / 19743644256 / 2, 11237099.0 / 235043384 / 2}};

inline constexpr AdaptiveTableau kBosh3{
    4,
    3,
    {0, 1.0 / 2, 3.0 / 4, 1},
    {{{}, {1.0 / 2}, {0, 3.0 / 4}, {2.0 / 9, 1.0 / 3, 4.0 / 9}}},
    {2.0 / 9, 1.0 / 3, 4.0 / 9},
    {2.0 / 9 - 7.0 / 24, 1.0 / 3 - 1.0 / 4, 4.0 / 9 - 1.0 / 3, -1.0 / 8},
    {0, 1.0 / 2}};

inline constexpr AdaptiveTableau kFehlberg2{3,
                                            2,
                                            {0, 1.0 / 2, 1},
                                            {{{}, {1.0 / 2}, {1.0 / 256, 255.0 / 256}}},
                                            {1.0 / 512, 255.0 / 256, 1.0 / 512},
                                            {-1.0 / 512, 0, 1.0 / 512},
                                            {0, 1.0 / 2}};

inline constexpr AdaptiveTableau kAdaptiveHeun{2,          2,           {0, 1}, {{{}, {1}}},
                                               {0.5, 0.5}, {0.5, -0.5}, {0.5}};

inline constexpr AdaptiveTableau kDopri8{
    14,
    8,
    {0, 1.0 / 18, 1.0 / 12, 1.0 / 8, 5.0 / 16, 3.0 / 8, 59.0 / 400, 93.0 / 200,
     5490023248.0 / 9719169821, 13.0 / 20, 1201146811.0 / 1299019798, 1, 1, 1},
    {{{},
      {1.0 / 18},
      {1.0 / 48, 1.0 / 16},
      {1.0 / 32, 0, 3.0 / 32},
      {5.0 / 16, 0, -75.0 / 64, 75.0 / 64},
      {3.0 / 80, 0, 0, 3.0 / 16, 3.0 / 20},
      {29443841.0 / 614563906, 0, 0, 77736538.0 / 692538347, -28693883.0 / 1125000000,
       23124283.0 / 1800000000},
      {16016141.0 / 946692911, 0, 0, 61564180.0 / 158732637, 22789713.0 / 633445777,
       545815736.0 / 2771057229, -180193667.0 / 1043307555},
      {39632708.0 / 573591083, 0, 0, -433636366.0 / 683701615, -421739975.0 / 2616292301,
       100302831.0 / 723423059, 790204164.0 / 839813087, 800635310.0 / 3783071287},
      {246121993.0 / 1340847787, 0, 0, -37695042795.0 / 15268766246, -309121744.0 / 1061227803,
       -12992083.0 / 490766935, 6005943493.0 / 2108947869, 393006217.0 / 1396673457,
       123872331.0 / 1001029789},
      {-1028468189.0 / 846180014, 0, 0, 8478235783.0 / 508512852, 1311729495.0 / 1432422823,
       -10304129995.0 / 1701304382, -48777925059.0 / 3047939560, 15336726248.0 / 1032824649,
       -45442868181.0 / 3398467696, 3065993473.0 / 597172653},
      {185892177.0 / 718116043, 0, 0, -3185094517.0 / 667107341, -477755414.0 / 1098053517,
       -703635378.0 / 230739211, 5731566787.0 / 1027545527, 5232866602.0 / 850066563,
       -4093664535.0 / 808688257, 3962137247.0 / 1805957418, 65686358.0 / 487910083},
      {403863854.0 / 491063109, 0, 0, -5068492393.0 / 434740067, -411421997.0 / 543043805,
       652783627.0 / 914296604, 11173962825.0 / 925320556, -13158990841.0 / 6184727034,
       3936647629.0 / 1978049680, -160528059.0 / 685178525, 248638103.0 / 1413531060},
      {14005451.0 / 335480064, 0, 0, 0, 0, -59238493.0 / 1068277825, 181606767.0 / 758867731,
       561292985.0 / 797845732, -1041891430.0 / 1371343529, 760417239.0 / 1151165299,
       118820643.0 / 751138087, -528747749.0 / 2220607170, 1.0 / 4}}},
    {14005451.0 / 335480064, 0, 0, 0, 0, -59238493.0 / 1068277825, 181606767.0 / 758867731,
     561292985.0 / 797845732, -1041891430.0 / 1371343529, 760417239.0 / 1151165299,
     118820643.0 / 751138087, -528747749.0 / 2220607170, 1.0 / 4},
    {14005451.0 / 335480064 - 13451932.0 / 455176623, 0, 0, 0, 0,
     -59238493.0 / 1068277825 + 808719846.0 / 976000145,
     181606767.0 / 758867731 - 1757004468.0 / 5645159321,
     561292985.0 / 797845732 - 656045339.0 / 265891186,
     -1041891430.0 / 1371343529 + 3867574721.0 / 1518517206,
     760417239.0 / 1151165299 - 465885868.0 / 322736535,
     118820643.0 / 751138087 - 53011238.0 / 667516719, -528747749.0 / 2220607170 - 2.0 / 45,
     1.0 / 4},
    // Weights of the continuous extension at 1 / 2.
    {0.041031303607394015, 0, 0, 0, 0, 0.051005628019913443, 0.23889306774121999,
     0.30968701439961027, -0.21723254717553503, 0.078334056793319243, -0.001861436971558026,
     0.0070728442026784522, 0.0069084737320050937, -0.013838404349047484}};

constexpr const AdaptiveTableau& adaptive_tableau_of(AdaptiveSolver solver) noexcept {
  switch (solver) {
    case AdaptiveSolver::dopri8: return kDopri8;
    case AdaptiveSolver::bosh3: return kBosh3;
    case AdaptiveSolver::fehlberg2: return kFehlberg2;
    case AdaptiveSolver::adaptive_heun: return kAdaptiveHeun;
    default: return kDopri5;
  }
}

}  // namespace detail

}  // namespace rae
