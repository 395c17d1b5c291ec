#include "io/plot_axis.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace rae {
namespace {

/// `value` with this many digits after the point, without a negative zero.
std::string fixed_number(double value, int decimals) {
  char text[400];
  const auto end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, decimals);
  std::string out(text, end.ptr);
  if (out.find_first_not_of("-0.") == std::string::npos && out[0] == '-') out.erase(0, 1);
  return out;
}

/// `value` as "1.5e7" with at most so many digits after the point.
std::string scientific_number(double value, int digits) {
  char text[60];
  const auto end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::scientific, digits);
  const std::string all(text, end.ptr);
  const std::size_t e = all.find('e');
  std::string mantissa = all.substr(0, e);
  if (digits > 0) mantissa.erase(mantissa.find_last_not_of('0') + 1);
  if (mantissa.back() == '.') mantissa.pop_back();
  return mantissa + "e" + std::to_string(std::stoi(all.substr(e + 1)));
}

/// The smallest step of 1, 2 or 5 times a power of ten for which [low, high] has at most `most`
/// multiples.
double tick_step(double low, double high, index_t most) {
  const double raw = (high - low) / static_cast<double>(most);
  for (double power = std::max(1e-290, std::pow(10.0, std::floor(std::log10(raw))));; power *= 10)
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double step = factor * power;
      const double count = std::floor(high / step + 1e-9) - std::ceil(low / step - 1e-9) + 1;
      if (step > raw * 0.999 && count <= static_cast<double>(most)) return step;
    }
}

std::vector<double> linear_ticks(double low, double high, index_t most) {
  const double step = tick_step(low, high, most), first = std::ceil(low / step - 1e-9);
  std::vector<double> out;
  for (index_t i = 0; i < most; ++i) {
    const double value = (first + static_cast<double>(i)) * step;
    if (value > high + 1e-9 * step) break;
    out.push_back(value);
  }
  return out;
}

/// The values factor * 10^k in [low, high] for these factors, every `stride`-th power only.
std::vector<double> power_ticks(double low, double high, std::initializer_list<double> factors,
                                int stride) {
  std::vector<double> out;
  const int first = static_cast<int>(std::floor(std::log10(low))),
            last = static_cast<int>(std::ceil(std::log10(high)));
  for (int k = first; k <= last; ++k) {
    if (k % stride != 0) continue;
    for (const double factor : factors) {
      // Division by an exact power gives the double that is nearest to 0.001.
      const double power = std::pow(10.0, std::abs(k));
      const double value = k < 0 ? factor / power : factor * power;
      if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) out.push_back(value);
    }
  }
  return out;
}

void require_ends(const std::string& where, double low, double high, PlotScale scale) {
  if (!std::isfinite(low) || !std::isfinite(high) || !(low < high) ||
      (scale == PlotScale::log && low <= 0))
    raise<ArgumentError>(where, ": expected ascending", scale == PlotScale::log ? " positive" : "",
                         " ends, got ", low, " and ", high);
}

}  // namespace

namespace detail {

bool can_be_shown(double value, PlotScale scale) noexcept {
  return std::isfinite(value) && std::abs(value) < 1e200 &&
         (scale == PlotScale::linear || value > 1e-200);
}

PlotRange::PlotRange(const PlotAxis& axis, const std::vector<double>& values, double margin,
                     const std::string& where)
    : scale_(axis.scale) {
  const bool log = scale_ == PlotScale::log;
  bool any = false;
  for (const double value : values) {
    if (!can_be_shown(value, scale_)) continue;
    low_ = any ? std::min(low_, value) : value;
    high_ = any ? std::max(high_, value) : value;
    any = true;
  }
  known_ = any || (axis.low && axis.high);
  if (!any) {
    low_ = axis.low.value_or(axis.high ? (log ? *axis.high / 10 : *axis.high - 1) : (log ? 1 : 0));
    high_ = axis.high.value_or(log ? low_ * 10 : low_ + 1);
  }
  // A range without extent, but for rounding errors, is widened.
  if (log ? high_ / low_ < 1 + 1e-9
          : high_ - low_ <= 1e-9 * std::max(std::abs(low_), std::abs(high_))) {
    const double half = std::abs(high_) / 10;
    if (log) {
      low_ /= 2;
      high_ *= 2;
    } else {
      low_ -= half > 0 ? half : 1;
      high_ += half > 0 ? half : 1;
    }
  }
  const double space = margin * (log ? std::log(high_ / low_) : high_ - low_);
  low_ = log ? low_ * std::exp(-space) : low_ - space;
  high_ = log ? high_ * std::exp(space) : high_ + space;
  if (axis.low) low_ = *axis.low;
  if (axis.high) high_ = *axis.high;
  // All values may be on one side of the only end that is given.
  if (axis.low && !axis.high && !(low_ < high_)) high_ = log ? low_ * 10 : low_ + 1;
  if (axis.high && !axis.low && !(low_ < high_)) low_ = log ? high_ / 10 : high_ - 1;
  require_ends(where, low_, high_, scale_);
}

double PlotRange::position(double value) const noexcept {
  if (scale_ == PlotScale::log) return std::log(value / low_) / std::log(high_ / low_);
  return (value - low_) / (high_ - low_);
}

std::vector<std::pair<double, std::string>> labelled_ticks(const PlotAxis& axis,
                                                           const PlotRange& range, index_t most) {
  std::vector<std::pair<double, std::string>> out;
  const auto inside = [&](double value) {
    return can_be_shown(value, axis.scale) && range.position(value) > -1e-9 &&
           range.position(value) < 1 + 1e-9;
  };
  for (const auto& [value, label] : axis.ticks)
    if (inside(value)) out.emplace_back(value, label.empty() ? short_number(value) : label);
  if (!axis.ticks.empty()) return out;

  const std::vector<double> values = plot_ticks(range.low(), range.high(), axis.scale, most);
  double largest = 0, step = 0;  // distance of the closest two
  for (std::size_t i = 0; i < values.size(); ++i) {
    largest = std::max(largest, std::abs(values[i]));
    if (i > 0) step = i == 1 ? values[1] - values[0] : std::min(step, values[i] - values[i - 1]);
  }
  if (axis.scale == PlotScale::log || !(step > 0)) {
    for (const double value : values) out.emplace_back(value, short_number(value));
    return out;
  }
  // As many digits as the step needs.
  const int last_digit = static_cast<int>(std::floor(std::log10(step) + 1e-9)),
            first_digit = static_cast<int>(std::floor(std::log10(largest) + 1e-9));
  const bool scientific = largest >= 1e6 || largest < 1e-3;
  for (const double value : values) {
    std::string label = scientific
                            ? scientific_number(value, std::clamp(first_digit - last_digit, 0, 15))
                            : fixed_number(value, std::clamp(-last_digit, 0, 15));
    out.emplace_back(value, std::abs(value) < step / 2 ? "0" : std::move(label));
  }
  return out;
}

std::string short_number(double value) {
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size >= 1e6 || size < 1e-3) return scientific_number(value, 3);
  const int decimals = std::clamp(3 - static_cast<int>(std::floor(std::log10(size))), 0, 6);
  std::string out = fixed_number(value, decimals);
  if (out.find('.') != std::string::npos) {
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.') out.pop_back();
  }
  return out;
}

}  // namespace detail

std::vector<double> plot_ticks(double low, double high, PlotScale scale, index_t most) {
  require_ends("plot_ticks", low, high, scale);
  if (most < 2) raise<ArgumentError>("plot_ticks: expected at least 2 ticks, got ", most);
  if (scale == PlotScale::linear) return linear_ticks(low, high, most);
  const std::size_t limit = static_cast<std::size_t>(most);
  std::vector<double> fine = power_ticks(low, high, {1, 2, 5}, 1);
  if (fine.size() >= 2 && fine.size() <= limit) return fine;
  if (fine.size() < 2) return linear_ticks(low, high, most);
  for (int stride = 1;; ++stride) {
    std::vector<double> powers = power_ticks(low, high, {1}, stride);
    if (powers.size() <= limit) return powers.size() >= 2 ? powers : linear_ticks(low, high, most);
  }
}

}  // namespace rae
