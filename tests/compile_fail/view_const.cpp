// A view of const elements never becomes a view of mutable ones.
#include "rae/core/view.hpp"

#if RAE_MUST_FAIL
using Given = const float;
#else
using Given = float;
#endif

rae::View<float> mutable_view(rae::View<Given> view) { return view; }
