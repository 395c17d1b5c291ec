// A client of HTTP on a raw socket, which can also send what no honest client sends.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <string>

namespace rae::test {

/// An answer of a server.
struct HttpAnswer {
  int status = 0;  // 0: the server closed the connection without an answer
  std::map<std::string, std::string> headers;  // by name in lower case
  std::string body;
};

/// One connection to a port of this machine.
class HttpClient {
 public:
  explicit HttpClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ =
        ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient() { ::close(socket_); }

  [[nodiscard]] bool connected() const { return connected_; }

  /// False if the server closed the connection.
  bool send(const std::string& bytes) const {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const auto count = ::send(socket_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (count <= 0) return false;
      done += static_cast<std::size_t>(count);
    }
    return true;
  }

  /// Reads until `wanted` has arrived, the server closed the connection, or a minute without a byte
  /// has passed; returns everything so far.
  const std::string& read_until(const std::string& wanted) {
    while (wanted.empty() || seen_.find(wanted) == std::string::npos) {
      pollfd entry{socket_, POLLIN, 0};
      char buffer[4096];
      if (::poll(&entry, 1, 60000) != 1) break;
      const auto count = ::recv(socket_, buffer, sizeof buffer, 0);
      if (count <= 0) break;
      seen_.append(buffer, static_cast<std::size_t>(count));
    }
    return seen_;
  }

  /// Reads until the server closes the connection.
  HttpAnswer answer() {
    read_until({});
    HttpAnswer out;
    const std::size_t head = seen_.find("\r\n\r\n");
    if (head == std::string::npos || seen_.size() < 12) return out;
    out.status = std::stoi(seen_.substr(9, 3));
    out.body = seen_.substr(head + 4);
    for (std::size_t at = seen_.find("\r\n") + 2; at < head;) {
      const std::size_t end = seen_.find("\r\n", at), colon = seen_.find(':', at);
      std::string name = seen_.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      out.headers[name] = seen_.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    return out;
  }

 private:
  int socket_;
  bool connected_ = false;
  std::string seen_;
};

/// A request with headers ("Name: value\r\n" each).
inline std::string http_request(const std::string& method, const std::string& path,
                                const std::string& headers = {}, const std::string& body = {}) {
  std::string out = method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers;
  if (!body.empty()) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return out + "\r\n" + body;
}

inline std::string json_request(const std::string& path, const std::string& body,
                                const std::string& headers = {}) {
  return http_request("POST", path, "Content-Type: application/json\r\n" + headers, body);
}

/// Sends one request and returns the answer.
inline HttpAnswer ask(int port, const std::string& request) {
  HttpClient client(port);
  client.send(request);
  return client.answer();
}

}  // namespace rae::test
