// Linked into a second build of the command, to which it adds a diffusion network.
#include "support/third_backbone.hpp"

namespace {

[[maybe_unused]] const bool kRegistered = rae::register_backbone<rae::test::TokenMlpKind>();

}  // namespace
