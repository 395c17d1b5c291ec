// The parts of the Python module; each adds its classes and functions.
#pragma once

#include <nanobind/nanobind.h>

namespace rae::python {

void bind_sampling(nanobind::module_& module);     ///< options and reports of sampling
void bind_generator(nanobind::module_& module);    ///< Generator
void bind_autoencoder(nanobind::module_& module);  ///< Autoencoder
void bind_training(nanobind::module_& module);     ///< train, evaluate

}  // namespace rae::python
