#include "serve/connection.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace rae::serve {

Connection::Connection(int socket, const ConnectionLimits& limits,
                       const std::atomic<bool>& stopping)
    : socket_(socket),
      limits_(limits),
      stopping_(stopping),
      begun_(Clock::now()),
      buffer_(std::size_t{16} << 10) {}

Connection::~Connection() {
  ::shutdown(socket_, SHUT_WR);
  constexpr std::size_t kMostDropped = std::size_t{16} << 20;
  const Clock::time_point deadline = Clock::now() + std::chrono::seconds(1);
  for (std::size_t dropped = 0; dropped < kMostDropped && wait_for(POLLIN, deadline);) {
    const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count <= 0) break;
    dropped += static_cast<std::size_t>(count);
  }
  ::close(socket_);
}

bool Connection::wait_for(short events, Clock::time_point deadline) const {
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd entry{socket_, events, 0};
    // Short waits, so that a server that stops does not wait for its clients.
    const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp<long long>(left, 0, 200)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
    if (left <= 0 || stopping_) return false;
  }
}

bool Connection::client_is_gone() const {
  pollfd entry{socket_, POLLRDHUP, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

std::chrono::milliseconds Connection::time_of(std::size_t bytes) const {
  return std::chrono::milliseconds(bytes / limits_.rate);
}

Connection::Clock::time_point Connection::deadline() const {
  return begun_ + limits_.request + time_of(body_bytes_);
}

bool Connection::is_readable() const { return begin_ < end_ || wait_for(POLLIN, deadline()); }

bool Connection::is_writable() const { return wait_for(POLLOUT, Clock::now() + limits_.write); }

time_t Connection::duration() const {
  return std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begun_).count();
}

ssize_t Connection::read(char* out, size_t size) {
  if (begin_ == end_) {
    ssize_t count = -1;
    do {
      if (!wait_for(POLLIN, deadline())) {
        slow_ = true;
        return -1;
      }
      count = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    } while (count < 0 && (errno == EINTR || errno == EAGAIN));
    if (count <= 0) return count;
    begin_ = 0;
    end_ = static_cast<std::size_t>(count);
  }
  const std::size_t count = std::min(size, end_ - begin_);
  (in_body_ ? body_bytes_ : header_bytes_) += count;
  if (header_bytes_ > limits_.header) {
    too_long_ = true;
    return -1;
  }
  std::memcpy(out, buffer_.data() + begin_, count);
  begin_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* data, size_t size) {
  const Clock::time_point deadline = Clock::now() + limits_.write + time_of(size);
  for (std::size_t done = 0; done < size;) {
    if (!wait_for(POLLOUT, deadline)) return -1;
    const ssize_t count = ::send(socket_, data + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0)
      done += static_cast<std::size_t>(count);
    else if (errno != EINTR && errno != EAGAIN)
      return -1;
  }
  return static_cast<ssize_t>(size);
}

// Nothing depends on the addresses.
void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}
void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

}  // namespace rae::serve
