// The documents that are part of the server.
#include "serve/page.hpp"

#include <cstdlib>

#include "serve/serve_fixture.hpp"

namespace rae::test {
namespace {

class Documents : public ServeTest {};

TEST_F(Documents, TheDescriptionHasTheLimitsOfTheServer) {
  serve::Limits limits;
  limits.count = 5;
  limits.steps = 77;
  start({.limits = limits});
  const ConfigNode api = ConfigNode::parse_json(get("/openapi.json").body);
  const ConfigNode& request =
      api.at("components").at("schemas").at("ImageRequest").at("properties");
  EXPECT_EQ(request.at("count").get<int>("maximum"), 5);
  EXPECT_EQ(request.at("labels").get<int>("maxItems"), 5);
  EXPECT_EQ(request.at("steps").get<int>("maximum"), 77);
  EXPECT_EQ(request.at("steps").get<int>("minimum"), 1);
}

TEST_F(Documents, TheDescriptionHasEveryPath) {
  start();
  const ConfigNode api = ConfigNode::parse_json(serve::openapi({}));
  std::size_t count = 0;
  for (const auto& [path, methods] : api.at("paths").members()) {
    ++count;
    const bool is_get = methods.contains("get");
    EXPECT_EQ(ask(port(), http_request(is_get ? "POST" : "GET", path)).status, 405) << path;
  }
  EXPECT_EQ(count, 8u);
}

TEST_F(Documents, ThePageNeedsNothingFromElsewhere) {
  const std::string page(serve::page());
  EXPECT_NE(page.find("</html>"), std::string::npos);
  for (const char* part : {"http://", "https://", "//cdn", "@import", "innerHTML", "eval("})
    EXPECT_EQ(page.find(part), std::string::npos) << part;
}

TEST_F(Documents, ABrowserShowsThePage) {
  if (std::system("command -v chromium > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "chromium is not installed";
  start();
  const TempFolder work;
  const std::string command =
      "timeout 120 chromium --headless --no-sandbox --disable-gpu --enable-logging=stderr "
      "--user-data-dir='" +
      (work / "profile") +
      "' --virtual-time-budget=5000 --dump-dom 'http://127.0.0.1:" + std::to_string(port()) +
      "/' > '" + (work / "dom.html") + "' 2> '" + (work / "messages") + "'";
  ASSERT_EQ(std::system(command.c_str()), 0) << slurp(work / "messages");
  EXPECT_EQ(slurp(work / "messages").find("CONSOLE"), std::string::npos)
      << slurp(work / "messages");
  const std::string dom = slurp(work / "dom.html");
  for (const char* part : {">Ready.<", ">tiny</option>", ">star</option>", ">balanced</option>"})
    EXPECT_NE(dom.find(part), std::string::npos) << part;
}

}  // namespace
}  // namespace rae::test
