// What a hostile template may cost, and how errors read.
#include <gtest/gtest.h>

#include "text/jinja/template.h"

using namespace planeloom;

namespace {

Result<std::string> render(std::string_view source, const nlohmann::ordered_json& context =
                                                        nlohmann::ordered_json::object()) {
  const jinja::Limits limits{.source_bytes = 1 << 20,
                             .steps = 1'000'000,
                             .memory_bytes = 16 << 20,
                             .output_bytes = 1 << 20};
  const auto parsed = jinja::Template::parse(source, limits);
  if (!parsed) return tl::unexpected(parsed.error());
  return parsed->render(context, {limits, {}});
}

std::string repeat(std::string_view text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

void expect_refused(std::string_view source) {
  const auto text = render(source);
  EXPECT_FALSE(text.has_value()) << source.substr(0, 80);
  if (!text) {
    EXPECT_TRUE(text.error().message.starts_with("[jinja]")) << text.error().message;
  }
}

TEST(jinja_limits, steps) {
  expect_refused("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}");
}

TEST(jinja_limits, searching_costs_what_it_compares) {
  const std::string_view hay =
      "{% set s = 'a' * 100000 %}{% set sub = 'a' * 50000 ~ 'b' %}{% set bus = 'b' ~ 'a' * 50000 "
      "%}";
  for (const std::string_view search :
       {"s.find(sub)", "s.rfind(bus)", "s.count(sub)", "sub in s", "s.split(sub)", "s.rsplit(bus)",
        "s.partition(sub)", "s.replace(sub, '')", "s | replace(sub, '')"})
    expect_refused(std::string(hay) + "{{ " + std::string(search) + " }}");
}

TEST(jinja_limits, ranges) { expect_refused("{{ range(10**9) | length }}"); }

TEST(jinja_limits, memory) {
  expect_refused("{{ ('x' * 10**9) | length }}");
  expect_refused("{{ ([1] * 10**9) | length }}");
  expect_refused(
      "{% set ns = namespace(v='x') %}{% for i in range(99) %}{% set ns.v = ns.v ~ ns.v %}{% "
      "endfor %}");
}

TEST(jinja_limits, output) {
  expect_refused("{% set s = 'x' * 1000 %}{% for i in range(9999) %}{{ s }}{% endfor %}");
}

TEST(jinja_limits, recursion) {
  expect_refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  expect_refused(
      "{% set ns = namespace(v=[]) %}{% for i in range(9999) %}{% set ns.v = [ns.v] %}{% endfor "
      "%}{{ ns.v }}");
}

TEST(jinja_limits, deep_syntax) {
  expect_refused("{{ " + repeat("(", 100000) + " }}");
  expect_refused("{{ " + repeat("not ", 100000) + "1 }}");
  expect_refused("{{ " + repeat("[", 100000) + "1 }}");
  expect_refused("{{ 1" + repeat("|string", 100000) + " }}");
  expect_refused(repeat("{% if 1 %}", 10000));
}

TEST(jinja_limits, a_failed_render_leaves_the_template_usable) {
  const auto parsed = jinja::Template::parse("{{ 'x' * n }}");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_FALSE(parsed->render({{"n", int64_t{1} << 40}}).has_value());
  EXPECT_EQ(parsed->render({{"n", 3}}).value(), "xxx");
}

TEST(jinja_errors, name_the_line) {
  const auto syntax = render("a\nb\n{% if %}");
  ASSERT_FALSE(syntax.has_value());
  EXPECT_NE(syntax.error().message.find("line 3"), std::string::npos) << syntax.error().message;
  const auto runtime = render("a\n{{ x.y.z }}");
  ASSERT_FALSE(runtime.has_value());
  EXPECT_NE(runtime.error().message.find("line 2"), std::string::npos) << runtime.error().message;
  const auto refusal = render("\n\n{{ raise_exception('no tools here') }}");
  ASSERT_FALSE(refusal.has_value());
  EXPECT_NE(refusal.error().message.find("no tools here"), std::string::npos)
      << refusal.error().message;
}

}  // namespace
