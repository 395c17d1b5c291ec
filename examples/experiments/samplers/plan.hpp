// The sizes of the experiment `samplers`, and its section of the findings.
#pragma once

#include <string>
#include <vector>

#include "frame/finding.hpp"

namespace rae::experiments {

/// Ways to integrate the flow that are compared.
struct SamplersPlan {
  std::vector<index_t> evaluations{8, 16, 32, 64};   ///< about so many for methods of fixed steps
  index_t reference_steps = 400;                     ///< of Euler, also as a point
  std::vector<double> tolerances{0.1, 0.01, 0.001};  ///< of adaptive methods, absolute and relative
  index_t reuse_steps = 50;                          ///< Euler steps that reuse the backbone
  std::vector<double> reuse{0.05, 0.1, 0.2, 0.4};    ///< limits of the estimated change
  index_t samples = 1000;                            ///< for the distance
  index_t pairs = 256;                               ///< the first of them, for the PSNR
};

/// Method of the points with a reused backbone.
inline constexpr const char* kReuse = "euler with reused backbone";

/// Facts that results do not have.
struct SamplersContext {
  std::string model;  ///< its name
  double floor = 0;   ///< distance of as many real training pictures
};

/// The section on these results, whose maps have "method", "setting" (steps, tolerance or limit of
/// change), "evaluations" (of the network for a picture), and, unless the method diverges,
/// "distance" and "psnr".
[[nodiscard]] Finding samplers_finding(const SamplersPlan& plan, const SamplersContext& context,
                                       const std::vector<ConfigNode>& results);

}  // namespace rae::experiments
