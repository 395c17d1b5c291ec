// The interface of the server: pictures, latents, events, and numbers about itself.
#include "serve/server.hpp"

#include "io/base64.hpp"
#include "rae/generate/preset.hpp"
#include "serve/serve_fixture.hpp"

namespace rae::test {
namespace {

class Serve : public ServeTest {
 protected:
  static std::vector<std::byte> bytes_of(const ConfigNode& image) {
    return detail::parse_base64(image.get<std::string>("png")).value();
  }
  static Image picture_of(const ConfigNode& image) { return Image::decode(bytes_of(image)); }
  static std::string base64_of(const Image& image) { return detail::base64(image.encode_png()); }
  [[nodiscard]] Generator generator() const { return Generator(tiny_files()); }
};

TEST_F(Serve, DrawsTheSamePicturesAsTheLibrary) {
  start();
  const ConfigNode answer =
      json("/v1/images", R"({"labels": [2, "circle"], "count": 3, "seed": 7, "index": 5,
                             "steps": 3, "guidance": 2})");
  EXPECT_EQ(answer.get<std::string>("model"), "tiny");
  const Generator model = generator();
  GenerateOptions options{.labels = {2, 0, 2}, .seed = 7, .first_index = 5, .steps = 3};
  options.guidance = model.config().sampling.guidance;
  options.guidance->scale = 2;
  const auto expected = model.sample(options);
  const auto images = answer.at("images").elements();
  ASSERT_EQ(images.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(picture_of(images[i]), expected[i]);
    EXPECT_EQ(parse_png_text(bytes_of(images[i])), model.png_text(options, i));
    EXPECT_EQ(images[i].at("settings").get<std::string>("class"), i == 1 ? "circle" : "star");
  }
}

TEST_F(Serve, TakesSeedsOf64BitsAndPresets) {
  start();
  const ConfigNode answer =
      json("/v1/images", R"({"class": "star", "seed": "18446744073709551615", "preset": "fast"})");
  const Generator model = generator();
  GenerateOptions options{.labels = {2}, .seed = 18446744073709551615u};
  apply_preset(Preset::fast, model.config(), options);
  EXPECT_EQ(picture_of(answer.at("images").elements()[0]), model.sample(options)[0]);
}

TEST_F(Serve, AnswersWithAPngOnRequest) {
  start();
  const auto answer = post("/v1/images", R"({"labels": [0, 1, 2]})", "Accept: image/png\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "image/png");
  const Image whole = Image::decode(std::as_bytes(std::span(answer.body)));
  EXPECT_EQ(whole, Image::grid(generator().sample({.labels = {0, 1, 2}}), 2));
}

TEST_F(Serve, BeginsWithAPicture) {
  start();
  const Image init(8, 8, 1, 90);
  Image mask(8, 8, 1, 0);
  mask.pixels()[0] = 255;
  const ConfigNode answer =
      json("/v1/images", concat(R"({"class": 1, "strength": 0.5, "init": ")", base64_of(init),
                                R"(", "mask": ")", base64_of(mask), "\"}"));
  const Generator model = generator();
  GenerateOptions options{.labels = {1}};
  options.init = Autoencoder(tiny_files()).encode(init);
  options.strength = 0.5;
  options.mask = Tensor<float>(Shape{1, 1, 2, 2}, {1, 0, 0, 0});
  EXPECT_EQ(picture_of(answer.at("images").elements()[0]), model.sample(options)[0]);
}

TEST_F(Serve, EncodesAndDecodes) {
  start();
  const Image image(8, 8, 1, 90);
  const ConfigNode encoded =
      json("/v1/encode", concat(R"({"images": [")", base64_of(image), "\"]}"));
  const Autoencoder model(tiny_files());
  const Tensor<float> latents = model.encode(image);  // (1, C, h, w)
  const ConfigNode& sent = encoded.at("latents");
  EXPECT_EQ(sent.at("shape").as<std::vector<int>>(), (std::vector<int>{1, 16, 2, 2}));
  EXPECT_EQ(sent.get<std::string>("data"), detail::base64(std::as_bytes(latents.span())));
  const ConfigNode decoded =
      json("/v1/decode", ConfigNode::map({{"model", "tiny"}, {"latents", sent}}).to_json());
  EXPECT_EQ(picture_of(decoded.at("images").elements()[0]), model.decode(latents)[0]);
}

TEST_F(Serve, StreamsProgressPreviewsAndTheAnswer) {
  start();
  const auto answer =
      post("/v1/images", R"({"class": 0, "count": 2, "stream": true, "preview_interval": 1})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "text/event-stream");
  EXPECT_NE(answer.body.find("event: progress\ndata: {\"step\":"), std::string::npos);
  const std::size_t done = answer.body.find("event: done\ndata: ");
  ASSERT_NE(done, std::string::npos);
  const std::size_t begin = done + std::string("event: done\ndata: ").size();
  const ConfigNode last =
      ConfigNode::parse_json(answer.body.substr(begin, answer.body.size() - begin - 2));
  EXPECT_EQ(picture_of(last.at("images").elements()[1]), generator().sample({.labels = {0, 0}})[1]);
}

TEST_F(Serve, StreamsEveryPreviewToAClientThatReadsThem) {
  start();
  HttpClient client(port());
  client.send(json_request(
      "/v1/images", R"({"class": 0, "steps": 1000, "stream": true, "preview_interval": 1})"));
  const std::string seen = client.read_until("event: preview");
  const std::size_t at = seen.find("event: preview");
  ASSERT_NE(at, std::string::npos);
  const std::string all = client.read_until("event: done");
  const std::size_t begin = at + std::string("event: preview\ndata: ").size();
  const ConfigNode preview =
      ConfigNode::parse_json(all.substr(begin, all.find('\n', begin) - begin));
  const auto png = detail::parse_base64(preview.at("images").elements()[0].as_string());
  EXPECT_EQ(Image::decode(png.value()).width(), 8);
}

TEST_F(Serve, DescribesItself) {
  start();
  const auto health = get("/health");
  EXPECT_EQ(health.status, 200);
  EXPECT_EQ(ConfigNode::parse_json(health.body).get<std::string>("status"), "ok");
  const ConfigNode listed = ConfigNode::parse_json(get("/v1/models").body);
  const ConfigNode& model = listed.at("models").elements()[0];
  EXPECT_EQ(model.get<std::string>("name"), "tiny");
  EXPECT_EQ(model.at("classes").elements()[2].as_string(), "star");
  EXPECT_EQ(model.get<int>("steps"), 4);
  EXPECT_TRUE(model.get<bool>("encodes"));
  const auto page = get("/");
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_NE(page.body.find("<!doctype html>"), std::string::npos);
  EXPECT_NE(page.headers.at("content-security-policy").find("default-src 'none'"),
            std::string::npos);
  EXPECT_EQ(page.headers.at("x-content-type-options"), "nosniff");
  const auto head = ask(port(), http_request("HEAD", "/v1/models"));
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
}

TEST_F(Serve, CountsWhatItDoes) {
  start();
  (void)json("/v1/images", R"({"labels": [0, 1]})");
  (void)post("/v1/images", "{");
  (void)get("/nowhere");
  EXPECT_EQ(metric("rae_images_total{model=\"tiny\"}"), 2);
  EXPECT_EQ(metric("rae_http_requests_total{route=\"/v1/images\",status=\"200\"}"), 1);
  EXPECT_EQ(metric("rae_http_requests_total{route=\"/v1/images\",status=\"400\"}"), 1);
  EXPECT_EQ(metric("rae_http_requests_total{route=\"other\",status=\"404\"}"), 1);
  EXPECT_EQ(metric("rae_jobs_total{end=\"done\"}"), 1);
}

TEST_F(Serve, ChoosesModelsByName) {
  serve::Models models;
  models.add("first", tiny_files());
  models.add("second", tiny_files());
  EXPECT_THROW(models.add("second", tiny_files()), ArgumentError);
  for (const char* wrong : {"", "a b", "a/b", "a\"b"})
    EXPECT_THROW(models.add(wrong, tiny_files()), ArgumentError) << wrong;
  EXPECT_EQ(models.find("").name, "first");
  EXPECT_EQ(models.find("second").name, "second");
  const serve::Server server(std::move(models), {.port = 0});
  const auto of = [&](const std::string& body) {
    return ask(server.port(), json_request("/v1/images", body));
  };
  const auto second = of(R"({"model": "second"})");
  EXPECT_EQ(ConfigNode::parse_json(second.body).get<std::string>("model"), "second");
  const auto unknown = of(R"({"model": "../etc/passwd"})");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_NE(unknown.body.find("first, second"), std::string::npos);
}

TEST_F(Serve, RefusesOptionsOutOfRange) {
  EXPECT_THROW(serve::Server(serve::Models(), {}), ArgumentError);
  EXPECT_THROW(serve::Server(tiny_models(), {.port = 65536}), ArgumentError);
  EXPECT_THROW(serve::Server(tiny_models(), {.host = "203.0.113.1"}), FileError);
  start();
  EXPECT_THROW(serve::Server(tiny_models(), {.port = port()}), FileError);
}

}  // namespace
}  // namespace rae::test
