#include "capi/errors.hpp"

#include <cstring>
#include <exception>
#include <new>

namespace rae::capi {
namespace {

constexpr std::size_t kMostBytes = 4096;
thread_local char last_message[kMostBytes] = "";
thread_local rae_status last_status = RAE_OK;

/// Stores as much of the message as fits, without cutting a character of UTF-8.
rae_status record(rae_status status, const char* message) noexcept {
  std::size_t length = std::strlen(message);
  if (length >= kMostBytes) {
    length = kMostBytes - 1;
    while (length > 0 && (static_cast<unsigned char>(message[length]) & 0xc0u) == 0x80u) --length;
  }
  std::memcpy(last_message, message, length);
  last_message[length] = '\0';
  last_status = status;
  return status;
}

}  // namespace

rae_status record_exception() noexcept {
  try {
    throw;
  } catch (const BusyError& error) {
    return record(RAE_ERROR_BUSY, error.what());
  } catch (const Cancelled& error) {
    return record(RAE_CANCELLED, error.what());
  } catch (const ArgumentError& error) {
    return record(RAE_ERROR_ARGUMENT, error.what());
  } catch (const ShapeError& error) {
    return record(RAE_ERROR_SHAPE, error.what());
  } catch (const FileError& error) {
    return record(RAE_ERROR_FILE, error.what());
  } catch (const FormatError& error) {
    return record(RAE_ERROR_FORMAT, error.what());
  } catch (const ConfigError& error) {
    return record(RAE_ERROR_CONFIG, error.what());
  } catch (const NumericError& error) {
    return record(RAE_ERROR_NUMERIC, error.what());
  } catch (const MemoryError& error) {
    return record(RAE_ERROR_MEMORY, error.what());
  } catch (const std::bad_alloc&) {
    return record(RAE_ERROR_MEMORY, "not enough memory");
  } catch (const std::length_error&) {
    return record(RAE_ERROR_MEMORY, "more elements than any memory can hold");
  } catch (const std::exception& error) {
    return record(RAE_ERROR_INTERNAL, error.what());
  } catch (...) {
    return record(RAE_ERROR_INTERNAL, "an exception of an unknown type");
  }
}

}  // namespace rae::capi

const char* rae_last_error(void) { return rae::capi::last_message; }

rae_status rae_last_status(void) { return rae::capi::last_status; }

const char* rae_status_name(int status) {
  static constexpr const char* kNames[] = {
      "RAE_OK",           "RAE_ERROR_ARGUMENT", "RAE_ERROR_SHAPE",   "RAE_ERROR_FILE",
      "RAE_ERROR_FORMAT", "RAE_ERROR_CONFIG",   "RAE_ERROR_NUMERIC", "RAE_ERROR_MEMORY",
      "RAE_CANCELLED",    "RAE_ERROR_BUSY",     "RAE_ERROR_INTERNAL"};
  return status >= RAE_OK && status <= RAE_ERROR_INTERNAL ? kNames[status] : "unknown";
}
