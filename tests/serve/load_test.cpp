// Load held: 32 clients draw, listen, go away and send nonsense at the same time. It takes two
// seconds; RAE_LOAD_SECONDS=600 holds it for ten minutes.
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "io/base64.hpp"
#include "serve/serve_fixture.hpp"

namespace rae::test {
namespace {

class Load : public ServeTest {};

std::size_t open_files() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

/// Megabytes of memory of this process.
double resident() {
  std::ifstream in("/proc/self/statm");
  double total = 0, pages = 0;
  in >> total >> pages;
  return pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

TEST_F(Load, Of32Clients) {
  serve::Limits limits;
  limits.queue = 8;
  start({.limits = limits});
  const char* wanted = std::getenv("RAE_LOAD_SECONDS");
  const auto length = std::chrono::seconds(wanted == nullptr ? 2 : std::atoi(wanted));
  const auto end = std::chrono::steady_clock::now() + length;
  const std::string body = R"({"class": 1, "seed": 3})";
  const std::string expected = post("/v1/images", body).body;
  const std::string picture =
      R"("png":")" +
      ConfigNode::parse_json(expected).at("images").elements()[0].get<std::string>("png") + '"';
  const std::size_t files = open_files();
  std::atomic<int> drawn{0}, busy{0}, wrong{0}, streamed{0};
  const auto client = [&](int number) {
    for (int round = number; std::chrono::steady_clock::now() < end; ++round) {
      if (round % 8 == 1) {  // goes away in the middle
        HttpClient away(port());
        away.send(json_request("/v1/images", R"({"steps": 1000, "stream": true})"));
        away.read_until("event:");
      } else if (round % 8 == 3) {
        HttpClient nonsense(port());
        nonsense.send("GET /v1/models HTTP/1.1\r\nHost: loc");
      } else if (round % 8 == 5) {
        const auto answer = post("/v1/images", R"({"class": 1, "seed": 3, "stream": true})");
        if (answer.status == 503)
          ++busy;
        else if (answer.status != 200 || answer.body.find(picture) == std::string::npos)
          ++wrong;
        else
          ++streamed;
      } else {
        const auto answer = post("/v1/images", body);
        if (answer.status == 503 && answer.headers.count("retry-after") == 1)
          ++busy;
        else if (answer.status != 200 || answer.body.find(picture) == std::string::npos)
          ++wrong;
        else
          ++drawn;
      }
    }
  };
  std::vector<std::thread> clients;
  double middle = 0;
  for (int i = 0; i < 32; ++i) clients.emplace_back(client, i);
  std::this_thread::sleep_until(end - length / 2);
  middle = resident();
  for (auto& each : clients) each.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(drawn, 0);
  EXPECT_GT(streamed, 0);
  RecordProperty("drawn", drawn);
  RecordProperty("busy", busy);
  // Nothing is left: no job, no connection, no memory.
  EXPECT_TRUE(metric_becomes("rae_jobs_running", 0));
  EXPECT_EQ(metric("rae_queue_waiting"), 0);
  EXPECT_EQ(post("/v1/images", body).status, 200);
  for (int i = 0; i < 100 && open_files() > files; ++i) ::usleep(50000);
  EXPECT_LE(open_files(), files);
  if (wanted != nullptr) {
    EXPECT_LT(resident(), middle + 32);  // megabytes
  }
}

}  // namespace
}  // namespace rae::test
