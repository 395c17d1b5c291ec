// One connection of a client, with limits of time and size that hold whatever the client sends.
#pragma once

#include <httplib.h>

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

namespace rae::serve {

/// The limits of a connection.
struct ConnectionLimits {
  std::size_t header = std::size_t{32} << 10;  ///< bytes of the request line and all header lines
  std::chrono::milliseconds request{10000};    ///< for a request, besides the time of `rate`
  std::chrono::milliseconds write{10000};      ///< for each part of an answer, besides that time
  std::size_t rate = 16;                       ///< bytes of bodies per millisecond
};

/// A socket as the HTTP library reads and writes it. Slow clients end by the limits: the library
/// alone restarts its time limit at every byte.
class Connection final : public httplib::Stream {
 public:
  /// Takes the socket; waiting ends early when `stopping` becomes true.
  Connection(int socket, const ConnectionLimits& limits, const std::atomic<bool>& stopping);
  /// Closes it, after what the client has sent and nobody has read was dropped: otherwise the
  /// system resets the connection, and the client may not see the answer.
  ~Connection();

  /// From now on, bytes that are read belong to the body and are not limited here.
  void begin_body() noexcept { in_body_ = true; }
  /// True when the client closed the connection, or its direction of it.
  [[nodiscard]] bool client_is_gone() const;
  /// True if the header was longer than its limit.
  [[nodiscard]] bool header_is_too_long() const noexcept { return too_long_; }
  /// True if the request did not arrive in time.
  [[nodiscard]] bool request_was_slow() const noexcept { return slow_; }

  // These are virtual; the names and number of those that wait depend on the library's version.
  [[nodiscard]] bool is_readable() const;
  [[nodiscard]] bool is_writable() const;
  [[nodiscard]] bool wait_readable() const { return is_readable(); }
  [[nodiscard]] bool wait_writable() const { return is_writable(); }
  [[nodiscard]] time_t duration() const;
  ssize_t read(char* out, size_t size);
  ssize_t write(const char* data, size_t size);
  void get_remote_ip_and_port(std::string& ip, int& port) const;
  void get_local_ip_and_port(std::string& ip, int& port) const;
  [[nodiscard]] socket_t socket() const { return socket_; }

 private:
  using Clock = std::chrono::steady_clock;
  bool wait_for(short events, Clock::time_point deadline) const;
  [[nodiscard]] std::chrono::milliseconds time_of(std::size_t bytes) const;
  [[nodiscard]] Clock::time_point deadline() const;

  const int socket_;
  const ConnectionLimits limits_;
  const std::atomic<bool>& stopping_;
  const Clock::time_point begun_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // of the unread bytes in the buffer
  std::size_t header_bytes_ = 0, body_bytes_ = 0;
  bool in_body_ = false, too_long_ = false, slow_ = false;
};

}  // namespace rae::serve
