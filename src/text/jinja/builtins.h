// Filters, tests, methods and global functions.
#pragma once
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace planeloom::jinja {

using Filter = Value (*)(Runtime&, const Value& subject, Args&);
using Test = bool (*)(Runtime&, const Value& subject, Args&);

/// Null when there is none of that name.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);
Filter find_text_filter(std::string_view name);
Filter find_sequence_filter(std::string_view name);
Filter find_number_filter(std::string_view name);

/// A global function of the environment (range, dict, namespace, ...); kMissing when there is none.
Value find_global(Runtime& rt, std::string_view name);

/// What a method name means on a value of this kind.
struct MethodEntry {
  const char* name;
  Method::Body body;
};
const MethodEntry* find_string_method(std::string_view name);
const MethodEntry* find_container_method(const Value& v, std::string_view name);
/// list.append and its like: the sandbox hides what would change a value.
bool changes_value(const Value& v, std::string_view name);

/// str.replace; a negative limit replaces all.
std::string replace_text(Runtime& rt, std::string_view text, std::string_view old,
                         std::string_view with, int64_t limit);

/// json.dumps with Python's defaults, as transformers' tojson calls it.
struct JsonStyle {
  bool ascii = false, sort_keys = false, multiline = false;
  std::string indent, item_separator = ", ", key_separator = ": ";
};
void write_json(Runtime& rt, Writer& out, const Value& v, const JsonStyle& style);

/// Text as int() and float() read it; false when it is no number.
bool parse_int(std::string_view text, int base, int64_t& out);
bool parse_float(std::string_view text, double& out);

}  // namespace planeloom::jinja
