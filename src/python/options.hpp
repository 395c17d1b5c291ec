// Options of Python's functions as those of C++, with the same names and defaults.
#pragma once

#include <nanobind/nanobind.h>

#include <string>

#include "python/call.hpp"
#include "rae/formats/model_files.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/config.hpp"

namespace rae::python {

/// Options of loading: dtype, keep_loaded, available_memory. Throws ArgumentError for an unknown
/// name.
[[nodiscard]] LoadOptions load_options(const nb::kwargs& given);

/// Opens a bundle, or the model of an official configuration (.yaml), whose files are in `models`;
/// empty: beside the configuration. Throws as `ModelFiles::open` and `open_official`.
[[nodiscard]] ModelFiles open_model(const std::string& path, const std::string& models);

/// The labels, numbers or names, of one or more pictures. Throws ArgumentError.
[[nodiscard]] std::vector<std::int64_t> labels_of(nb::handle given, const Generator& generator);

/// The options of `Generator::sample`, whose callback is called with the lock of Python. Throws
/// ArgumentError for an unknown name, and as the parsers of the values.
[[nodiscard]] GenerateOptions generate_options(nb::handle labels, const nb::kwargs& given,
                                               const Generator& generator, Interrupts& interrupts);

/// A configuration that is given as a dict, or as the path of a YAML or JSON file. Throws
/// ConfigError, FileError.
[[nodiscard]] ConfigNode config_of(nb::handle object);

/// A configuration as dicts, lists, strings and numbers.
[[nodiscard]] nb::object object_of(const ConfigNode& node);

/// The keyword arguments of a call; each must be taken by its name.
class Keywords {
 public:
  Keywords(const char* function, const nb::kwargs& given) : function_(function), given_(given) {}

  /// Takes the argument if it is there and is not None.
  template <class T>
  void take(const char* name, T& into) {
    take(name, [&](nb::handle value) { into = nb::cast<T>(value); });
  }
  /// Calls `use` with it.
  template <class F>
  requires std::is_invocable_v<F, nb::handle>
  void take(const char* name, F&& use) {
    known_.push_back(name);
    if (!given_.contains(name)) return;
    const nb::object value = given_[name];
    if (value.is_none()) return;
    try {
      use(value);
    } catch (const nb::cast_error&) {
      raise<ArgumentError>(function_, ": ", name, ": unexpected value ",
                           std::string(nb::repr(value).c_str()));
    } catch (const nb::python_error& error) {
      if (!error.matches(PyExc_TypeError)) throw;
      raise<ArgumentError>(function_, ": ", name, ": ", std::string(error.what()));
    }
  }
  /// Throws ArgumentError for arguments that nothing has taken.
  void finish() const;

 private:
  const char* function_;
  const nb::kwargs& given_;
  std::vector<std::string> known_;
};

}  // namespace rae::python
