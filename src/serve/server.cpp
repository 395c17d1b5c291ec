#include "serve/server.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <new>
#include <thread>

#include "rae/version.hpp"
#include "serve/connection.hpp"
#include "serve/events.hpp"
#include "serve/metrics.hpp"
#include "serve/page.hpp"

namespace rae::serve {
namespace {

constexpr const char* kJsonType = "application/json";

/// An error as the client receives it.
struct Failure {
  int status;
  std::string type, message;
};

std::string json_of(const Failure& failure) {
  const auto body = [](const std::string& type, const std::string& message) {
    return ConfigNode::map({{"error", ConfigNode::map({{"type", type}, {"message", message}})}})
        .to_json();
  };
  try {
    return body(failure.type, failure.message);
  } catch (const Error&) {  // a message that is not UTF-8
    return body(failure.type, "the request is wrong");
  }
}

/// The answer to an exception. `by_request` if the request causes every error of the library.
Failure failure_of(const std::exception_ptr& error, bool by_request) {
  try {
    std::rethrow_exception(error);
  } catch (const UnknownModel& e) {
    return {404, "unknown_model", e.what()};
  } catch (const QueueFull& e) {
    return {503, "queue_full", e.what()};
  } catch (const TooSlow& e) {
    return {504, "too_slow", e.what()};
  } catch (const Cancelled&) {
    return {503, "cancelled", "the request was cancelled, because the server stops"};
  } catch (const MemoryError& e) {
    return {503, "memory", e.what()};
  } catch (const std::bad_alloc&) {
    return {503, "memory", "not enough memory for this request"};
  } catch (const Error& e) {
    return {by_request ? 400 : 500, by_request ? "invalid_request" : "failed", e.what()};
  } catch (const std::exception& e) {
    return {500, "failed", e.what()};
  }
}

void send_failure(httplib::Response& res, const Failure& failure) {
  res.status = failure.status;
  res.set_content(json_of(failure), kJsonType);
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// The host of "host:port" or "[host]:port", without brackets.
std::string host_of(const std::string& authority) {
  if (!authority.empty() && authority.front() == '[')
    return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.find(':'));
}

/// The connection that this thread serves.
thread_local Connection* current_connection = nullptr;

/// The library's server with connections of our own, each of one request.
class HttpServer final : public httplib::Server {
 public:
  ConnectionLimits limits{};
  std::atomic<bool> stopping{false};

  /// Lets as many clients wait for a thread as the system allows; the library's number is 5.
  void lengthen_backlog() { ::listen(svr_sock_, SOMAXCONN); }

 private:
  template <class Self>
  static bool process(Self& self, Connection& connection) {
    const std::function<void(httplib::Request&)> setup = [&](httplib::Request& req) {
      connection.begin_body();
      // Answers are always whole and not compressed.
      req.ranges.clear();
      req.headers.erase("Range");
      req.headers.erase("Accept-Encoding");
    };
    bool closed = true;
    if constexpr (requires { self.process_request(connection, true, closed, setup); })
      return self.process_request(connection, true, closed, setup);
    else  // newer versions of the library
      return self.process_request(connection, "", 0, "", 0, true, closed, setup);
  }

  bool process_and_close_socket(socket_t socket) override {
    Connection connection(socket, limits, stopping);
    current_connection = &connection;
    bool fine = false;
    try {
      fine = process(*this, connection);
    } catch (...) {  // out of memory: only this connection ends
    }
    current_connection = nullptr;
    return fine;
  }
};

}  // namespace

bool is_loopback(const std::string& host) {
  const std::string name = lower(host);
  return name == "localhost" || name == "::1" || name.rfind("127.", 0) == 0;
}

bool same_token(const std::string& given, const std::string& token) {
  unsigned difference = given.size() == token.size() ? 0u : 1u;
  for (std::size_t i = 0; i < given.size() && !token.empty(); ++i)
    difference |= static_cast<unsigned>(static_cast<unsigned char>(given[i])) ^
                  static_cast<unsigned>(static_cast<unsigned char>(token[i % token.size()]));
  return difference == 0;
}

struct Server::Impl {
  using Request = httplib::Request;
  using Response = httplib::Response;
  using Reader = httplib::ContentReader;
  /// Makes the work of a request from its body, or throws the reason to refuse it.
  using Parse = Function<Job::Work(const ConfigNode& body, const Request& req, bool& stream)>;

  const Models models;
  const ServerOptions options;
  Metrics metrics;
  Queue queue;
  HttpServer http;
  int port = 0;
  std::thread thread;
  std::atomic<bool> finished{false};

  Impl(Models m, ServerOptions o)
      : models(std::move(m)), options(std::move(o)), queue(options.limits.queue) {}

  // --- Answers without a body of the request -------------------------------------------------

  void health(Response& res) const {
    const QueueStatistics now = queue.statistics();
    const auto body = ConfigNode::map(
        {{"status", "ok"},
         {"version", kVersion},
         {"uptime_seconds", metrics.uptime()},
         {"queue", ConfigNode::map({{"waiting", static_cast<std::int64_t>(now.waiting)},
                                    {"running", static_cast<std::int64_t>(now.running)},
                                    {"limit", static_cast<std::int64_t>(queue.limit())}})}});
    res.set_content(body.to_json(), kJsonType);
  }

  void page_of(Response& res) const {
    res.set_content(std::string(serve::page()), "text/html; charset=utf-8");
    res.set_header("Content-Security-Policy",
                   "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                   "img-src data: blob:; connect-src 'self'; base-uri 'none'; "
                   "form-action 'none'; frame-ancestors 'none'");
  }

  /// The methods of a path; empty for an unknown one.
  static std::string methods_of(const std::string& path) {
    for (const char* known : {"/", "/health", "/metrics", "/openapi.json", "/v1/models"})
      if (path == known) return "GET, HEAD";
    for (const char* known : {"/v1/images", "/v1/encode", "/v1/decode"})
      if (path == known) return "POST";
    return {};
  }

  /// Why a request is refused whatever its body is.
  std::optional<Failure> refusal(const Request& req, Response& res) const {
    const std::string host = req.get_header_value("Host");
    if (is_loopback(options.host) && !host.empty() && !is_loopback(host_of(host)))
      return Failure{403, "wrong_host", "this server answers only on this machine"};
    if (req.has_header("Origin") && req.get_header_value("Origin") != "http://" + host &&
        req.get_header_value("Origin") != "https://" + host)
      return Failure{403, "wrong_origin", "pages of other sites cannot use this server"};
    const bool open = req.path == "/" || req.path == "/health";
    if (!options.token.empty() && !open) {
      const std::string given = req.get_header_value("Authorization");
      if (lower(given.substr(0, 7)) != "bearer " || !same_token(given.substr(7), options.token)) {
        res.set_header("WWW-Authenticate", "Bearer");
        return Failure{401, "unauthorized", "expected the header 'Authorization: Bearer TOKEN'"};
      }
    }
    const std::string methods = methods_of(req.path);
    if (methods.empty())
      return Failure{404, "not_found", "no such path; /openapi.json lists all paths"};
    if ((", " + methods + ",").find(" " + req.method + ",") == std::string::npos) {
      res.set_header("Allow", methods);
      return Failure{405, "wrong_method", "expected one of the methods " + methods};
    }
    if (methods == "POST") return refusal_of_body(req);
    return std::nullopt;
  }

  std::optional<Failure> refusal_of_body(const Request& req) const {
    const std::string type = lower(req.get_header_value("Content-Type"));
    if (type.substr(0, type.find_first_of("; ")) != kJsonType || req.has_header("Content-Encoding"))
      return Failure{415, "wrong_type", "expected a body of Content-Type application/json"};
    if (!req.has_header("Content-Length") && !req.has_header("Transfer-Encoding"))
      return Failure{411, "length_required", "expected a Content-Length"};
    const std::string length = req.get_header_value("Content-Length");
    const bool digits = length.find_first_not_of("0123456789") == std::string::npos;
    if (digits &&
        (length.size() > 15 || (!length.empty() && std::stoull(length) > options.limits.body)))
      return too_large();
    if (!digits || req.get_header_value_count("Content-Length") > 1)
      return Failure{400, "invalid_request", "the Content-Length is not a number"};
    return std::nullopt;
  }

  [[nodiscard]] Failure too_large() const {
    return {413, "too_large", concat("expected a body of at most ", options.limits.body, " bytes")};
  }

  bool answer_at_once(const Request& req, Response& res) const {
    if (const auto failure = refusal(req, res)) {
      send_failure(res, *failure);
      return true;
    }
    if (req.path == "/")
      page_of(res);
    else if (req.path == "/health")
      health(res);
    else if (req.path == "/metrics")
      res.set_content(metrics.text(queue.statistics(), queue.limit()),
                      "text/plain; version=0.0.4; charset=utf-8");
    else if (req.path == "/openapi.json")
      res.set_content(openapi(options.limits), kJsonType);
    else if (req.path == "/v1/models")
      res.set_content(models.description().to_json(), kJsonType);
    else
      return false;
    res.status = 200;
    return true;
  }

  // --- Answers that are computed ---------------------------------------------------------------

  std::optional<Failure> read_body(const Reader& reader, std::string& body) const {
    bool large = false;
    const bool whole = reader([&](const char* data, std::size_t size) {
      large = body.size() + size > options.limits.body;
      if (!large) body.append(data, size);
      return !large;
    });
    if (whole) return std::nullopt;
    if (large) return too_large();
    if (current_connection->request_was_slow())
      return Failure{408, "slow_request", "the request did not arrive in time"};
    return Failure{400, "invalid_request", "the body is incomplete"};
  }

  void compute(const Request& req, Response& res, const Reader& reader, const Parse& parse) {
    std::string body;
    if (const auto failure = read_body(reader, body)) return send_failure(res, *failure);
    std::shared_ptr<Job> job;
    bool stream = false;
    try {
      const auto limit = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
          std::chrono::duration<double>(options.limits.seconds));
      job =
          std::make_shared<Job>(parse(ConfigNode::parse_json(body, "request"), req, stream), limit);
    } catch (...) {
      return send_failure(res, failure_of(std::current_exception(), true));
    }
    body = {};
    try {
      queue.submit(job);
    } catch (...) {
      res.set_header("Retry-After", std::to_string(queue.retry_after()));
      return send_failure(res, failure_of(std::current_exception(), false));
    }
    res.status = 200;
    if (stream) return answer_by_events(res, job);
    answer_at_end(res, job);
  }

  static void answer_at_end(Response& res, const std::shared_ptr<Job>& job) {
    const Connection& connection = *current_connection;
    while (true) {
      const JobState state = job->wait(std::chrono::milliseconds(200)).state;
      if (state == JobState::done || state == JobState::failed) break;
      if (connection.client_is_gone()) job->cancel();
    }
    try {
      const Answer answer = job->take_answer();
      res.set_content(answer.body, answer.type);
    } catch (...) {
      send_failure(res, failure_of(std::current_exception(), false));
    }
  }

  static void answer_by_events(Response& res, const std::shared_ptr<Job>& job) {
    Connection* const connection = current_connection;
    const auto send_next = [job, connection](std::size_t, httplib::DataSink& sink) {
      if (connection->client_is_gone()) return false;
      const News news = job->wait(std::chrono::milliseconds(500));
      std::string text = events_of(news);
      const bool last = news.state == JobState::done || news.state == JobState::failed;
      if (last) {
        try {
          text += event("done", job->take_answer().body);
        } catch (...) {
          text += event("error", json_of(failure_of(std::current_exception(), false)));
        }
      }
      if (text.empty()) text = keep_alive_event();
      if (!sink.write(text.data(), text.size())) return false;
      if (last) sink.done();
      return true;
    };
    // Without a length, the end of the connection is the end of the answer.
    res.set_content_provider("text/event-stream", send_next, [job](bool) { job->cancel(); });
  }

  Job::Work work_of_images(const ConfigNode& body, const Request& req, bool& stream) {
    const ImageRequest request = parse_image_request(body, models, options.limits);
    stream = request.stream;
    const bool as_png =
        !stream && req.get_header_value("Accept").find("image/png") != std::string::npos;
    return [this, request, as_png](Job& job) {
      Answer answer = draw(request, job, as_png);
      metrics.count_images(request.model->name, request.options.labels.size());
      return answer;
    };
  }

  // --- Start and end -----------------------------------------------------------------------------

  void add_post(const char* path, Parse parse) {
    http.Post(path, [this, parse = std::move(parse)](const Request& req, Response& res,
                                                     const Reader& reader) {
      compute(req, res, reader, parse);
    });
  }

  /// The answer to a request that the HTTP library refused before any handler.
  static Failure failure_of_library(const Request& req, Response& res) {
    constexpr const char* kType = "invalid_request";
    if (current_connection->header_is_too_long()) return {431, kType, "the header is too long"};
    if (current_connection->request_was_slow())
      return {408, "slow_request", "the request did not arrive in time"};
    const std::string methods = methods_of(req.target.substr(0, req.target.find('?')));
    if (req.path.empty() && !methods.empty()) {  // a method that the library does not know
      res.set_header("Allow", methods);
      return {405, "wrong_method", "expected one of the methods " + methods};
    }
    return {res.status, kType, "the request is not valid HTTP"};
  }

  void set_handlers() {
    using Handled = httplib::Server::HandlerResponse;
    http.set_default_headers({{"X-Content-Type-Options", "nosniff"},
                              {"Cache-Control", "no-store"},
                              {"Referrer-Policy", "no-referrer"}});
    http.set_pre_routing_handler([this](const Request& req, Response& res) {
      return answer_at_once(req, res) ? Handled::Handled : Handled::Unhandled;
    });
    add_post("/v1/images", [this](const ConfigNode& body, const Request& req, bool& stream) {
      return work_of_images(body, req, stream);
    });
    add_post("/v1/encode", [this](const ConfigNode& body, const Request&, bool&) {
      const EncodeRequest request = parse_encode_request(body, models, options.limits);
      return Job::Work([request](Job&) { return encode(request); });
    });
    add_post("/v1/decode", [this](const ConfigNode& body, const Request&, bool&) {
      const DecodeRequest request = parse_decode_request(body, models, options.limits);
      return Job::Work([request](Job&) { return decode(request); });
    });
    // Errors that the HTTP library finds before any handler.
    const auto complete = [](const Request& req, Response& res) {
      if (!res.body.empty()) return Handled::Unhandled;
      send_failure(res, failure_of_library(req, res));
      return Handled::Handled;
    };
    http.set_error_handler(httplib::Server::HandlerWithResponse(complete));
    http.set_exception_handler([](const Request&, Response& res, std::exception_ptr error) {
      send_failure(res, failure_of(error, false));
    });
    http.set_logger([this](const Request& req, const Response& res) {
      metrics.count_request(methods_of(req.path).empty() ? "other" : req.path, res.status);
    });
  }

  /// The library stops listening when the system cannot hand over a connection, for example
  /// because memory is short for a moment; then it is started again.
  void serve_until_stopped() {
    while (!http.stopping) {
      http.listen_after_bind();
      while (!http.stopping && !http.bind_to_port(options.host, port))
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      http.lengthen_backlog();
    }
    finished = true;
  }

  void listen() {
    http.limits.request = http.limits.write = std::chrono::seconds(options.request_seconds);
    http.new_task_queue = [this] {
      return new httplib::ThreadPool(static_cast<std::size_t>(options.connections));
    };
    // Not SO_REUSEPORT, the library's default: two servers could then share a port.
    http.set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    http.set_payload_max_length(options.limits.body);
    set_handlers();
    port = options.port != 0 && http.bind_to_port(options.host, options.port) ? options.port
           : options.port == 0 ? http.bind_to_any_port(options.host)
                               : -1;
    if (port <= 0)
      raise<FileError>("cannot listen on ", options.host, ", port ", options.port,
                       ": the port is used by another program, or the address is not one of this "
                       "machine");
    http.lengthen_backlog();
    thread = std::thread([this] { serve_until_stopped(); });
    while (!http.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
};

Server::Server(Models models, ServerOptions options) {
  const Limits& limits = options.limits;
  if (models.all().empty()) raise<ArgumentError>("a server needs at least one model");
  if (options.port < 0 || options.port > 65535 || options.connections < 1 ||
      options.request_seconds < 1 || limits.count < 1 || limits.steps < 1 || limits.queue < 1 ||
      limits.pixels < 1 || !(limits.seconds > 0))
    raise<ArgumentError>("the options of a server are out of range");
  impl_ = std::make_unique<Impl>(std::move(models), std::move(options));
  impl_->listen();
}

Server::~Server() {
  impl_->http.stopping = true;
  impl_->queue.stop();
  while (!impl_->finished) {  // a single stop has no effect if it comes before it listens again
    impl_->http.stop();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  impl_->thread.join();
}

int Server::port() const noexcept { return impl_->port; }

}  // namespace rae::serve
