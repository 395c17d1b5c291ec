#include <cmath>
#include <limits>

#include "head/plan.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/spec/forward_cost.hpp"

namespace rae::experiments {
namespace {

LightningDitConfig plain(const DitPlan& sizes, const Shape& latent, index_t classes) {
  return {.input_h = latent[1],
          .input_w = latent[2],
          .in_channels = latent[0],
          .hidden_size = sizes.backbone,
          .depth = sizes.depth,
          .num_heads = sizes.backbone / sizes.head_width,
          .num_classes = classes};
}

/// The network with its cost.
HeadNetwork with_cost(const std::string& role, const DitPlan& sizes, const Shape& latent,
                      index_t classes) {
  HeadNetwork out{role, sizes};
  out.macs = sizes.head == 0 ? forward_cost(plain(sizes, latent, classes)).total()
                             : forward_cost(dit_dh(sizes, latent, classes)).total();
  for (const ParameterShape& p : backbone_of(sizes, latent, classes).parameter_shapes())
    out.weights += p.shape.numel();
  return out;
}

}  // namespace

Backbone backbone_of(const DitPlan& sizes, const Shape& latent, index_t classes) {
  if (sizes.head == 0) return plain(sizes, latent, classes);
  return dit_dh(sizes, latent, classes);
}

std::vector<HeadNetwork> networks_of_equal_cost(const HeadPlan& plan, const Shape& latent,
                                                index_t classes) {
  const HeadNetwork goal = with_cost("DiT^DH", plan.dit, latent, classes);
  std::vector<HeadNetwork> out{goal};
  for (const bool wider : {true, false})
    for (const bool macs : {true, false}) {
      const std::string role =
          concat(wider ? "wider" : "deeper", " DiT, equal ", macs ? "GFLOPs" : "parameters");
      HeadNetwork best;
      double least = std::numeric_limits<double>::infinity();
      DitPlan sizes = plan.dit;
      sizes.head = sizes.head_depth = 0;
      for (index_t i = 1; i <= 64; ++i) {
        if (wider) sizes.backbone = i * sizes.head_width;
        if (!wider) sizes.depth = i;
        const HeadNetwork own = with_cost(role, sizes, latent, classes);
        const double ratio =
            macs ? static_cast<double>(own.macs) / static_cast<double>(goal.macs)
                 : static_cast<double>(own.weights) / static_cast<double>(goal.weights);
        if (std::abs(std::log(ratio)) >= least) continue;
        least = std::abs(std::log(ratio));
        best = own;
      }
      out.push_back(best);
    }
  return out;
}

std::vector<HeadNetwork> networks_of_all_heads(const HeadPlan& plan, const Shape& latent,
                                               index_t classes) {
  std::vector<HeadNetwork> out;
  for (const index_t depth : plan.depths)
    for (const double width : plan.widths) {
      DitPlan sizes = plan.dit;
      sizes.head = std::lround(width * static_cast<double>(sizes.backbone));
      sizes.head_depth = depth;
      if (sizes.head != plan.dit.head || sizes.head_depth != plan.dit.head_depth)
        out.push_back(with_cost("head", sizes, latent, classes));
    }
  return out;
}

}  // namespace rae::experiments
