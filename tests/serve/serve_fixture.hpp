// A server with the tiny model, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include "rae/io/config.hpp"
#include "serve/server.hpp"
#include "support/http_client.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {

class ServeTest : public testing::Test {
 protected:
  [[nodiscard]] ModelFiles tiny_files() const {
    tiny_bundle().save(folder_ / "m.safetensors");
    return ModelFiles::open(folder_ / "m.safetensors");
  }
  [[nodiscard]] serve::Models tiny_models() const {
    serve::Models models;
    models.add("tiny", tiny_files());
    return models;
  }

  /// Starts the server of this test on a free port.
  void start(serve::ServerOptions options = {}) {
    options.port = 0;
    server_ = std::make_unique<serve::Server>(tiny_models(), options);
  }
  void stop() { server_.reset(); }
  [[nodiscard]] int port() const { return server_->port(); }

  [[nodiscard]] HttpAnswer get(const std::string& path, const std::string& headers = {}) const {
    return ask(port(), http_request("GET", path, headers));
  }
  [[nodiscard]] HttpAnswer post(const std::string& path, const std::string& body,
                                const std::string& headers = {}) const {
    return ask(port(), json_request(path, body, headers));
  }
  /// The answer in JSON of a request that succeeds.
  [[nodiscard]] ConfigNode json(const std::string& path, const std::string& body) const {
    const HttpAnswer answer = post(path, body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return ConfigNode::parse_json(answer.body);
  }
  /// The type of the error that a request gets.
  [[nodiscard]] static std::string error_of(const HttpAnswer& answer) {
    return ConfigNode::parse_json(answer.body).at("error").get<std::string>("type");
  }
  /// A number of /metrics.
  [[nodiscard]] double metric(const std::string& name) const {
    const std::string text = "\n" + get("/metrics").body;
    const std::size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1.0 : std::stod(text.substr(at + name.size() + 2));
  }
  /// Waits until a number of /metrics has this value; false after a minute.
  [[nodiscard]] bool metric_becomes(const std::string& name, double value) const {
    for (int i = 0; i < 600; ++i) {
      if (metric(name) == value) return true;
      ::usleep(100000);
    }
    return false;
  }

 private:
  TempFolder folder_;
  std::unique_ptr<serve::Server> server_;
};

}  // namespace rae::test
