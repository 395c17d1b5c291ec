// The order of folders, checked by their includes: core <- kernels <- autograd <- ops <- nn <-
// models <- spec <- formats <- load <- generate <- train <- mpi. The C interface (capi) and
// the server (serve) stand above generate.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "rules/source_files.hpp"

namespace rae::test {
namespace {

/// The folders that the files of a folder may include besides their own.
const std::map<std::string, std::set<std::string>> kAllowed = {
    {"core", {}},
    {"interop", {"core"}},
    {"kernels", {"core"}},
    {"autograd", {"core", "kernels"}},
    {"ops", {"core", "kernels", "autograd"}},
    {"nn", {"core", "kernels", "autograd", "ops"}},
    {"models", {"core", "kernels", "autograd", "ops", "nn"}},
    {"diffusion", {"core", "kernels"}},
    {"io", {"core", "kernels"}},
    {"metrics", {"core", "kernels"}},
    {"spec", {"core", "kernels", "autograd", "ops", "nn", "models", "diffusion", "io", "metrics"}},
    {"formats",
     {"core", "kernels", "autograd", "ops", "nn", "models", "diffusion", "io", "metrics", "spec"}},
    {"load",
     {"core", "kernels", "autograd", "ops", "nn", "models", "diffusion", "io", "metrics", "spec",
      "formats"}},
    {"generate",
     {"core", "kernels", "autograd", "ops", "nn", "models", "diffusion", "io", "metrics", "spec",
      "formats", "load"}},
    {"train",
     {"core", "kernels", "autograd", "ops", "nn", "models", "diffusion", "io", "metrics", "spec",
      "formats", "load", "generate"}},
    {"mpi", {"core", "train"}},
    {"capi", {"core", "kernels", "diffusion", "io", "spec", "formats", "load", "generate"}},
    {"serve", {"core", "io", "spec", "formats", "load", "generate"}},
    {"python", {"core", "kernels", "io", "spec", "formats", "load", "generate", "train"}},
};

struct Include {
  std::string name;
  bool quoted = false;
};

/// The name in the include directive of a line, or an empty name.
Include include_of(const std::string& line) {
  const auto hash = line.find_first_not_of(" \t");
  if (hash == std::string::npos || line[hash] != '#') return {};
  const auto word = line.find("include", hash);
  if (word == std::string::npos) return {};
  const auto open = line.find_first_of("\"<", word);
  if (open == std::string::npos) return {};
  const bool quoted = line[open] == '"';
  const auto close = line.find(quoted ? '"' : '>', open + 1);
  return {line.substr(open + 1, close - open - 1), quoted};
}

/// The folder of a file or include: "include/rae/nn/linear.hpp", "src/nn/linear.cpp",
/// "rae/nn/linear.hpp" and "nn/linear.hpp" belong to "nn", and a file directly in the root to "".
std::string folder_of(std::string path) {
  for (const std::string& prefix :
       {std::string("include/"), std::string("src/"), std::string("rae/")})
    if (path.rfind(prefix, 0) == 0) path = path.substr(prefix.size());
  const auto slash = path.find('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

/// One line for every include that violates the order.
std::vector<std::string> wrong_directions(const std::vector<SourceFile>& files) {
  std::vector<std::string> out;
  for (const auto& file : files) {
    const std::string folder = folder_of(file.path);
    const auto allowed = kAllowed.find(folder);
    if (folder == "tool" || file.path == "include/rae/rae.hpp") continue;  // may include all
    if (!folder.empty() && allowed == kAllowed.end()) {
      out.push_back(file.path + ": the folder has no place in the order of dependencies");
      continue;
    }
    for (const auto& line : file.lines) {
      const Include include = include_of(line);
      if (!include.quoted || include.name.find('/') == std::string::npos) continue;
      const std::string target = folder_of(include.name);
      if (target.empty() || target == folder) continue;
      if (folder.empty() || !allowed->second.count(target))
        out.push_back(file.path + " includes " + include.name);
    }
  }
  return out;
}

/// One line for every include in a public header that is a header of neither this library nor the
/// standard library.
std::vector<std::string> foreign_includes(const std::vector<SourceFile>& headers) {
  std::vector<std::string> out;
  for (const auto& file : headers) {
    if (folder_of(file.path) == "interop") continue;
    for (const auto& line : file.lines) {
      const Include include = include_of(line);
      if (include.name.empty()) continue;
      const bool own = include.quoted && include.name.rfind("rae/", 0) == 0;
      const bool standard =
          !include.quoted && include.name.find_first_of("/.") == std::string::npos;
      if (!own && !standard) out.push_back(file.path + " includes " + include.name);
    }
  }
  return out;
}

/// Headers that include each other in a circle, "a -> b -> a"; one line for each circle.
std::vector<std::string> circles(const std::vector<SourceFile>& headers) {
  std::map<std::string, std::vector<std::string>> includes;  // by the name as written in an include
  for (const auto& file : headers) {
    std::string name = file.path;
    for (const std::string& prefix : {std::string("include/"), std::string("src/")})
      if (name.rfind(prefix, 0) == 0) name = name.substr(prefix.size());
    for (const auto& line : file.lines)
      if (const Include include = include_of(line); include.quoted)
        includes[name].push_back(include.name);
  }
  std::vector<std::string> out, path;
  std::set<std::string> done;
  const auto visit = [&](const auto& self, const std::string& name) -> void {
    if (const auto at = std::find(path.begin(), path.end(), name); at != path.end()) {
      std::string circle;
      for (auto i = at; i != path.end(); ++i) circle += *i + " -> ";
      out.push_back(circle + name);
      return;
    }
    if (done.count(name)) return;
    path.push_back(name);
    if (const auto found = includes.find(name); found != includes.end())
      for (const auto& next : found->second) self(self, next);
    path.pop_back();
    done.insert(name);
  };
  for (const auto& [name, targets] : includes) visit(visit, name);
  return out;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  return out;
}

TEST(Includes, FollowTheOrderOfFolders) {
  const auto files = source_files({"include/rae", "src"});
  ASSERT_GT(files.size(), 20u);
  EXPECT_EQ(joined(wrong_directions(files)), "");
}

TEST(Includes, FormNoCircles) {
  EXPECT_EQ(joined(circles(source_files({"include/rae", "src"}))), "");
}

TEST(Includes, PublicHeadersShowNoThirdParty) {
  const auto headers = source_files({"include/rae"});
  ASSERT_GT(headers.size(), 10u);
  EXPECT_EQ(joined(foreign_includes(headers)), "");
}

TEST(Includes, PublicHeadersUsePragmaOnce) {
  for (const auto& file : source_files({"include/rae"}))
    EXPECT_NE(std::count(file.lines.begin(), file.lines.end(), "#pragma once"), 0) << file.path;
}

TEST(IncludeRules, FindViolations) {
  const std::vector<SourceFile> bad = {
      {"include/rae/io/npz.hpp", {"#include \"rae/models/dit.hpp\""}},
      {"src/kernels/gemm.cpp", {"  # include \"nn/linear.hpp\"  // why"}},
      {"include/rae/generate/generator.hpp", {"#include \"rae/train/loss.hpp\""}},
      {"include/rae/error.hpp", {"#include \"rae/core/shape.hpp\""}},
      {"src/helpers/x.cpp", {}}};
  EXPECT_EQ(wrong_directions(bad).size(), bad.size()) << joined(wrong_directions(bad));
  const std::vector<SourceFile> good = {
      {"include/rae/rae.hpp", {"#include \"rae/train/loss.hpp\""}},
      {"src/tool/main.cpp", {"#include \"rae/train/loss.hpp\""}},
      {"include/rae/train/loss.hpp",
       {"#include \"rae/models/dit.hpp\"", "#include \"rae/error.hpp\""}},
      {"src/train/recipe.cpp", {"#include \"rae/formats/bundle.hpp\""}},
      {"src/nn/linear.cpp",
       {"#include \"nn/linear_impl.hpp\"", "// #include \"rae/train/loss.hpp\""}}};
  EXPECT_EQ(joined(wrong_directions(good)), "");
}

TEST(IncludeRules, FindCircles) {
  EXPECT_EQ(joined(circles({{"include/rae/a.hpp", {"#include \"rae/b.hpp\""}},
                            {"include/rae/b.hpp", {"#include \"rae/a.hpp\""}}})),
            "rae/a.hpp -> rae/b.hpp -> rae/a.hpp\n");
  EXPECT_EQ(joined(circles({{"src/io/a.hpp", {"#include \"io/b.hpp\"", "#include \"io/c.hpp\""}},
                            {"src/io/b.hpp", {"#include \"io/c.hpp\""}}})),
            "");
}

TEST(IncludeRules, FindThirdPartyHeaders) {
  const std::vector<SourceFile> bad = {{"include/rae/a.hpp", {"#include <Eigen/Core>"}},
                                       {"include/rae/b.hpp", {"#include <zlib.h>"}},
                                       {"include/rae/c.hpp", {"#include \"yaml-cpp/yaml.h\""}},
                                       {"include/rae/core/shape.hpp", {"#include <omp.h>"}}};
  EXPECT_EQ(foreign_includes(bad).size(), bad.size());
  EXPECT_TRUE(foreign_includes({{"include/rae/interop/eigen.hpp", {"#include <Eigen/Core>"}},
                                {"include/rae/d.hpp", {"#include <vector>"}}})
                  .empty());
}

}  // namespace
}  // namespace rae::test
