// What every long command leaves behind: the same figures as JSON, Markdown and a self-contained
// HTML page.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/svg_plot.h"

namespace planeloom {

struct Column {
  std::string name;
  bool number = true;  // right-aligned
};

struct Table {
  std::string title;
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // as many cells as columns
};

/// Where a run took place.
struct Environment {
  std::string cpu, isa, date, revision;  // date: UTC, ISO 8601
  int threads = 0;
};
Environment host_environment(int threads, std::string_view isa);

struct Report {
  std::string title;
  std::vector<std::pair<std::string, std::string>> config;  // in the order of the options
  std::optional<uint64_t> seed;
  Environment environment;
  std::vector<std::string> notes;  // paragraphs
  std::vector<Table> tables;
  std::vector<Plot> plots;
  nlohmann::ordered_json results = nlohmann::ordered_json::object();  // for programs
};

nlohmann::ordered_json to_json(const Report& report);
std::string to_markdown(const Report& report);
std::string to_html(const Report& report);

/// Writes PREFIX.json, PREFIX.md and PREFIX.html, each whole or not at all.
Status save(const Report& report, const std::filesystem::path& prefix);

/// Aligned columns for a terminal.
std::string text_table(const Table& table);

}  // namespace planeloom
