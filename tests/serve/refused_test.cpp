// Requests that the server refuses: wrong, too large, too many, too slow, or not allowed.
#include <limits>

#include "io/base64.hpp"
#include "serve/serve_fixture.hpp"

namespace rae::test {
namespace {

class Refused : public ServeTest {
 protected:
  /// Expects status 400 and this part in the message.
  void expect_wrong(const std::string& path, const std::string& body,
                    const std::string& part) const {
    const auto answer = post(path, body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_NE(answer.body.find(part), std::string::npos) << body << "\n" << answer.body;
  }
  void expect_alive() const { EXPECT_EQ(get("/health").status, 200); }
};

TEST_F(Refused, WrongPictureRequests) {
  start();
  const std::pair<const char*, const char*> wrong[] = {
      {"{", "JSON"},
      {"[]", "expected a map"},
      {"null", "map"},
      {R"({"sed": 1})", "sed"},
      {R"({"seed": null})", "seed"},
      {R"({"stream": null})", "stream"},
      {R"({"model": null})", "model"},
      {R"({"class": "stor"})", "star"},
      {R"({"class": 3})", "class"},
      {R"({"class": -1})", "class"},
      {R"({"labels": []})", "labels"},
      {R"({"labels": 1})", "labels"},
      {R"({"labels": [0], "class": 0})", "either"},
      {R"({"count": 0})", "count"},
      {R"({"count": 65})", "count"},
      {R"({"count": 1.5})", "count"},
      {R"({"labels": [1.0]})", "whole number"},
      {R"({"steps": 0})", "steps"},
      {R"({"steps": 1001})", "steps"},
      {R"({"seed": -1})", "seed"},
      {R"({"seed": "18446744073709551616"})", "seed"},
      {R"({"seed": "1 "})", "seed"},
      {R"({"guidance": -1})", "guidance"},
      {R"({"guidance": "2"})", "guidance"},
      {R"({"guidance": 1e999})", ""},
      {R"({"preset": "slow"})", "exact, balanced or fast"},
      {R"({"strength": 0.5})", "needs"},
      {R"({"mask": ""})", "needs"},
      {R"({"init": "?"})", "Base64"},
      {R"({"init": ""})", "init"},
      {R"({"init": "AAAA"})", "init"},
      {R"({"init": "/etc/passwd="})", "Base64"},
      {R"({"init": {"path": "/etc/passwd"}})", "init"},
      {R"({"stream": "yes"})", "stream"},
      {R"({"preview_interval": -1})", "preview_interval"},
      {R"({"seed": 1, "seed": 2})", "seed"},
      {"{\"model\": \"\xff\"}", ""},
  };
  for (const auto& [body, part] : wrong) expect_wrong("/v1/images", body, part);
  expect_wrong("/v1/images", std::string(100000, '['), "");
  expect_alive();
}

TEST_F(Refused, WrongLatentRequests) {
  start();
  expect_wrong("/v1/encode", "{}", "images");
  expect_wrong("/v1/encode", R"({"images": []})", "1 to 64");
  expect_wrong("/v1/encode", R"({"images": [1]})", "images");
  expect_wrong("/v1/encode", R"({"images": ["AAAA"]})", "images");
  expect_wrong("/v1/decode", "{}", "latents");
  const auto latents = [](const std::string& shape, const std::vector<float>& values) {
    return concat(R"({"latents": {"shape": )", shape, R"(, "data": ")",
                  detail::base64(std::as_bytes(std::span(values))), "\"}}");
  };
  const std::vector<float> zeros(64, 0.0f), nan(64, std::numeric_limits<float>::quiet_NaN());
  expect_wrong("/v1/decode", latents("[1, 16, 2, 3]", zeros), "[B, 16, 2, 2]");
  expect_wrong("/v1/decode", latents("[1, 16, 4]", zeros), "[B, 16, 2, 2]");
  expect_wrong("/v1/decode", latents("[1000000000000, 16, 2, 2]", zeros), "B from 1 to 64");
  expect_wrong("/v1/decode", latents("[2, 16, 2, 2]", zeros), "512 bytes");
  expect_wrong("/v1/decode", latents("[1, 16, 2, 2]", nan), "finite");
  EXPECT_EQ(post("/v1/decode", latents("[1, 16, 2, 2]", zeros)).status, 200);
}

TEST_F(Refused, PicturesWithTooManyPixels) {
  serve::Limits limits;
  limits.pixels = 100;
  start({.limits = limits});
  const std::string png = detail::base64(Image(11, 10, 1).encode_png());
  expect_wrong("/v1/images", R"({"init": ")" + png + "\"}", "at most 100 pixels");
  expect_wrong("/v1/encode", R"({"images": [")" + png + "\"]}", "at most 100 pixels");
}

TEST_F(Refused, PathsMethodsAndTypes) {
  start();
  for (const char* path :
       {"/nowhere", "/v1", "/v1/images/", "/v1/images/../models", "/../../etc/passwd",
        "/%2e%2e/etc/passwd", "//etc/passwd", "/etc/passwd"})
    EXPECT_EQ(get(path).status, 404) << path;
  EXPECT_EQ(post("/nowhere", "{}").status, 404);
  const auto wrong = get("/v1/images");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST");
  for (const char* method :
       {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
    EXPECT_EQ(ask(port(), http_request(method, "/health")).status, 405) << method;
  EXPECT_EQ(ask(port(), http_request("POST", "/v1/images", {}, "{}")).status, 415);
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "application/jsonx",
                           "multipart/form-data; boundary=x"})
    EXPECT_EQ(ask(port(),
                  http_request("POST", "/v1/images", concat("Content-Type: ", type, "\r\n"), "{}"))
                  .status,
              415)
        << type;
  EXPECT_EQ(post("/v1/images", "{}", "Content-Encoding: gzip\r\n").status, 415);
  expect_alive();
}

TEST_F(Refused, ForeignHostsAndOrigins) {
  start();
  const auto with_host = [&](const std::string& host) {
    return ask(port(), "GET /v1/models HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status;
  };
  for (const char* host : {"localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1"})
    EXPECT_EQ(with_host(host), 200) << host;
  for (const char* host : {"evil.example", "localhost.evil.example", "1127.0.0.1", "[::2]"})
    EXPECT_EQ(with_host(host), 403) << host;
  EXPECT_EQ(get("/v1/models", "Origin: http://evil.example\r\n").status, 403);
  EXPECT_EQ(get("/v1/models", "Origin: null\r\n").status, 403);
  EXPECT_EQ(get("/v1/models", "Origin: http://127.0.0.1\r\n").status, 200);
}

TEST_F(Refused, WithoutTheToken) {
  const std::string token = "0123456789abcdef";
  start({.token = token});
  for (const char* given : {"", "Bearer ", "Bearer 0123456789abcdeg", "Bearer 0123456789abcde",
                            "Bearer 0123456789abcdef0", "Basic 0123456789abcdef",
                            "0123456789abcdef", "Bearer 0123456789abcdef0123456789abcdef"}) {
    const auto answer = get("/v1/models", concat("Authorization: ", given, "\r\n"));
    EXPECT_EQ(answer.status, 401) << given;
    EXPECT_EQ(answer.headers.at("www-authenticate"), "Bearer");
  }
  EXPECT_EQ(post("/v1/images", "{}").status, 401);
  EXPECT_EQ(get("/metrics").status, 401);
  EXPECT_EQ(get("/health").status, 200);  // for programs that watch it
  EXPECT_EQ(get("/").status, 200);        // the page asks for the token
  EXPECT_EQ(get("/v1/models", "authorization: bearer " + token + "\r\n").status, 200);
}

TEST_F(Refused, BodiesThatAreTooLarge) {
  serve::Limits limits;
  limits.body = 1000;
  start({.limits = limits});
  const std::string body = R"({"class": 0)" + std::string(990, ' ') + "}";
  EXPECT_EQ(post("/v1/images", body).status, 413);
  const auto claimed = [&](const std::string& length) {
    return ask(port(),
               "POST /v1/images HTTP/1.1\r\nContent-Type: application/json\r\n"
               "Content-Length: " +
                   length + "\r\n\r\n{}")
        .status;
  };
  EXPECT_EQ(claimed("1001"), 413);
  EXPECT_EQ(claimed("99999999999999999999999999"), 413);
  EXPECT_EQ(claimed("-1"), 400);
  EXPECT_EQ(claimed("two"), 400);
  const std::string chunked =
      "POST /v1/images HTTP/1.1\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(ask(port(), chunked + "2\r\n{}\r\n0\r\n\r\n").status, 200);
  std::string endless = chunked;
  for (int i = 0; i < 100; ++i) endless += "64\r\n" + std::string(100, ' ') + "\r\n";
  EXPECT_EQ(ask(port(), endless + "0\r\n\r\n").status, 413);
  EXPECT_EQ(
      ask(port(), "POST /v1/images HTTP/1.1\r\nContent-Type: application/json\r\n\r\n").status,
      411);
  expect_alive();
}

TEST_F(Refused, RequestsThatAreNotHttp) {
  start({.request_seconds = 1});
  for (const std::string& bytes :
       {std::string("\r\n\r\n"), std::string("nonsense\r\n\r\n"), std::string("GET /\r\n\r\n"),
        std::string("GET / HTTP/9.9\r\n\r\n"), std::string("\x16\x03\x01\x02\r\n\r\n"),
        std::string(64, '\0') + "\r\n\r\n", std::string("BREW / HTTP/1.1\r\n\r\n")}) {
    const int status = ask(port(), bytes).status;
    EXPECT_TRUE(status == 0 || (status >= 400 && status < 500)) << status;
  }
  // A line and a header without an end.
  EXPECT_NE(ask(port(), "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\n\r\n").status, 200);
  HttpClient line(port());
  line.send("GET /" + std::string(1000000, 'a'));
  EXPECT_NE(line.answer().status, 200);
  std::string headers = "GET /health HTTP/1.1\r\n";
  for (int i = 0; i < 10000; ++i) headers += "X-Header: value\r\n";
  EXPECT_EQ(ask(port(), headers + "\r\n").status, 431);
  std::string ranges = "Range: bytes=0-0";
  for (int i = 0; i < 1900; ++i) ranges += ",0-0";
  EXPECT_EQ(get("/v1/models", ranges + "\r\n").body, get("/v1/models").body);
  expect_alive();
}

TEST_F(Refused, SlowRequestsEnd) {
  start({.request_seconds = 1, .connections = 2});
  HttpClient idle(port()), header(port()), body(port());
  header.send("GET /health HTTP/1.1\r\nX-Slow: ");
  body.send(
      "POST /v1/images HTTP/1.1\r\nContent-Type: application/json\r\n"
      "Content-Length: 100\r\n\r\n{");
  // A byte now and then does not prolong the time.
  for (int i = 0; i < 12; ++i) {
    header.send("a");
    ::usleep(100000);
  }
  EXPECT_EQ(header.answer().status, 408);
  EXPECT_EQ(body.answer().status, 408);
  EXPECT_EQ(idle.answer().status, 0);
  expect_alive();
}

TEST_F(Refused, MoreRequestsThanTheQueueTakes) {
  serve::Limits limits;
  limits.queue = 1;
  start({.limits = limits});
  const std::string long_one =
      json_request("/v1/images", R"({"count": 64, "steps": 1000, "stream": true})");
  HttpClient running(port()), waiting(port());
  running.send(long_one);
  running.read_until("event: progress");
  waiting.send(long_one);
  EXPECT_NE(waiting.read_until("event: queued").find("{\"position\":1}"), std::string::npos);
  const auto refused = post("/v1/images", "{}");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(error_of(refused), "queue_full");
  EXPECT_GE(std::stoi(refused.headers.at("retry-after")), 1);
  EXPECT_EQ(metric("rae_jobs_total{end=\"refused\"}"), 1);
  expect_alive();
}

TEST_F(Refused, ComputationsOverTheTimeLimit) {
  serve::Limits limits;
  limits.seconds = 0.05;
  start({.limits = limits});
  const auto answer = post("/v1/images", R"({"count": 64, "steps": 1000})");
  EXPECT_EQ(answer.status, 504);
  EXPECT_EQ(error_of(answer), "too_slow");
}

TEST_F(Refused, ComputationsOfClientsThatWentAway) {
  start();
  const std::string body = R"({"count": 64, "steps": 1000)";
  {
    HttpClient streamed(port()), waiting(port());
    streamed.send(json_request("/v1/images", body + R"(, "stream": true})"));
    streamed.read_until("event: progress");
    waiting.send(json_request("/v1/images", body + "}"));
    EXPECT_TRUE(metric_becomes("rae_queue_waiting", 1));
  }
  EXPECT_TRUE(metric_becomes("rae_jobs_total{end=\"cancelled\"}", 2));
  EXPECT_EQ(metric("rae_jobs_total{end=\"done\"}"), 0);
}

TEST_F(Refused, AStopEndsWhatIsComputed) {
  start();
  HttpClient streamed(port()), plain(port());
  streamed.send(json_request("/v1/images", R"({"count": 64, "steps": 1000, "stream": true})"));
  streamed.read_until("event: progress");
  plain.send(json_request("/v1/images", "{}"));
  EXPECT_TRUE(metric_becomes("rae_queue_waiting", 1));
  const int old_port = port();
  stop();
  EXPECT_EQ(plain.answer().status, 503);
  EXPECT_EQ(streamed.read_until({}).find("event: done"), std::string::npos);
  EXPECT_FALSE(HttpClient(old_port).connected());
}

}  // namespace
}  // namespace rae::test
