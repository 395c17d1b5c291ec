// A workspace can be neither copied nor moved, because tensors point to it.
#include <utility>

#include "rae/core/workspace.hpp"

#if RAE_MUST_FAIL
rae::Workspace other(rae::Workspace& workspace) { return std::move(workspace); }
#else
rae::Workspace& other(rae::Workspace& workspace) { return workspace; }
#endif
