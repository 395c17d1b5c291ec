#include "python/call.hpp"

namespace rae::python {

bool Interrupts::should_stop() {
  if (stopped_) return true;
  if (std::this_thread::get_id() != caller_) return false;
  const auto now = Clock::now();
  if (now < next_) return false;
  const nb::gil_scoped_acquire lock;
  if (PyErr_CheckSignals() != 0) keep(nb::python_error());
  next_ = Clock::now() + std::chrono::milliseconds(20);
  return stopped_;
}

}  // namespace rae::python
