// An HTTP server for the models of one process: pictures, latents, the page, and numbers about
// itself. Only its two source files use the HTTP library.
#pragma once

#include <memory>
#include <string>

#include "serve/api.hpp"

namespace rae::serve {

/// Options of a server.
struct ServerOptions {
  std::string host = "127.0.0.1";  ///< address to listen on
  int port = 8080;                 ///< 0 to 65535; 0 takes one that is free
  std::string token{};             ///< that clients must send; empty: none
  Limits limits{};
  int request_seconds = 10;  ///< until a request has arrived, and between parts of its answer
  int connections = 64;      ///< clients that are served at the same time; others wait
};

/// True for addresses and names that only programs on this machine can reach.
[[nodiscard]] bool is_loopback(const std::string& host);

/// Equal texts, compared in a time that does not depend on the place of the first difference.
[[nodiscard]] bool same_token(const std::string& given, const std::string& token);

/// A server that runs from its construction to its destruction. It opens no file.
///
/// On a loopback address it answers only requests whose Host is one, so that pages of other sites
/// cannot reach it by a name that they let point here; and on any address only those without an
/// Origin or with its own.
class Server {
 public:
  /// Throws ArgumentError for options out of range or without models, FileError when the address is
  /// not free.
  Server(Models models, ServerOptions options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Cancels what is computed, and waits for all threads.
  ~Server();

  /// The port on which it listens.
  [[nodiscard]] int port() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rae::serve
