#include "frame/finding.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "rae/io/file.hpp"

namespace rae::experiments {
namespace {

namespace fs = std::filesystem;

std::string table_row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& cell : cells) out += " " + cell + " |";
  return out + "\n";
}

std::string command_of(const Options& options) {
  if (options.quick) return "sh examples/experiments/run.sh " + options.name + " --quick";
  return "sh examples/experiments/run.sh " + options.name + " --data DIR";
}

std::string section(const Options& options, const Finding& finding) {
  std::string out = "## " + finding.title + "\n\n" + wrapped(finding.claim) + "\n" +
                    wrapped(finding.measured) + "\n    " + command_of(options) + "\n\n" + "![" +
                    finding.plot.title + "](images/findings/" + options.name + ".svg)\n\n";
  out += table_row(finding.header);
  out += table_row(std::vector<std::string>(finding.header.size(), "---"));
  for (const std::vector<std::string>& row : finding.rows) out += table_row(row);
  return out + "\n" + wrapped(finding.conclusion);
}

}  // namespace

std::string wrapped(const std::string& text) {
  constexpr std::size_t kColumns = 100;
  std::string out, line;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    at = end + 1;
    if (word.empty()) continue;
    if (!line.empty() && line.size() + 1 + word.size() > kColumns) {
      out += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return out + line + (line.empty() ? "" : "\n");
}

std::string with_spread(const Spread& spread) {
  if (spread.count == 0) return "";
  if (spread.count == 1) return three_digits(spread.mean);
  return three_digits(spread.mean) + " ± " + three_digits(spread.deviation);
}

std::string three_digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string seeds_in_words(index_t count) {
  return count == 1 ? "one seed" : concat("mean and standard deviation of ", count, " seeds");
}

Compared compare(const Spread& a, const Spread& b) {
  if (a.high < b.low) return Compared::less;
  return b.high < a.low ? Compared::more : Compared::neither;
}

void write_finding(const Options& options, const Finding& finding) {
  const fs::path docs(options.docs), page = docs / "findings.md";
  const std::string begin = "<!-- experiment: " + options.name + " -->\n",
                    end = "<!-- /experiment -->\n";
  std::string text = "# Findings\n";
  if (fs::exists(page)) text = std::string(as_text(read_file(page.string())));
  const std::string now = begin + section(options, finding) + end;
  if (const std::size_t at = text.find(begin); at == std::string::npos) {
    text += "\n" + now;
  } else {
    const std::size_t last = text.find(end, at);
    if (last == std::string::npos)
      raise<FormatError>(page.string(), ": the section '", options.name, "' has no line ", end);
    text.replace(at, last + end.size() - at, now);
  }
  fs::create_directories(docs / "images/findings");
  write_file_atomically((docs / "images/findings" / (options.name + ".svg")).string(),
                        svg_plot(finding.plot));
  write_file_atomically(page.string(), text);
  std::printf("%s and %s.svg show the result\n", page.string().c_str(),
              (docs / "images/findings" / options.name).string().c_str());
}

}  // namespace rae::experiments
