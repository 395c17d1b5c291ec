// Compares the library with its peers on one product. Every round measures the machine's peak and
// then each candidate, so that all are affected alike when the speed of the machine changes.
#pragma once

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "bench/arguments.hpp"
#include "tool/peak.hpp"

namespace rae::bench {

/// The copies of a weight have this many bytes in total and are used in turn, so that weights are
/// not in the cache, as in a deep model.
inline constexpr index_t kColdBytes = index_t{96} << 20;
inline constexpr double kSampleSeconds = 0.02;

struct Candidate {
  std::string name;
  bool ours;
  std::function<void(std::size_t copy)> run;
  std::vector<double> rates{}, fractions{},
      ratios{};  // per round: work per second, fraction of the peak, our best rate / this
};

class Contest {
 public:
  /// A product m x n x k whose weight exists in `copies`; rates are in operations per second,
  /// limited by the peak of the type.
  Contest(DType type, int threads, index_t m, index_t n, index_t k, std::size_t copies)
      : Contest(type, threads, 2.0 * static_cast<double>(m * n * k), copies,
                [type, threads] { return rae::bench::peak(type, threads); }) {}

  /// `work` in any unit per run; `limit` measures the most that the machine can do of it per
  /// second.
  Contest(DType type, int threads, double work, std::size_t copies, std::function<double()> limit)
      : type_(type), threads_(threads), work_(work), copies_(copies), limit_(std::move(limit)) {}

  void ours(std::string name, std::function<void(std::size_t)> run) {
    candidates_.push_back({std::move(name), true, std::move(run)});
  }
  void peer(std::string name, std::function<void(std::size_t)> run) {
    candidates_.push_back({std::move(name), false, std::move(run)});
  }

  void run(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      peaks_.push_back(limit_());
      double best = 0;
      for (Candidate& each : candidates_) {
        each.rates.push_back(rate(each));
        each.fractions.push_back(each.rates.back() / peaks_.back());
        if (each.ours) best = std::max(best, each.rates.back());
      }
      for (Candidate& each : candidates_) each.ratios.push_back(best / each.rates.back());
    }
  }

  /// Prints medians: giga-operations or gigabytes per second, the fraction of the peak and, for a
  /// peer, how many times faster our best is.
  void print(const std::string& name) const {
    std::printf("%-26s peak %5.0f", name.c_str(), median(peaks_) / 1e9);
    for (const Candidate& each : candidates_) {
      std::printf("   %s %5.0f (%.2f)", each.name.c_str(), median(each.rates) / 1e9,
                  median(each.fractions));
      if (!each.ours) std::printf(" x%.2f", median(each.ratios));
    }
    std::printf("\n");
    std::fflush(stdout);
  }

  [[nodiscard]] nlohmann::ordered_json record(const std::string& name) const {
    nlohmann::ordered_json out{
        {"line", name}, {"dtype", name_of(type_)}, {"threads", threads_}, {"peak", median(peaks_)}};
    for (const Candidate& each : candidates_)
      out["candidates"].push_back({{"name", each.name},
                                   {"ours", each.ours},
                                   {"rate", median(each.rates)},
                                   {"fraction", median(each.fractions)},
                                   {"ours_over_it", median(each.ratios)}});
    return out;
  }

  [[nodiscard]] const std::vector<Candidate>& candidates() const { return candidates_; }

 private:
  double rate(const Candidate& candidate) const {
    candidate.run(0);
    std::size_t count = 0;
    double elapsed = 0;
    for (const double start = seconds(); elapsed < kSampleSeconds; elapsed = seconds() - start)
      candidate.run(++count % copies_);
    return work_ * static_cast<double>(count) / elapsed;
  }

  DType type_;
  int threads_;
  double work_;
  std::size_t copies_;
  std::function<double()> limit_;
  std::vector<Candidate> candidates_;
  std::vector<double> peaks_;
};

/// Means over the lines of a table, printed after it.
class Means {
 public:
  void add(const Contest& contest) {
    for (const Candidate& each : contest.candidates()) {
      auto found = std::find_if(sums_.begin(), sums_.end(),
                                [&](const Sum& s) { return s.name == each.name; });
      if (found == sums_.end()) found = sums_.insert(sums_.end(), {each.name, each.ours});
      ++found->lines;
      found->fraction += median(each.fractions);
      found->ratio += median(each.ratios);
    }
  }

  void print(const std::string& name) const {
    if (sums_.empty()) return;
    std::printf("%-26s   mean    ", name.c_str());
    for (const Sum& sum : sums_) {
      std::printf("   %s %.3f", sum.name.c_str(), sum.fraction / sum.lines);
      if (!sum.ours) std::printf(" x%.3f", sum.ratio / sum.lines);
    }
    std::printf("\n\n");
  }

 private:
  struct Sum {
    std::string name;
    bool ours;
    int lines = 0;
    double fraction = 0, ratio = 0;
  };
  std::vector<Sum> sums_;
};

}  // namespace rae::bench
