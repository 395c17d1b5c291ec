// Models as commands load them.
#include "tool/model.hpp"

#include "rae/pipeline/model_search.hpp"

namespace rae::tool {

std::string model_path(const std::string& model) { return model == "builtin" ? find_model() : model; }

}  // namespace rae::tool
