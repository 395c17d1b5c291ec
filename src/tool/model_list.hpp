// `rae info builtin`: the list of the models that commands know by name.
#pragma once

namespace rae::tool {

/// Prints name, subject, pictures, parameters, size and path of each of `named_models`, and which
/// of them is the default. A file that cannot be read is listed with the reason. Throws FileError
/// when there is no model.
void print_model_list();

}  // namespace rae::tool
