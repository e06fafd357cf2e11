// plot_tool < PLOT.json > PLOT.svg
// {"title", "x_label", "y_label", "log_x", "log_y", "series": [{"name", "line", "points": [[x, y],
// ...]}]}
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/svg_plot.h"

namespace planeloom {
namespace {

Plot plot_of(const nlohmann::json& j) {
  Plot plot{j.at("title"),           j.at("x_label"),         j.at("y_label"),
            j.value("log_x", false), j.value("log_y", false), {}};
  for (const auto& s : j.at("series")) {
    Series series{s.at("name"), {}, s.value("line", true)};
    for (const auto& point : s.at("points"))
      series.points.push_back({point.at(0), point.at(1), {}});
    plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace
}  // namespace planeloom

int main() {
  try {
    std::cout << planeloom::svg_plot(planeloom::plot_of(nlohmann::json::parse(std::cin)));
  } catch (const nlohmann::json::exception& error) {
    std::cerr << "plot_tool: " << error.what() << '\n';
    return 1;
  }
  return std::cout.flush() ? 0 : 1;
}
