// `rae serve` as a process: its start, its end, and a start after it was killed.
#include <csignal>

#include "rae/generate/generator.hpp"
#include "support/http_client.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class ServeCommand : public ToolTest {
 protected:
  void SetUp() override { tiny_bundle().save(path("m.safetensors")); }

  struct Running {
    pid_t process;
    int port;
  };
  /// Starts a server and waits until it has written its address.
  [[nodiscard]] Running serve(std::vector<std::string> more = {}, int port = 0) const {
    std::vector<std::string> arguments{"serve", "--model", "m.safetensors", "--port",
                                       std::to_string(port)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Running out{start(arguments), 0};
    for (int i = 0; i < 600 && out.port == 0; ++i) {
      ::usleep(100000);
      const std::string text = slurp(stdout_file());
      if (text.find('\n') != std::string::npos)
        out.port = std::stoi(text.substr(text.rfind(':') + 1));
    }
    EXPECT_GT(out.port, 0) << slurp(stderr_file());
    return out;
  }
  [[nodiscard]] ToolResult end(const Running& running, int signal) const {
    ::kill(running.process, signal);
    return finish(running.process);
  }
};

TEST_F(ServeCommand, DrawsTheSameFileAsGenerate) {
  const Running server = serve();
  const auto answer = ask(server.port, json_request("/v1/images", R"({"class": 2, "seed": 4})",
                                                    "Accept: image/png\r\n"));
  EXPECT_EQ(
      rae({"generate", "--model", "m.safetensors", "--class", "2", "--seed", "4", "--out", "x.png"})
          .status,
      0);
  EXPECT_EQ(answer.body, slurp(path("x.png")));
  const auto result = end(server, SIGTERM);
  EXPECT_EQ(result.status, 0) << result.err;
}

TEST_F(ServeCommand, StartsAgainAfterItWasKilled) {
  const Running first = serve();
  HttpClient client(first.port);
  client.send(json_request("/v1/images", R"({"count": 64, "steps": 1000, "stream": true})"));
  client.read_until("event: progress");
  EXPECT_EQ(end(first, SIGKILL).status, 1000 + SIGKILL);
  EXPECT_EQ(client.read_until("event: done").find("event: done"), std::string::npos);
  const Running second = serve({}, first.port);  // the same port
  EXPECT_EQ(second.port, first.port);
  EXPECT_EQ(ask(second.port, json_request("/v1/images", "{}")).status, 200);
  EXPECT_EQ(end(second, SIGINT).status, 0);
}

TEST_F(ServeCommand, EndsWhileItComputes) {
  const Running server = serve();
  HttpClient client(server.port);
  client.send(json_request("/v1/images", R"({"count": 64, "steps": 1000, "stream": true})"));
  client.read_until("event: progress");
  EXPECT_EQ(end(server, SIGTERM).status, 0);
}

TEST_F(ServeCommand, ServesSeveralModelsWithAToken) {
  write("token", "a-token-of-20-chars.\nsecond line\n");
  const Running server =
      serve({"--model", "other=m.safetensors", "--token-file", "token", "--most-count", "2"});
  const std::string token = "Authorization: Bearer a-token-of-20-chars.\r\n";
  EXPECT_EQ(ask(server.port, http_request("GET", "/v1/models")).status, 401);
  const auto models = ask(server.port, http_request("GET", "/v1/models", token));
  EXPECT_TRUE(contains(models.body, R"("name":"m")"));
  EXPECT_TRUE(contains(models.body, R"("name":"other")"));
  const auto of = [&](const std::string& body) {
    return ask(server.port, json_request("/v1/images", body, token)).status;
  };
  EXPECT_EQ(of(R"({"model": "other", "count": 2})"), 200);
  EXPECT_EQ(of(R"({"model": "other", "count": 3})"), 400);
  EXPECT_EQ(end(server, SIGTERM).status, 0);
}

TEST_F(ServeCommand, RefusesAPortThatIsUsedAndWrongOptions) {
  const Running server = serve();
  const auto second =
      rae({"serve", "--model", "m.safetensors", "--port", std::to_string(server.port)});
  EXPECT_EQ(second.status, 1);
  EXPECT_TRUE(contains(second.err, "used by another program"));
  (void)end(server, SIGTERM);
  EXPECT_EQ(rae({"serve", "--model", "none.safetensors"}).status, 1);
  EXPECT_EQ(rae({"serve", "--model", "a b=m.safetensors"}).status, 1);
  EXPECT_EQ(rae({"serve", "--model", "m.safetensors", "--model", "m.safetensors"}).status, 1);
  write("token", "short\n");
  const auto token = rae({"serve", "--model", "m.safetensors", "--token-file", "token"});
  EXPECT_EQ(token.status, 1);
  EXPECT_TRUE(contains(token.err, "at least 16 characters"));
}

}  // namespace
}  // namespace rae::test
