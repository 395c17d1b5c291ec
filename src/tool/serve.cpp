// `rae serve`: the models of this program for other programs and for a browser, by HTTP.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "tool/command.hpp"
#include "tool/interrupt.hpp"
#include "tool/model.hpp"
#include "tool/model_source.hpp"
#include "tool/numbers.hpp"
#include "tool/output.hpp"
#include "tool/text.hpp"
#if defined(RAE_HAS_SERVE)
#include "serve/server.hpp"
#endif

namespace rae::tool {
namespace {

struct ServeCommand {
  std::vector<std::string> models;  // NAME|PATH, or NAME=PATH
  DTypeChoice dtype;
  std::string host = "127.0.0.1", token_file;
  int port = 8080;
  index_t queue = 16, most_count = 64, most_steps = 1000, time_limit = 600;
};

#if defined(RAE_HAS_SERVE)

/// A model with the name by which requests choose it.
struct NamedPath {
  std::string name, path;
};

/// "NAME=PATH", or a name or path as for `--model` of other commands, whose file name without its
/// ending is the name.
NamedPath named_path(const std::string& text) {
  const std::size_t equals = text.find('=');
  std::error_code none;
  if (equals != std::string::npos && !std::filesystem::exists(text, none))
    return {text.substr(0, equals), model_path(text.substr(equals + 1))};
  const std::string path = model_path(text);
  return {std::filesystem::path(without_slash(path)).stem().string(), path};
}

/// The first line of the file of --token-file, or the environment variable RAE_SERVE_TOKEN.
std::string token_of(const std::string& file) {
  constexpr std::size_t kFewest = 16;
  const char* variable = std::getenv("RAE_SERVE_TOKEN");
  if (file.empty()) {
    const std::string token = variable == nullptr ? "" : variable;
    if (variable != nullptr && token.size() < kFewest)
      throw UsageError(concat("RAE_SERVE_TOKEN: expected at least ", kFewest, " characters"));
    return token;
  }
  std::ifstream in(file);
  std::string token;
  if (!std::getline(in, token)) raise<FileError>("cannot read a token from '", file, "'");
  while (!token.empty() && (token.back() == '\r' || token.back() == ' ')) token.pop_back();
  if (token.size() < kFewest)
    raise<FormatError>("'", file, "': expected a token of at least ", kFewest, " characters");
  return token;
}

void run(ServeCommand& command) {
  if (command.models.empty()) command.models.emplace_back(kDefaultModel);
  CommandFiles files;
  std::vector<NamedPath> named;
  for (const auto& text : command.models) {
    named.push_back(named_path(text));
    named.back().path = files.input_model("--model", named.back().path);
  }
  if (!command.token_file.empty())
    command.token_file = files.input("--token-file", command.token_file);
  serve::ServerOptions options{
      .host = command.host, .port = command.port, .token = token_of(command.token_file)};
  options.limits.queue = static_cast<std::size_t>(command.queue);
  options.limits.count = command.most_count;
  options.limits.steps = command.most_steps;
  options.limits.seconds = static_cast<double>(command.time_limit);
  serve::Models models;
  for (const auto& [name, path] : named)
    models.add(name, open_model_source(path, {}).files,
               {.dtype = command.dtype.type, .auto_dtype = command.dtype.automatic});
  if (!serve::is_loopback(options.host) && options.token.empty())
    std::fprintf(stderr,
                 "rae: warning: everyone who reaches %s can use this server; --token-file sets a "
                 "token\n",
                 printable(options.host).c_str());
  const serve::Server server(std::move(models), options);
  const bool is_v6 = options.host.find(':') != std::string::npos;
  std::printf("http://%s%s%s:%d\n", is_v6 ? "[" : "", printable(options.host).c_str(),
              is_v6 ? "]" : "", server.port());
  if (std::fflush(stdout) != 0) raise<FileError>("cannot write the address to stdout");
  while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

#else

void run(ServeCommand&) {
  raise<Error>("this program was built without its server; it needs cpp-httplib (Debian: ",
               "libcpp-httplib-dev) and -DRAE_SERVE=ON");
}

#endif

}  // namespace

void add_serve(CLI::App& app) {
  const auto options = std::make_shared<ServeCommand>();
  CLI::App* command =
      app.add_subcommand("serve", "A local server: an interface in JSON, and a page for a browser");
  command
      ->add_option("-m,--model", options->models,
                   "a model to serve; give it again for others. A name or a path as for `rae "
                   "generate`, or NAME=PATH (default: the built-in model)")
      ->type_name("NAME|PATH");
  add_dtype_option(*command, options->dtype);
  command
      ->add_option("--host", options->host,
                   "address to listen on; 0.0.0.0 is all addresses of this machine")
      ->type_name("ADDRESS")
      ->capture_default_str();
  add_whole_option(*command, "-p,--port", options->port, "port; 0 takes one that is free", 0,
                   65535);
  command
      ->add_option("--token-file", options->token_file,
                   "file whose first line is a token, which clients must then send; without it "
                   "the environment variable RAE_SERVE_TOKEN, if it is set")
      ->type_name("FILE");
  add_whole_option(*command, "--queue", options->queue,
                   "requests that may wait; others are refused with status 503", 1, 10000);
  add_whole_option(*command, "--most-count", options->most_count, "pictures of one request", 1,
                   10000);
  add_whole_option(*command, "--most-steps", options->most_steps, "sampling steps of one request",
                   1, kMaxSamplingSteps);
  add_whole_option(*command, "--time-limit", options->time_limit,
                   "seconds after which a request that is being computed is stopped", 1, 86400);
  add_threads_option(*command);
  command->footer(
      "The address goes to stdout when the server is ready. Ctrl-C stops it. Requests are "
      "computed\n"
      "one by one, each with all threads; no file is opened for a request.\n"
      "\n"
      "Examples:\n"
      "  rae serve                            then open http://127.0.0.1:8080\n"
      "  rae serve --model fashion-mnist --model faces=faces.safetensors --port 9000\n"
      "  curl -H 'Content-Type: application/json' -d '{\"class\": \"sneaker\", \"seed\": 7}' \\\n"
      "    -H 'Accept: image/png' http://127.0.0.1:8080/v1/images -o shoe.png\n"
      "  curl http://127.0.0.1:8080/v1/models");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
