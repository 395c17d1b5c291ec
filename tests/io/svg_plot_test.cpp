#include "rae/io/svg_plot.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/xml.hpp"

namespace rae::test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(),
                 kInf = std::numeric_limits<double>::infinity();

/// A plot of one panel with these series.
Plot plot_of(std::vector<PlotSeries> series, PlotAxis x = {}, PlotAxis y = {}) {
  Plot plot;
  plot.title = "A plot";
  plot.panels.resize(1);
  plot.panels[0].series = std::move(series);
  plot.panels[0].x = std::move(x);
  plot.panels[0].y = std::move(y);
  return plot;
}

PlotSeries series_of(std::vector<double> x, std::vector<double> y, std::string name = "") {
  PlotSeries out;
  out.x = std::move(x);
  out.y = std::move(y);
  out.name = std::move(name);
  return out;
}

/// The numbers in "x,y x,y".
std::vector<double> numbers(std::string text) {
  std::replace(text.begin(), text.end(), ',', ' ');
  std::vector<double> out;
  for (const char* at = text.c_str();;) {
    char* end = nullptr;
    const double value = std::strtod(at, &end);
    if (end == at) return out;
    out.push_back(value);
    at = end;
  }
}

/// The frame of a panel: left, top, width, height.
std::vector<double> frame_of(const XmlElement& svg, std::size_t panel = 0) {
  const XmlElement& frame = *svg.all_of_class("plot-frame").at(panel);
  return {frame.number("x"), frame.number("y"), frame.number("width"), frame.number("height")};
}

TEST(SvgPlot, PointsAreWhereTheAxesSay) {
  PlotAxis x, y;
  x.low = 0, x.high = 10;
  y.scale = PlotScale::log, y.low = 0.01, y.high = 100;
  const XmlElement svg =
      parse_xml(svg_plot(plot_of({series_of({0, 5, 10}, {0.01, 1, 100})}, x, y)));
  const std::vector<double> f = frame_of(svg);
  const std::vector<double> line = numbers(svg.all("polyline").at(0)->attribute("points"));
  const std::vector<double> expected{f[0],        f[1] + f[3], f[0] + f[2] / 2, f[1] + f[3] / 2,
                                     f[0] + f[2], f[1]};
  ASSERT_EQ(line.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(line[i], expected[i], 0.011) << i;
  const auto circles = svg.all("circle");
  ASSERT_EQ(circles.size(), 3u);
  EXPECT_NEAR(circles[1]->number("cx"), f[0] + f[2] / 2, 0.011);
  EXPECT_NEAR(circles[1]->number("cy"), f[1] + f[3] / 2, 0.011);
  EXPECT_EQ(circles[1]->all("title").at(0)->text, "5: 1");
  // The labels of the ticks are at the positions of their values.
  for (const XmlElement* text : svg.all("text")) {
    if (text->attribute("text-anchor") == "middle" && text->text == "2") {
      EXPECT_NEAR(text->number("x"), f[0] + f[2] / 5, 0.011);
    }
    if (text->attribute("text-anchor") == "end" && text->text == "10") {
      EXPECT_NEAR(text->number("y"), f[1] + f[3] / 4 + 4, 0.011);
    }
  }
}

TEST(SvgPlot, TheRangeIncludesDataSpreadAndMargin) {
  PlotSeries series = series_of({1, 2}, {3, 4});
  series.low = {-6, 3};
  series.high = {3, 14};
  const XmlElement svg = parse_xml(svg_plot(plot_of({series})));
  const std::vector<double> f = frame_of(svg);
  // x: [1, 2] with 3 % at each end; y: [-6, 14] with 5 %.
  const auto circles = svg.all("circle");
  EXPECT_NEAR(circles.at(0)->number("cx"), f[0] + f[2] * 0.03 / 1.06, 0.011);
  EXPECT_NEAR(circles.at(0)->number("cy"), f[1] + f[3] * (15.0 - 3) / 22, 0.011);
  EXPECT_EQ(svg.all_of_class("plot-bar").size(), 2u);
  series.band = true;
  EXPECT_EQ(parse_xml(svg_plot(plot_of({series}))).all_of_class("plot-band").size(), 1u);
}

TEST(SvgPlot, NumbersThatAreNotFiniteInterruptTheLine) {
  const XmlElement svg = parse_xml(svg_plot(
      plot_of({series_of({0, 1, 2, 3, 4, kNan, 6, 7}, {0, 1, kNan, 3, 4, 5, kInf, 1e250})})));
  EXPECT_EQ(svg.all("polyline").size(), 2u);
  EXPECT_EQ(svg.all("circle").size(), 4u);
  // A log axis leaves out what is not positive.
  PlotAxis log;
  log.scale = PlotScale::log;
  const XmlElement logarithmic =
      parse_xml(svg_plot(plot_of({series_of({1, 2, 3, 4}, {1, 0, -1, 10})}, {}, log)));
  EXPECT_TRUE(logarithmic.all("polyline").empty());
  EXPECT_EQ(logarithmic.all("circle").size(), 2u);
}

TEST(SvgPlot, WithoutDataThePanelSaysSo) {
  for (const std::vector<PlotSeries>& none :
       {std::vector<PlotSeries>{}, {series_of({}, {})}, {series_of({1}, {kNan})}}) {
    const std::string page = svg_plot(plot_of(none));
    EXPECT_NE(page.find(">no data<"), std::string::npos);
    EXPECT_EQ(page.find("nan"), std::string::npos);
    (void)parse_xml(page);
  }
  // One value, equal values, and values that differ by rounding errors have a range.
  for (const std::vector<double>& y : {std::vector<double>{5, 5}, {0, 0}, {1, 1 + 1e-15}}) {
    const XmlElement svg = parse_xml(svg_plot(plot_of({series_of({2, 2}, y)})));
    EXPECT_EQ(svg.all("circle").size(), 2u);
  }
}

TEST(SvgPlot, LinesEndAtTheFrame) {
  PlotAxis y;
  y.low = 0, y.high = 1;
  const XmlElement svg =
      parse_xml(svg_plot(plot_of({series_of({0, 1, 2}, {0.5, 2.5, 0.5})}, {}, y)));
  const std::vector<double> f = frame_of(svg);
  ASSERT_EQ(svg.all("polyline").size(), 2u);
  const std::vector<double> first = numbers(svg.all("polyline")[0]->attribute("points"));
  EXPECT_NEAR(first[3], f[1], 0.011);
  EXPECT_NEAR((first[2] - first[0]) / f[2], 0.25 / 2.12, 1e-3);
  EXPECT_EQ(svg.all("circle").size(), 2u);
}

TEST(SvgPlot, WordsAreEscaped) {
  Plot plot = plot_of({series_of({1}, {1}, "<b> & \"c\""), series_of({2}, {1}, "\x01\xff")});
  plot.title = "a < b & c > d \"e\"";
  plot.description = "</desc><script>alert(1)</script>";
  plot.panels[0].title = "]]>";
  plot.panels[0].series[0].labels = {"<i>"};
  const std::string page = svg_plot(plot);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  const XmlElement svg = parse_xml(page);
  EXPECT_EQ(svg.attribute("role"), "img");
  EXPECT_EQ(svg.attribute("aria-label"), plot.title);
  EXPECT_EQ(svg.children.at(0).name, "title");
  EXPECT_EQ(svg.children.at(0).text, plot.title);
  EXPECT_EQ(svg.all("desc").at(0)->text, plot.description);
  const auto texts = svg.all("text");
  const auto has = [&](const std::string& words) {
    return std::any_of(texts.begin(), texts.end(),
                       [&](const XmlElement* t) { return t->text == words; });
  };
  EXPECT_TRUE(has("<b> & \"c\""));
  EXPECT_TRUE(has("\xef\xbf\xbd\xef\xbf\xbd"));
  EXPECT_TRUE(has("]]>"));
  EXPECT_TRUE(has("<i>"));
}

TEST(SvgPlot, ALegendListsEachNameOnceAboveThePanels) {
  Plot plot = plot_of({series_of({1, 2}, {1, 2}, "first"), series_of({1, 2}, {2, 1}, "second")});
  plot.panels.push_back(plot.panels[0]);
  std::swap(plot.panels[1].series[0], plot.panels[1].series[1]);
  plot.columns = 2;
  const XmlElement svg = parse_xml(svg_plot(plot));
  std::vector<const XmlElement*> entries;
  for (const XmlElement* text : svg.all("text"))
    if (text->text == "first" || text->text == "second") entries.push_back(text);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_GT(entries[1]->number("x"), entries[0]->number("x") + 5 * 6 + 22);
  for (std::size_t panel = 0; panel < 2; ++panel) {
    EXPECT_GT(frame_of(svg, panel)[1], entries[1]->number("y"));
  }
  const auto lines = svg.all("polyline");
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0]->attribute("class"), lines[3]->attribute("class"));
  EXPECT_NE(lines[0]->attribute("class"), lines[1]->attribute("class"));
  // Many long names are in several rows, none of which leaves the picture.
  plot.panels.resize(1);
  plot.panels[0].series.clear();
  for (int i = 0; i < 12; ++i)
    plot.panels[0].series.push_back(
        series_of({1}, {1.0 * i}, "a series with a long name, number " + std::to_string(i)));
  const XmlElement many = parse_xml(svg_plot(plot));
  for (const XmlElement* text : many.all("text"))
    if (text->text.rfind("a series", 0) == 0) {
      EXPECT_LT(text->number("x") + 6.0 * static_cast<double>(text->text.size()),
                many.number("width"));
    }
}

TEST(SvgPlot, PicturesAreEmbedded) {
  Plot plot = plot_of({});
  plot.panels[0].picture = Image(8, 4, 3, 200);
  const XmlElement svg = parse_xml(svg_plot(plot));
  const XmlElement& image = *svg.all("image").at(0);
  EXPECT_EQ(image.attribute("href").substr(0, 33), "data:image/png;base64,iVBORw0KGgo");
  EXPECT_EQ(image.number("width"), 2 * image.number("height"));
  EXPECT_EQ(std::fmod(image.number("width"), 8), 0);
  EXPECT_TRUE(svg.all_of_class("plot-frame").empty());
}

TEST(SvgPlot, TicksAreRound) {
  using Values = std::vector<double>;
  EXPECT_EQ(plot_ticks(0, 10, PlotScale::linear), (Values{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(plot_ticks(-1, 1, PlotScale::linear, 5), (Values{-1, -0.5, 0, 0.5, 1}));
  EXPECT_EQ(plot_ticks(1e-4, 1, PlotScale::log), (Values{1e-4, 1e-3, 1e-2, 1e-1, 1}));
  EXPECT_EQ(plot_ticks(3, 300, PlotScale::log), (Values{5, 10, 20, 50, 100, 200}));
  EXPECT_EQ(plot_ticks(1e-12, 1, PlotScale::log, 5), (Values{1e-12, 1e-9, 1e-6, 1e-3, 1}));
  EXPECT_EQ(plot_ticks(0.31, 0.36, PlotScale::log).size(), 6u);
  for (const auto& [low, high] : {std::pair{0.0, 1e-30}, {1e15, 1e15 + 0.25}, {-1e199, 1e199}}) {
    const Values ticks = plot_ticks(low, high, PlotScale::linear);
    EXPECT_LE(ticks.size(), 6u);
    for (const double tick : ticks) EXPECT_TRUE(tick >= low && tick <= high * (1 + 1e-9)) << tick;
  }
  // Labels have as many digits as tell them apart.
  PlotAxis y;
  y.low = 0.99990, y.high = 1.00012;
  const std::string page = svg_plot(plot_of({series_of({0, 1}, {1, 1})}, {}, y));
  for (const char* label : {">0.99990<", ">1.00000<", ">1.00010<"})
    EXPECT_NE(page.find(label), std::string::npos) << label << page;
  PlotAxis x;
  x.ticks = {{32, "32"}, {64, ""}, {1e9, "outside"}};
  const std::string named = svg_plot(plot_of({series_of({32, 64}, {1, 2})}, x));
  EXPECT_NE(named.find(">64<"), std::string::npos);
  EXPECT_EQ(named.find("outside"), std::string::npos);
}

TEST(SvgPlot, RefusesPlotsThatCannotBeDrawn) {
  EXPECT_THROW((void)svg_plot({}), ArgumentError);
  Plot plot = plot_of({series_of({1, 2}, {1})});
  EXPECT_THROW((void)svg_plot(plot), ArgumentError);
  plot = plot_of({series_of({1}, {1})});
  plot.panels[0].series[0].low = {0};
  EXPECT_THROW((void)svg_plot(plot), ArgumentError);
  plot = plot_of({series_of({1}, {1})});
  plot.columns = 0;
  EXPECT_THROW((void)svg_plot(plot), ArgumentError);
  for (const auto& [low, high] : {std::pair{1.0, 1.0}, {2.0, 1.0}, {kNan, 1.0}, {0.0, kInf}}) {
    PlotAxis axis;
    axis.low = low, axis.high = high;
    EXPECT_THROW((void)svg_plot(plot_of({series_of({1}, {1})}, axis)), ArgumentError);
  }
  PlotAxis log;
  log.scale = PlotScale::log, log.low = 0.0, log.high = 1.0;
  EXPECT_THROW((void)svg_plot(plot_of({series_of({1}, {1})}, log)), ArgumentError);
  EXPECT_THROW((void)plot_ticks(0, 1, PlotScale::linear, 1), ArgumentError);
  try {
    (void)svg_plot(plot_of({series_of({1, 2}, {1}, "loss")}));
    FAIL();
  } catch (const ArgumentError& error) {
    EXPECT_NE(std::string(error.what()).find("'loss': expected 2 values of y"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace rae::test
