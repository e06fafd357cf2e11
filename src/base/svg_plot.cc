#include "base/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace planeloom {
namespace {

constexpr double kWidth = 680, kHeight = 400, kLeft = 70, kRight = 20, kTop = 40, kBottom = 55;
constexpr const char* kColours[] = {"#2a6fdb", "#d1495b", "#2e933c", "#8e44ad", "#e08e0b", "#0f8b8d", "#6b4226", "#555555"};

/// One axis: data -> 0..1, with ticks.
struct Axis {
  bool logarithmic = false;
  double low = 0, high = 1;  // log10 of the data when logarithmic
  std::vector<double> ticks;

  bool draws(double v) const { return std::isfinite(v) && (!logarithmic || v > 0); }
  double place(double v) const { return ((logarithmic ? std::log10(v) : v) - low) / (high - low); }
};

Axis make_axis(bool logarithmic, const std::vector<double>& values) {
  Axis axis;
  axis.logarithmic = logarithmic;
  bool any = false;
  for (double v : values) {
    if (!axis.draws(v)) continue;
    const double t = logarithmic ? std::log10(v) : v;
    axis.low = any ? std::min(axis.low, t) : t;
    axis.high = any ? std::max(axis.high, t) : t;
    any = true;
  }
  if (!any) axis.low = 0, axis.high = 1;
  const double span = axis.high - axis.low, pad = span > 0 ? 0.06 * span : std::max(0.5, std::fabs(axis.low) * 0.1);
  axis.low -= pad;
  axis.high += pad;
  if (logarithmic && axis.high - axis.low > 0.9) {
    const bool fine = axis.high - axis.low < 2.5;
    for (double d = std::floor(axis.low); d <= axis.high && axis.ticks.size() < 60; ++d)
      for (double m : {1.0, 2.0, 5.0})
        if ((fine || m == 1.0) && d + std::log10(m) >= axis.low && d + std::log10(m) <= axis.high) axis.ticks.push_back(m * std::pow(10.0, d));
    return axis;
  }
  const double low = logarithmic ? std::pow(10, axis.low) : axis.low, high = logarithmic ? std::pow(10, axis.high) : axis.high;
  const double raw = (high - low) / 6, magnitude = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * magnitude;
  for (double m : {5.0, 2.0, 1.0})
    if (m * magnitude >= raw) step = m * magnitude;
  for (double t = std::ceil(low / step) * step; t <= high && axis.ticks.size() < 60; t += step) axis.ticks.push_back(std::fabs(t) < step * 1e-9 ? 0.0 : t);
  return axis;
}

double pixel_x(const Axis& a, double v) { return kLeft + a.place(v) * (kWidth - kLeft - kRight); }
double pixel_y(const Axis& a, double v) { return kHeight - kBottom - a.place(v) * (kHeight - kTop - kBottom); }

std::string text(double x, double y, std::string_view anchor, std::string_view words, std::string_view more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more, escape_xml(words));
}

std::string draw_axes(const Plot& plot, const Axis& x, const Axis& y) {
  std::string out;
  for (double t : x.ticks) {
    const double p = pixel_x(x, t);
    out += fmt::format("<line class=\"grid\" x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\"/>\n", p, kTop, kHeight - kBottom);
    out += text(p, kHeight - kBottom + 18, "middle", fmt::format("{:.4g}", t));
  }
  for (double t : y.ticks) {
    const double p = pixel_y(y, t);
    out += fmt::format("<line class=\"grid\" x1=\"{1:.1f}\" y1=\"{0:.1f}\" x2=\"{2:.1f}\" y2=\"{0:.1f}\"/>\n", p, kLeft, kWidth - kRight);
    out += text(kLeft - 8, p + 4, "end", fmt::format("{:.4g}", t));
  }
  out += fmt::format("<path class=\"axis\" d=\"M{0:.1f} {1:.1f}V{2:.1f}H{3:.1f}\"/>\n", kLeft, kTop, kHeight - kBottom, kWidth - kRight);
  out += text(kWidth / 2, 22, "middle", plot.title, " class=\"title\"");
  out += text((kLeft + kWidth - kRight) / 2, kHeight - 12, "middle", plot.x_label);
  return out + text(16, (kTop + kHeight - kBottom) / 2, "middle", plot.y_label,
                    fmt::format(" transform=\"rotate(-90 16 {:.1f})\"", (kTop + kHeight - kBottom) / 2));
}

std::string draw_series(const Series& series, const Axis& x, const Axis& y, const char* colour) {
  std::string out, path;
  for (const PlotPoint& p : series.points) {
    if (!x.draws(p.x) || !y.draws(p.y)) continue;
    const double px = pixel_x(x, p.x), py = pixel_y(y, p.y);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", px, py);
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\"/>\n", px, py, colour);
    const bool left = px > kWidth - 150;  // labels stay inside
    if (!p.label.empty()) out += text(left ? px - 7 : px + 7, py - 7, left ? "end" : "start", p.label);
  }
  if (series.line && !path.empty()) out = fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n", path, colour) + out;
  return out;
}

}  // namespace

std::string escape_xml(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

std::string svg_plot(const Plot& plot) {
  std::vector<double> xs, ys;
  for (const Series& s : plot.series)
    for (const PlotPoint& p : s.points) {
      xs.push_back(p.x);
      ys.push_back(p.y);
    }
  const Axis x = make_axis(plot.log_x, xs), y = make_axis(plot.log_y, ys);
  std::string out = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\" fill=\"currentColor\">\n"
                                "<style>.grid{{stroke:currentColor;opacity:.15}}.axis{{stroke:currentColor;fill:none}}.title{{font-weight:bold;font-size:14px}}</style>\n",
                                kWidth, kHeight);
  out += draw_axes(plot, x, y);
  double legend = kTop + 14;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const char* colour = kColours[i % std::size(kColours)];
    out += draw_series(plot.series[i], x, y, colour);
    if (plot.series.size() < 2 || plot.series[i].name.empty()) continue;
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"10\" height=\"10\" fill=\"{}\"/>\n", kWidth - kRight - 150, legend - 9, colour);
    out += text(kWidth - kRight - 135, legend, "start", plot.series[i].name);
    legend += 18;
  }
  return out + "</svg>\n";
}

}  // namespace planeloom
