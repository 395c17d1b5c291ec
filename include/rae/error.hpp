// Errors: what went wrong, where, expected against got, and a hint. All derive from rae::Error.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace rae {

/// Base of every exception that the library throws.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A tensor has another shape, rank or layout than the operation needs.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// A file or folder cannot be opened, read, written or renamed.
class FileError : public Error {
 public:
  using Error::Error;
};

/// A file was read, but its contents are not what its format promises (truncated, overlapping,
/// hostile, wrong magic).
class FormatError : public Error {
 public:
  using Error::Error;
};

/// A configuration holds an unknown key, a wrong type, or values that do not fit each other.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// An argument of a public function is outside its range.
class ArgumentError : public Error {
 public:
  using Error::Error;
};

/// A computation met NaN or infinity where only finite numbers make sense.
class NumericError : public Error {
 public:
  using Error::Error;
};

/// There is not enough memory for what was asked.
class MemoryError : public Error {
 public:
  using Error::Error;
};

/// A callback asked to stop.
class Cancelled : public Error {
 public:
  using Error::Error;
};

namespace detail {

inline void append(std::string& out, std::string_view text) { out += text; }
template <class N>
requires std::is_arithmetic_v<N>
void append(std::string& out, N number) {
  if constexpr (std::is_same_v<N, bool>) {
    out += number ? "true" : "false";
  } else if constexpr (std::is_same_v<N, char>) {
    out += number;
  } else if constexpr (std::is_floating_point_v<N>) {
    char text[32];
    std::snprintf(text, sizeof text, "%.7g", static_cast<double>(number));
    out += text;
  } else {
    out += std::to_string(number);
  }
}
template <class S>
requires requires(const S& s) {
  { s.to_string() } -> std::convertible_to<std::string>;
}
void append(std::string& out, const S& s) { out += s.to_string(); }

/// One part of a message: a reference with the function that appends it. Trivial to make, because
/// hundreds of messages are put together from such parts.
class MessagePart {
 public:
  MessagePart(const char* text) noexcept  // NOLINT: parts are written as they are
      : object_(text), append_([](std::string& out, const void* object) {
          out += static_cast<const char*>(object);
        }) {}
  template <class T>
  MessagePart(const T& part) noexcept  // NOLINT
      : object_(&part), append_([](std::string& out, const void* object) {
          append(out, *static_cast<const T*>(object));
        }) {}
  void append_to(std::string& out) const { append_(out, object_); }

 private:
  const void* object_;
  void (*append_)(std::string&, const void*);
};

[[gnu::cold]] inline std::string join_message(std::initializer_list<MessagePart> parts) {
  std::string out;
  for (const MessagePart& part : parts) part.append_to(out);
  return out;
}

template <class E>
[[noreturn, gnu::cold, gnu::noinline]] void raise_joined(std::initializer_list<MessagePart> parts) {
  throw E(join_message(parts));
}

}  // namespace detail

/// Joins texts, numbers and everything with a `to_string()` member into one string.
template <class... Parts>
std::string concat(const Parts&... parts) {
  return detail::join_message({detail::MessagePart(parts)...});
}

/// Throws `E` with the concatenated parts as its message: `raise<ShapeError>("gemm: expected ", a,
/// ", got ", b)`.
template <class E = Error, class... Parts>
[[noreturn]] void raise(const Parts&... parts) {
  detail::raise_joined<E>({detail::MessagePart(parts)...});
}

}  // namespace rae
