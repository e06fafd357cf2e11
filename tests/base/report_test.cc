#include "base/report.h"

#include <gtest/gtest.h>

#include <regex>

#include "base/file.h"
#include "formats/temp_dir.h"

namespace planeloom {
namespace {

Report example() {
  Report r;
  r.title = "Squeezed <twice> | once";
  r.config = {{"method", "bpdq"}, {"group", "64"}};
  r.seed = 18446744073709551615ull;
  r.environment = {"Some CPU (avx2)", "avx2", "2030-01-02T03:04:05Z", "abc123", 2};
  r.notes = {"A note with <b>, & and \"quotes\"."};
  r.tables = {
      {"Sizes", {{"name", false}, {"MB"}}, {{"a|b\nc", "12.5"}, {"<script>", "7"}, {"short row"}}}};
  Plot plot{"Error", "bits", "KL", false, true, {{"rtn", {{2, 0.5, "", 0}}, true}}};
  plot.series.push_back({"bpdq", {{2, 0.1, "here", 0.02}, {3, 0.01, "", 0}}, false});
  r.plots = {plot};
  r.results = {{"perplexity", 23.5}};
  return r;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++n;
  return n;
}

TEST(Report, JsonHoldsEverything) {
  const auto j = to_json(example());
  EXPECT_EQ(j["config"]["group"], "64");
  EXPECT_EQ(j["seed"], 18446744073709551615ull);
  EXPECT_EQ(j["environment"]["threads"], 2);
  EXPECT_EQ(j["environment"]["revision"], "abc123");
  EXPECT_EQ(j["results"]["perplexity"], 23.5);
  EXPECT_EQ(j["tables"][0]["rows"][0][0], "a|b\nc");
  EXPECT_EQ(j["plots"][0]["series"][1]["points"][0]["error"], 0.02);
  EXPECT_EQ(to_json(Report{})["seed"], nullptr);
  EXPECT_EQ(to_json(Report{})["tables"].size(), 0u);
}

TEST(Report, MarkdownTablesKeepTheirColumns) {
  const std::string text = to_markdown(example());
  EXPECT_NE(
      text.find(
          "| name | MB |\n|---|---:|\n| a\\|b c | 12.5 |\n| &lt;script> | 7 |\n| short row |  |\n"),
      std::string::npos)
      << text;
  EXPECT_EQ(text.find('<'), std::string::npos) << text;
  EXPECT_NE(text.find("| seed | 18446744073709551615 |"), std::string::npos);
}

/// Every tag that is opened is closed, in order: the pages are written as XML would be.
void expect_balanced(const std::string& html) {
  static const std::regex tag("<(/?)([a-zA-Z0-9]+)[^<>]*?(/?)>");
  std::vector<std::string> open;
  for (std::sregex_iterator it(html.begin(), html.end(), tag), end; it != end; ++it) {
    const std::string name = (*it)[2];
    if ((*it)[3] == "/" || name == "meta") continue;
    if ((*it)[1] != "/") {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << name;
    ASSERT_EQ(open.back(), name);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
  EXPECT_GT(count(html, "<"), 10u);
}

TEST(Report, HtmlIsBalancedEscapedAndSelfContained) {
  const std::string html = to_html(example());
  expect_balanced(html);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(html.find("<h1>Squeezed &lt;twice&gt; | once</h1>"), std::string::npos);
  EXPECT_EQ(count(html, "<svg "), 1u);
  EXPECT_EQ(count(html, "src="), 0u);
  EXPECT_EQ(count(html, "href="), 0u);
  EXPECT_EQ(count(html, "http"), 1u) << "only the name space of SVG";
  EXPECT_NE(html.find("<dt>CPU</dt><dd>Some CPU (avx2)</dd>"), std::string::npos);
}

TEST(Report, SameReportSameText) {
  EXPECT_EQ(to_html(example()), to_html(example()));
  EXPECT_EQ(to_json(example()).dump(), to_json(example()).dump());
}

TEST(Report, SavedAsThreeFiles) {
  const test::TempDir folder;
  const auto prefix = folder.path() / "new" / "folder" / "run.v2";
  ASSERT_TRUE(save(example(), prefix));
  EXPECT_EQ(*read_file(prefix.string() + ".md"), to_markdown(example()));
  EXPECT_EQ(*read_file(prefix.string() + ".html"), to_html(example()));
  EXPECT_EQ(nlohmann::ordered_json::parse(*read_file(prefix.string() + ".json")),
            to_json(example()));
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(prefix.parent_path()))
    ++files;
  EXPECT_EQ(files, 3u) << "no temporary file is left";
  EXPECT_FALSE(save(example(), "/proc/no/such/place"));
}

TEST(Report, BrokenUtf8StillSaves) {
  const test::TempDir folder;
  Report r = example();
  r.tables[0].rows[0][0] = "half \xe2\x82";
  ASSERT_TRUE(save(r, folder.path() / "r"));
  EXPECT_NE(read_file(folder.path() / "r.html")->find("half \xef\xbf\xbd"), std::string::npos);
  EXPECT_TRUE(nlohmann::json::accept(*read_file(folder.path() / "r.json")));
}

TEST(Report, EnvironmentOfThisMachine) {
  const Environment e = host_environment(3, "scalar");
  EXPECT_EQ(e.threads, 3);
  EXPECT_EQ(e.isa, "scalar");
  EXPECT_FALSE(e.cpu.empty());
  EXPECT_FALSE(e.revision.empty());
  EXPECT_TRUE(std::regex_match(e.date, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"))) << e.date;
}

TEST(TextTable, AlignsCharactersAndDropsTrailingBlanks) {
  const Table t{"",
                {{"name", false}, {"n"}, {"last", false}},
                {{"\xc3\xa9t\xc3\xa9", "7", "x"}, {"long name", "1234", ""}}};
  EXPECT_EQ(text_table(t),
            "name          n  last\n"
            "\xc3\xa9t\xc3\xa9           7  x\n"
            "long name  1234\n");
}

}  // namespace
}  // namespace planeloom
