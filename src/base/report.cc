#include "base/report.h"

#include <algorithm>
#include <ctime>

#include "base/cpu.h"
#include "base/file.h"
#include "base/version.h"

namespace planeloom {
namespace {

// `color-scheme` leaves the choice between light and dark to the reader's browser.
constexpr std::string_view kStyle =
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}th{text-align:left}"
    "th,td{padding:.3rem .7rem;border-bottom:1px solid #8885}"
    "p,td{white-space:pre-line}.n{text-align:right;font-variant-numeric:tabular-nums}"
    "svg{width:100%;height:auto;margin:1rem 0}"
    "dt{font-weight:bold;float:left;clear:left;width:11rem}dd{margin-left:12rem}";

/// Columns on a terminal: characters, not bytes.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string cell(const Table& t, size_t row, size_t column) {
  return column < t.rows[row].size() ? t.rows[row][column] : std::string();
}

std::vector<std::pair<std::string, std::string>> facts(const Report& r) {
  auto all = r.config;
  if (r.seed) all.emplace_back("seed", std::to_string(*r.seed));
  const Environment& e = r.environment;
  all.insert(all.end(), {{"CPU", e.cpu},
                         {"kernels", e.isa},
                         {"threads", std::to_string(e.threads)},
                         {"date", e.date},
                         {"revision", e.revision}});
  return all;
}

/// Text that is not to be taken for HTML; in a table's cell also not for its borders.
std::string escape_markdown(std::string_view text, bool in_table) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '|' && in_table)
      out += "\\|";
    else if ((c == '\n' || c == '\r') && in_table)
      out += ' ';
    else
      out += c;
  }
  return out;
}

std::string markdown_table(const Table& t) {
  std::string out = "|", rule = "|";
  for (const Column& c : t.columns) {
    out += fmt::format(" {} |", escape_markdown(c.name, true));
    rule += c.number ? "---:|" : "---|";
  }
  out += "\n" + rule + "\n";
  for (size_t i = 0; i < t.rows.size(); ++i) {
    out += "|";
    for (size_t c = 0; c < t.columns.size(); ++c)
      out += fmt::format(" {} |", escape_markdown(cell(t, i, c), true));
    out += "\n";
  }
  return out + "\n";
}

std::string html_table(const Table& t) {
  const auto one = [](std::string_view tag, const Column& c, std::string_view text) {
    return fmt::format("<{0}{1}>{2}</{0}>", tag, c.number ? " class=\"n\"" : "", escape_xml(text));
  };
  std::string out = "<table><tr>";
  for (const Column& c : t.columns) out += one("th", c, c.name);
  out += "</tr>\n";
  for (size_t i = 0; i < t.rows.size(); ++i) {
    out += "<tr>";
    for (size_t c = 0; c < t.columns.size(); ++c) out += one("td", t.columns[c], cell(t, i, c));
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

nlohmann::ordered_json plot_json(const Plot& plot) {
  nlohmann::ordered_json series = nlohmann::ordered_json::array();
  for (const Series& s : plot.series) {
    nlohmann::ordered_json points = nlohmann::ordered_json::array();
    for (const PlotPoint& p : s.points) {
      nlohmann::ordered_json point{{"x", p.x}, {"y", p.y}};
      if (p.error > 0) point["error"] = p.error;
      if (!p.label.empty()) point["label"] = p.label;
      points.push_back(std::move(point));
    }
    series.push_back({{"name", s.name}, {"points", std::move(points)}});
  }
  return {{"title", plot.title},
          {"x_label", plot.x_label},
          {"y_label", plot.y_label},
          {"series", std::move(series)}};
}

}  // namespace

Environment host_environment(int threads, std::string_view isa) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {cpu_description(), std::string(isa), date, kRevision, threads};
}

nlohmann::ordered_json to_json(const Report& r) {
  using Json = nlohmann::ordered_json;
  const Environment& e = r.environment;
  Json j{{"title", r.title}, {"config", Json::object()}, {"seed", nullptr}};
  for (const auto& [key, value] : r.config) j["config"][key] = value;
  if (r.seed) j["seed"] = *r.seed;
  j["environment"] = {{"cpu", e.cpu},
                      {"kernels", e.isa},
                      {"threads", e.threads},
                      {"date", e.date},
                      {"revision", e.revision}};
  j["results"] = r.results;
  j["tables"] = Json::array();
  for (const Table& t : r.tables) {
    Json columns = Json::array();
    for (const Column& c : t.columns) columns.push_back(c.name);
    j["tables"].push_back({{"title", t.title}, {"columns", std::move(columns)}, {"rows", t.rows}});
  }
  j["plots"] = Json::array();
  for (const Plot& plot : r.plots) j["plots"].push_back(plot_json(plot));
  j["notes"] = r.notes;
  return j;
}

std::string to_markdown(const Report& r) {
  std::string out = fmt::format("# {}\n\n", escape_markdown(r.title, true));
  for (const std::string& note : r.notes) out += escape_markdown(note, false) + "\n\n";
  for (const Table& t : r.tables) {
    if (!t.title.empty()) out += fmt::format("## {}\n\n", escape_markdown(t.title, true));
    out += markdown_table(t);
  }
  Table run{"", {{"", false}, {"", false}}, {}};
  for (const auto& [key, value] : facts(r)) run.rows.push_back({key, value});
  return out + "## Run\n\n" + markdown_table(run);
}

std::string to_html(const Report& r) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title>"
      "<style>{1}</style></head><body>\n<h1>{0}</h1>\n",
      escape_xml(r.title), kStyle);
  for (const std::string& note : r.notes) out += fmt::format("<p>{}</p>\n", escape_xml(note));
  for (const Table& t : r.tables) {
    if (!t.title.empty()) out += fmt::format("<h2>{}</h2>\n", escape_xml(t.title));
    out += html_table(t);
  }
  for (const Plot& plot : r.plots) out += svg_plot(plot);
  out += "<h2>Run</h2>\n<dl>";
  for (const auto& [key, value] : facts(r))
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_xml(key), escape_xml(value));
  return out + "</dl>\n</body></html>\n";
}

Status save(const Report& r, const std::filesystem::path& prefix) {
  std::error_code error;
  if (prefix.has_parent_path()) std::filesystem::create_directories(prefix.parent_path(), error);
  const auto replace = nlohmann::ordered_json::error_handler_t::replace;
  const std::string json = to_json(r).dump(2, ' ', false, replace) + "\n";
  PL_CHECK(write_file_atomically(prefix.string() + ".json", json));
  PL_CHECK(write_file_atomically(prefix.string() + ".md", to_markdown(r)));
  return write_file_atomically(prefix.string() + ".html", to_html(r));
}

std::string text_table(const Table& t) {
  std::vector<size_t> widths;
  for (size_t c = 0; c < t.columns.size(); ++c) {
    widths.push_back(width_of(t.columns[c].name));
    for (size_t i = 0; i < t.rows.size(); ++i)
      widths[c] = std::max(widths[c], width_of(cell(t, i, c)));
  }
  const auto line = [&](const auto& text_at) {
    std::string out;
    for (size_t c = 0; c < t.columns.size(); ++c) {
      const std::string text = text_at(c);
      const std::string pad(widths[c] - width_of(text), ' ');
      out += (c ? "  " : "") + (t.columns[c].number ? pad + text : text + pad);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  };
  std::string out = t.title.empty() ? "" : t.title + "\n";
  out += line([&](size_t c) { return t.columns[c].name; });
  for (size_t i = 0; i < t.rows.size(); ++i) out += line([&](size_t c) { return cell(t, i, c); });
  return out;
}

}  // namespace planeloom
