// Linked into a second build of the command, which then knows one more diffusion network.
#include "support/third_backbone.hpp"

namespace {

[[maybe_unused]] const bool kRegistered = rae::register_backbone<rae::test::TokenMlpKind>();

}  // namespace
