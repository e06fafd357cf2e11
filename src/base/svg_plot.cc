#include "base/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace planeloom {
namespace {

constexpr double kWidth = 680, kHeight = 400, kLeft = 70, kRight = 20, kTop = 40, kBottom = 55;
constexpr double kLegend = 160;     // to the right of the drawing, where there is one
constexpr double kLargest = 1e100;  // spans of larger values would overflow
constexpr size_t kMaxTicks = 60;
constexpr const char* kColours[] = {"#2a6fdb", "#d1495b", "#2e933c", "#8e44ad",
                                    "#e08e0b", "#0f8b8d", "#6b4226", "#777777"};

/// One axis: data -> 0..1, with ticks.
struct Axis {
  bool logarithmic = false;
  double low = 0, high = 1;  // log10 of the data when logarithmic
  double step = 0;           // between ticks; 0 when they are powers
  std::vector<double> ticks;

  bool draws(double v) const { return std::fabs(v) <= kLargest && (!logarithmic || v > 0); }
  double place(double v) const { return ((logarithmic ? std::log10(v) : v) - low) / (high - low); }
  /// Enough digits to tell neighbours apart.
  std::string label(double tick) const {
    const double ratio = step > 0 && tick != 0 ? std::fabs(tick) / step : 1;
    const int digits = std::clamp(static_cast<int>(std::ceil(std::log10(ratio))) + 1, 4, 15);
    return fmt::format("{:.{}g}", tick, digits);
  }
};

void set_range(Axis& axis, const std::vector<double>& values) {
  bool any = false;
  for (const double v : values) {
    if (!axis.draws(v)) continue;
    const double t = axis.logarithmic ? std::log10(v) : v;
    axis.low = any ? std::min(axis.low, t) : t;
    axis.high = any ? std::max(axis.high, t) : t;
    any = true;
  }
  const double span = axis.high - axis.low;
  const double pad = span > 0 ? 0.06 * span : std::max(0.5, std::fabs(axis.low) * 0.1);
  axis.low -= pad;
  axis.high += pad;
}

/// 1, 2, 5 times powers of ten, or the powers alone over a long range.
void add_power_ticks(Axis& axis) {
  const double span = axis.high - axis.low, stride = std::max(1.0, std::ceil(span / 10));
  for (double d = std::floor(axis.low); d <= axis.high; d += stride)
    for (const double m : {1.0, 2.0, 5.0}) {
      const double at = d + std::log10(m);
      const bool inside = at >= axis.low && at <= axis.high;
      if (inside && (span < 2.5 || m == 1.0)) axis.ticks.push_back(m * std::pow(10.0, d));
    }
}

/// Steps of 1, 2 or 5 times a power of ten, about six of them.
void add_even_ticks(Axis& axis) {
  const double low = axis.logarithmic ? std::pow(10, axis.low) : axis.low;
  const double high = axis.logarithmic ? std::pow(10, axis.high) : axis.high;
  const double raw = (high - low) / 6, magnitude = std::pow(10.0, std::floor(std::log10(raw)));
  axis.step = 10 * magnitude;
  for (const double m : {5.0, 2.0, 1.0})
    if (m * magnitude >= raw) axis.step = m * magnitude;
  const double first = std::ceil(low / axis.step);
  for (size_t i = 0; i < kMaxTicks; ++i) {
    const double tick = (first + static_cast<double>(i)) * axis.step;
    if (!(tick <= high)) break;
    axis.ticks.push_back(tick);
  }
}

Axis make_axis(bool logarithmic, const std::vector<double>& values) {
  Axis axis;
  axis.logarithmic = logarithmic;
  set_range(axis, values);
  if (logarithmic && axis.high - axis.low > 0.9)
    add_power_ticks(axis);
  else
    add_even_ticks(axis);
  return axis;
}

/// The two axes and where they lie.
struct Frame {
  Axis x, y;
  double right = kWidth - kRight, bottom = kHeight - kBottom;

  double px(double v) const { return kLeft + x.place(v) * (right - kLeft); }
  double py(double v) const { return bottom - y.place(v) * (bottom - kTop); }
};

std::string text(double x, double y, std::string_view anchor, std::string_view words,
                 std::string_view more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
                     anchor, more, escape_xml(words));
}

std::string line(std::string_view kind, double x1, double y1, double x2, double y2) {
  return fmt::format("<line {} x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", kind,
                     x1, y1, x2, y2);
}

std::string draw_axes(const Plot& plot, const Frame& f) {
  std::string out;
  for (const double t : f.x.ticks) {
    const double at = f.px(t);
    out += line("class=\"grid\"", at, kTop, at, f.bottom);
    out += text(at, f.bottom + 18, "middle", f.x.label(t));
  }
  for (const double t : f.y.ticks) {
    const double at = f.py(t);
    out += line("class=\"grid\"", kLeft, at, f.right, at);
    out += text(kLeft - 8, at + 4, "end", f.y.label(t));
  }
  out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}V{:.1f}H{:.1f}\"/>\n", kLeft, kTop,
                     f.bottom, f.right);
  const double middle = (kTop + f.bottom) / 2;
  out += text(kWidth / 2, 22, "middle", plot.title, " class=\"title\"");
  out += text((kLeft + f.right) / 2, kHeight - 12, "middle", plot.x_label);
  return out + text(16, middle, "middle", plot.y_label,
                    fmt::format(" transform=\"rotate(-90 16 {:.1f})\"", middle));
}

/// The bar from y - error to y + error, cut off at the drawing's edges.
std::string draw_error(const PlotPoint& p, const Frame& f, const std::string& stroke) {
  if (!(p.error > 0) || p.error > kLargest) return {};
  const auto edge = [&](double v, double otherwise) {
    return f.y.draws(v) ? std::clamp(f.py(v), kTop, f.bottom) : otherwise;
  };
  const double at = f.px(p.x), low = edge(p.y - p.error, f.bottom),
               high = edge(p.y + p.error, kTop);
  return line(stroke, at, low, at, high) + line(stroke, at - 4, low, at + 4, low) +
         line(stroke, at - 4, high, at + 4, high);
}

std::string draw_series(const Series& series, const Frame& f, const char* colour) {
  const std::string stroke = fmt::format("stroke=\"{}\"", colour);
  std::string out, path;
  for (const PlotPoint& p : series.points) {
    if (!f.x.draws(p.x) || !f.y.draws(p.y)) continue;
    const double x = f.px(p.x), y = f.py(p.y);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x, y);
    out += draw_error(p, f, stroke);
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\"/>\n", x, y, colour);
    const bool left = x > f.right - 130;  // labels stay inside
    if (!p.label.empty()) out += text(left ? x - 7 : x + 7, y - 7, left ? "end" : "start", p.label);
  }
  if (!series.line || path.empty()) return out;
  return fmt::format("<path d=\"{}\" fill=\"none\" {} stroke-width=\"2\"/>\n", path, stroke) + out;
}

std::string draw_legend(const Plot& plot, const Frame& f) {
  std::string out;
  double y = kTop + 14;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    if (plot.series[i].name.empty()) continue;
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"10\" height=\"10\" fill=\"{}\"/>\n",
                       f.right + 15, y - 9, kColours[i % std::size(kColours)]);
    out += text(f.right + 30, y, "start", plot.series[i].name);
    y += 18;
  }
  return out;
}

/// Bytes of the UTF-8 character at `at`, 0 when there is none (RFC 3629, table in section 4).
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  const size_t n = first >= 0xc2 && first < 0xe0 ? 2
                   : (first & 0xf0) == 0xe0      ? 3
                   : (first & 0xf8) == 0xf0      ? 4
                                                 : 0;
  for (size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool beyond =
      (first == 0xed && second >= 0xa0) || first > 0xf4 || (first == 0xf4 && second >= 0x90);
  return overlong || beyond ? 0 : n;
}

}  // namespace

std::string escape_xml(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t n = utf8_length(text, at);
    const char c = text[at];
    if (n == 0)
      out += "\xef\xbf\xbd";
    else if (n > 1)
      out += text.substr(at, n);
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else if ((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t')
      out += c;
    at += std::max<size_t>(n, 1);
  }
  return out;
}

std::string svg_plot(const Plot& plot) {
  std::vector<double> xs, ys;
  size_t named = 0;
  for (const Series& s : plot.series) {
    named += !s.name.empty();
    for (const PlotPoint& p : s.points) {
      xs.push_back(p.x);
      ys.push_back(p.y);
      if (p.error > 0) ys.insert(ys.end(), {p.y - p.error, p.y + p.error});
    }
  }
  Frame frame{make_axis(plot.log_x, xs), make_axis(plot.log_y, ys)};
  if (named > 1) frame.right -= kLegend;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "font-family=\"sans-serif\" font-size=\"12\" fill=\"currentColor\">\n"
      "<style>.grid{{stroke:currentColor;opacity:.15}}.axis{{stroke:currentColor;fill:none}}"
      ".title{{font-weight:bold;font-size:14px}}</style>\n",
      kWidth, kHeight);
  out += draw_axes(plot, frame);
  for (size_t i = 0; i < plot.series.size(); ++i)
    out += draw_series(plot.series[i], frame, kColours[i % std::size(kColours)]);
  if (named > 1) out += draw_legend(plot, frame);
  return out + "</svg>\n";
}

}  // namespace planeloom
