#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace planeloom {

struct PlotPoint {
  double x = 0, y = 0;
  std::string label;  // written beside the point when not empty
  double error = 0;   // half the length of a vertical bar, in units of y; 0: none
};

struct Series {
  std::string name;
  std::vector<PlotPoint> points;
  bool line = true;  // else points only
};

struct Plot {
  std::string title, x_label, y_label;
  bool log_x = false, log_y = false;
  std::vector<Series> series;
};

/// An SVG drawing with axes, grid, legend and labels. The same plot gives the same text. Points
/// that cannot be drawn (not finite, beyond 1e100, not positive on a logarithmic axis) are left
/// out.
std::string svg_plot(const Plot& plot);

/// For text inside HTML, SVG and attributes. Control characters vanish, broken UTF-8 becomes
/// U+FFFD.
std::string escape_xml(std::string_view text);

}  // namespace planeloom
