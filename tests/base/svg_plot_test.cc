#include "base/svg_plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <regex>

namespace planeloom {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();

/// The numbers that a pattern with one group captures.
std::vector<double> numbers(const std::string& svg, const std::string& pattern) {
  const std::regex expression(pattern);
  std::vector<double> out;
  for (std::sregex_iterator it(svg.begin(), svg.end(), expression), end; it != end; ++it)
    out.push_back(std::stod((*it)[1]));
  return out;
}
std::vector<double> circle_x(const std::string& svg) {
  return numbers(svg, "<circle cx=\"([^\"]*)\"");
}
std::vector<double> circle_y(const std::string& svg) {
  return numbers(svg, "<circle cx=\"[^\"]*\" cy=\"([^\"]*)\"");
}

Plot plot_of(std::vector<PlotPoint> points, bool log_x = false, bool log_y = false) {
  return {"title", "x", "y", log_x, log_y, {{"", std::move(points), true}}};
}

TEST(SvgPlot, PointsLieInProportion) {
  const std::string svg = svg_plot(plot_of({{0, 0, ""}, {1, 10, ""}, {4, 40, ""}}));
  const auto x = circle_x(svg), y = circle_y(svg);
  ASSERT_EQ(x.size(), 3u);
  EXPECT_NEAR((x[1] - x[0]) / (x[2] - x[0]), 0.25, 1e-3);
  EXPECT_NEAR((y[1] - y[0]) / (y[2] - y[0]), 0.25, 1e-3);
  EXPECT_GT(y[0], y[2]) << "larger is higher";
  EXPECT_NE(svg.find("<path d=\"M"), std::string::npos);
}

TEST(SvgPlot, LogarithmicAxes) {
  const auto y = circle_y(svg_plot(plot_of(
      {{1, 1e-4, ""}, {2, 1e-3, ""}, {3, 1e-1, ""}, {4, 0, ""}, {5, -1, ""}}, false, true)));
  ASSERT_EQ(y.size(), 3u) << "what is not positive is left out";
  EXPECT_NEAR((y[1] - y[0]) / (y[2] - y[0]), 1.0 / 3, 1e-3);
}

TEST(SvgPlot, TicksAreRoundAndDistinct) {
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{
           {0, 1}, {1e6, 1e6 + 3}, {-5, 3000}, {1e-7, 3e-7}, {1.5, 1.5}}) {
    const std::string svg = svg_plot(plot_of({{low, 0, ""}, {high, 1, ""}}));
    const auto ticks = numbers(svg, "text-anchor=\"middle\">([-+.e0-9]+)</text>");
    ASSERT_GE(ticks.size(), 2u) << low;
    for (size_t i = 1; i < ticks.size(); ++i) EXPECT_GT(ticks[i], ticks[i - 1]) << svg;
  }
  const auto decades = numbers(svg_plot(plot_of({{1e-90, 1, ""}, {1e90, 2, ""}}, true)),
                               "text-anchor=\"middle\">([-+.e0-9]+)</text>");
  EXPECT_GE(decades.size(), 3u);
  EXPECT_LE(decades.size(), 12u);
}

TEST(SvgPlot, NothingHostileBreaksIt) {
  const std::vector<PlotPoint> points{{kNan, 1, ""},
                                      {1, kInf, ""},
                                      {-kInf, 1, ""},
                                      {1e308, -1e308, ""},
                                      {0, 0, "", kNan},
                                      {1e99, 1, "", kInf},
                                      {5e-324, 5e-324, "", 1e300}};
  for (const bool log : {false, true})
    for (size_t n = 0; n <= points.size(); ++n) {
      const std::string svg =
          svg_plot(plot_of({points.begin(), points.begin() + static_cast<int64_t>(n)}, log, log));
      EXPECT_EQ(svg.find("nan"), std::string::npos) << svg;
      EXPECT_EQ(svg.find("inf"), std::string::npos) << svg;
      EXPECT_LT(svg.size(), 20000u);
    }
  EXPECT_NE(svg_plot({}).find("</svg>"), std::string::npos);
}

TEST(SvgPlot, ErrorBars) {
  const std::string svg = svg_plot(plot_of({{1, 10, "", 2}, {2, 20, "", 0}}));
  const auto y = circle_y(svg);
  const auto ends = numbers(svg, "<line stroke=[^>]* y1=\"([^\"]*)\"");
  ASSERT_EQ(ends.size(), 3u);  // the bar and its two caps
  const double unit = (y[0] - y[1]) / 10;
  EXPECT_NEAR(ends[1] - y[0], 2 * unit, 0.2);
  EXPECT_NEAR(y[0] - ends[2], 2 * unit, 0.2);
}

TEST(SvgPlot, ErrorBarsBelowZeroOnALogarithmicAxisEndAtTheEdge) {
  const std::string svg = svg_plot(plot_of({{1, 1, "", 2}, {2, 10, "", 0}}, false, true));
  for (const double end : numbers(svg, "<line stroke=[^>]* y1=\"([^\"]*)\"")) {
    EXPECT_GE(end, 40);
    EXPECT_LE(end, 345);
  }
}

TEST(SvgPlot, LegendForSeveralSeriesStandsBesideTheDrawing) {
  Plot plot = plot_of({{0, 0, ""}, {1, 1, ""}});
  plot.series[0].name = "first <one>";
  EXPECT_EQ(svg_plot(plot).find("<rect"), std::string::npos);
  plot.series.push_back({"second", {{2, 2, "label & text"}}, false});
  const std::string svg = svg_plot(plot);
  EXPECT_EQ(numbers(svg, "<rect x=\"([^\"]*)\"").size(), 2u);
  for (const double x : circle_x(svg)) EXPECT_LT(x, numbers(svg, "<rect x=\"([^\"]*)\"")[0]);
  EXPECT_NE(svg.find("first &lt;one&gt;"), std::string::npos);
  EXPECT_NE(svg.find("label &amp; text"), std::string::npos);
  EXPECT_EQ(svg, svg_plot(plot));
}

TEST(EscapeXml, MarkupControlAndBrokenBytes) {
  EXPECT_EQ(escape_xml("<a href=\"x\">&'</a>"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;");
  EXPECT_EQ(escape_xml(std::string_view("a\0b\x1b[31m\x7f\tc\n", 12)), "ab[31m\tc\n");
  EXPECT_EQ(escape_xml("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(escape_xml("\xff"), bad);
  EXPECT_EQ(escape_xml("\xc3("), bad + "(");
  EXPECT_EQ(escape_xml("\xe2\x82"), bad + bad);
  EXPECT_EQ(escape_xml("\xc0\x80"), bad + bad);                      // overlong
  EXPECT_EQ(escape_xml("\xed\xa0\x80"), bad + bad + bad);            // a surrogate
  EXPECT_EQ(escape_xml("\xf4\x90\x80\x80"), bad + bad + bad + bad);  // beyond U+10FFFF
}

}  // namespace
}  // namespace planeloom
