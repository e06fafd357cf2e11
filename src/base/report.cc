#include "base/report.h"

#include <algorithm>
#include <ctime>

#include "base/cpu.h"
#include "base/file.h"
#include "base/version.h"

namespace planeloom {
namespace {

constexpr std::string_view kStyle =
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{padding:.3rem .7rem;border-bottom:1px solid #8885}th{text-align:left}"
    ".n{text-align:right;font-variant-numeric:tabular-nums}svg{width:100%;height:auto;margin:1rem 0}dt{font-weight:bold;float:left;"
    "clear:left;width:11rem}dd{margin-left:12rem}";

/// Columns on a terminal: characters, not bytes.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string cell(const Table& t, size_t row, size_t column) {
  return column < t.rows[row].size() ? t.rows[row][column] : std::string();
}

std::vector<std::pair<std::string, std::string>> facts(const Report& r) {
  auto all = r.config;
  if (r.seed) all.emplace_back("seed", std::to_string(*r.seed));
  const Environment& e = r.environment;
  all.insert(all.end(), {{"CPU", e.cpu}, {"kernels", e.isa}, {"threads", std::to_string(e.threads)}, {"date", e.date}, {"revision", e.revision}});
  return all;
}

std::string escape_markdown(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
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
  nlohmann::ordered_json j{{"title", r.title}};
  for (const auto& [key, value] : facts(r)) j["config"][key] = value;
  j["results"] = r.results;
  for (const Table& t : r.tables) {
    nlohmann::ordered_json table{{"title", t.title}, {"columns", nlohmann::ordered_json::array()}, {"rows", t.rows}};
    for (const Column& c : t.columns) table["columns"].push_back(c.name);
    j["tables"].push_back(std::move(table));
  }
  j["notes"] = r.notes;
  return j;
}

std::string to_markdown(const Report& r) {
  std::string out = fmt::format("# {}\n\n", r.title);
  for (const std::string& note : r.notes) out += note + "\n\n";
  for (const Table& t : r.tables) {
    if (!t.title.empty()) out += fmt::format("## {}\n\n", t.title);
    std::string rule = "|";
    out += "|";
    for (const Column& c : t.columns) {
      out += fmt::format(" {} |", escape_markdown(c.name));
      rule += c.number ? "---:|" : "---|";
    }
    out += "\n" + rule + "\n";
    for (size_t i = 0; i < t.rows.size(); ++i) {
      out += "|";
      for (size_t c = 0; c < t.columns.size(); ++c) out += fmt::format(" {} |", escape_markdown(cell(t, i, c)));
      out += "\n";
    }
    out += "\n";
  }
  out += "| | |\n|---|---|\n";
  for (const auto& [key, value] : facts(r)) out += fmt::format("| {} | {} |\n", escape_markdown(key), escape_markdown(value));
  return out;
}

std::string to_html(const Report& r) {
  std::string out = fmt::format("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title><style>{}</style></head><body>\n<h1>{}</h1>\n",
                                escape_xml(r.title), kStyle, escape_xml(r.title));
  for (const std::string& note : r.notes) out += fmt::format("<p>{}</p>\n", escape_xml(note));
  for (const Table& t : r.tables) {
    if (!t.title.empty()) out += fmt::format("<h2>{}</h2>\n", escape_xml(t.title));
    out += "<table><tr>";
    for (const Column& c : t.columns) out += fmt::format("<th{}>{}</th>", c.number ? " class=\"n\"" : "", escape_xml(c.name));
    out += "</tr>\n";
    for (size_t i = 0; i < t.rows.size(); ++i) {
      out += "<tr>";
      for (size_t c = 0; c < t.columns.size(); ++c) out += fmt::format("<td{}>{}</td>", t.columns[c].number ? " class=\"n\"" : "", escape_xml(cell(t, i, c)));
      out += "</tr>\n";
    }
    out += "</table>\n";
  }
  for (const Plot& plot : r.plots) out += svg_plot(plot);
  out += "<h2>Run</h2>\n<dl>";
  for (const auto& [key, value] : facts(r)) out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_xml(key), escape_xml(value));
  return out + "</dl>\n</body></html>\n";
}

Status save(const Report& r, const std::filesystem::path& prefix) {
  PL_CHECK(write_file_atomically(prefix.string() + ".json", to_json(r).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"));
  PL_CHECK(write_file_atomically(prefix.string() + ".md", to_markdown(r)));
  return write_file_atomically(prefix.string() + ".html", to_html(r));
}

std::string text_table(const Table& t) {
  std::vector<size_t> widths;
  for (size_t c = 0; c < t.columns.size(); ++c) {
    widths.push_back(width_of(t.columns[c].name));
    for (size_t i = 0; i < t.rows.size(); ++i) widths[c] = std::max(widths[c], width_of(cell(t, i, c)));
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
