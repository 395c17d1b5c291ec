// A view of const elements does not convert to a view of mutable elements.
#include "rae/core/view.hpp"

#if RAE_MUST_FAIL
using Given = const float;
#else
using Given = float;
#endif

rae::View<float> mutable_view(rae::View<Given> view) { return view; }
