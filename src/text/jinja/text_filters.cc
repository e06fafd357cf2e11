// Filters on text.
#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace planeloom::jinja {
namespace {

/// soft_str: text that is Markup stays so.
Value soft(Runtime& rt, const Value& v) { return v.is(Kind::kString) ? v : rt.string(str(rt, v)); }

/// A filter that is a method of the text.
Value method(Runtime& rt, const Value& v, const char* name, Args& args) {
  return find_string_method(name)->body(rt, soft(rt, v), args);
}

Value upper_filter(Runtime& rt, const Value& v, Args& args) { return method(rt, v, "upper", args); }
Value lower_filter(Runtime& rt, const Value& v, Args& args) { return method(rt, v, "lower", args); }
Value capitalize_filter(Runtime& rt, const Value& v, Args& args) {
  return method(rt, v, "capitalize", args);
}

Value trim(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "trim", {"chars"}, 0);
  Args own;
  if (a.has(0)) own.positional.push_back(a[0]);
  return method(rt, v, "strip", own);
}

Value center(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "center", {"width"}, 0);
  Args own;
  own.positional.push_back(a.has(0) ? a[0] : Value(int64_t{80}));
  return method(rt, v, "center", own);
}

/// Words begin at the start and behind white space and - ( { [ <.
Value title_filter(Runtime& rt, const Value& v, Args& args) {
  const Bound none(args, "title", {}, 0);
  const std::string text = str(rt, v);
  const auto separates = [](uint32_t c) {
    return is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                           std::string_view::npos);
  };
  Writer out(rt);
  for (size_t at = 0; at < text.size();) {
    size_t end = at, head = at;
    const bool separator = separates(next_code(text, head));
    for (size_t next = at; next < text.size() && separates(next_code(text, next)) == separator;)
      end = next;
    const std::string_view piece = std::string_view(text).substr(at, end - at);
    out << upper(piece.substr(0, head - at)) << lower(piece.substr(head - at));
    at = end;
  }
  return rt.string(out.take());
}

Value replace(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "replace", {"old", "new", "count"}, 2);
  const int64_t most = a.none(2) ? -1 : need_int(a[2], "count");
  return rt.string(replace_text(rt, str(rt, v), str(rt, a[0]), str(rt, a[1]), most));
}

Value string_filter(Runtime& rt, const Value& v, Args& args) {
  const Bound none(args, "string", {}, 0);
  return soft(rt, v);
}

Value safe(Runtime& rt, const Value& v, Args& args) {
  const Bound none(args, "safe", {}, 0);
  return rt.string(str(rt, v), true);
}

Value escape(Runtime& rt, const Value& v, Args& args) {
  const Bound none(args, "escape", {}, 0);
  if (v.is(Kind::kString) && v.as<String>().markup) return v;
  return rt.string(escape_html(str(rt, v)), true);
}

Value force_escape(Runtime& rt, const Value& v, Args& args) {
  const Bound none(args, "forceescape", {}, 0);
  return rt.string(escape_html(str(rt, v)), true);
}

Value indent(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "indent", {"width", "first", "blank"}, 0);
  const std::string& text = need_string(v, "indent");
  const bool begin = a.has(1) && truthy(rt, a[1]), blank = a.has(2) && truthy(rt, a[2]);
  Writer pad(rt), out(rt);
  if (a[0].is(Kind::kString))
    pad << a[0].text();
  else
    pad.fill(static_cast<size_t>(std::max<int64_t>(0, a.has(0) ? need_int(a[0], "width") : 4)));
  if (begin) out << pad.text();
  const std::string ended = text + "\n";
  bool first = true;
  for (const std::string_view line : split_lines(ended, false)) {
    if (!first) out << "\n";
    if (!first && (blank || !line.empty())) out << pad.text();
    out << line;
    first = false;
  }
  return rt.string(out.take(), v.as<String>().markup);
}

Value default_filter(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "default", {"default_value", "boolean"}, 0);
  const bool absent = v.is(Kind::kUndefined) || (a.has(1) && truthy(rt, a[1]) && !truthy(rt, v));
  return !absent ? v : a.has(0) ? a[0] : rt.string("");
}

/// json.dumps as transformers calls it.
Value tojson(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonStyle style;
  style.ascii = a.has(0) && truthy(rt, a[0]);
  style.sort_keys = a.has(3) && truthy(rt, a[3]);
  if (!a.none(1)) {
    style.multiline = true;
    style.item_separator = ",";
    if (a[1].is(Kind::kString))
      style.indent = a[1].text();
    else
      style.indent.assign(
          static_cast<size_t>(std::clamp<int64_t>(need_int(a[1], "indent"), 0, 1000)), ' ');
  }
  if (!a.none(2)) {
    const std::vector<Value> pair = to_vector(rt, a[2]);
    if (pair.size() != 2) raise(Fault::kValue, "separators must be two");
    style.item_separator = need_string(pair[0], "a separator");
    style.key_separator = need_string(pair[1], "a separator");
  }
  Writer out(rt);
  write_json(rt, out, v, style);
  return rt.string(out.take());
}

Value truncate(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "truncate", {"length", "killwords", "end", "leeway"}, 0);
  const std::string end = a.has(2) ? need_string(a[2], "end") : "...";
  const int64_t most = a.has(0) ? need_int(a[0], "length") : 255, tail = count_codes(end);
  const int64_t leeway = a.none(3) ? 5 : need_int(a[3], "leeway");
  if (most < tail) raise(Fault::kValue, "expected length >= {}, got {}", tail, most);
  if (leeway < 0 || leeway > INT32_MAX || most > INT32_MAX)
    raise(Fault::kValue, "expected leeway >= 0, got {}", leeway);
  if (length(rt, v) <= most + leeway) return v;
  const Value& text = v;
  need_string(text, "truncate");
  const String& s = text.as<String>();
  std::string_view kept = codes(s, 0, most - tail);
  if (!(a.has(1) && truthy(rt, a[1]))) kept = kept.substr(0, kept.rfind(' '));
  return rt.string(std::string(kept) + end);
}

Value wordcount(Runtime& rt, const Value& v, Args& args) {
  const Bound none(args, "wordcount", {}, 0);
  const std::string text = str(rt, v);
  rt.step_bytes(text.size());
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const bool word = is_word(next_code(text, at));
    words += word && !inside;
    inside = word;
  }
  return Value(words);
}

Value format(Runtime& rt, const Value& v, Args& args) {
  if (!args.positional.empty() && !args.keywords.empty())
    raise(Fault::kTemplate, "can't handle positional and keyword arguments at the same time");
  if (args.keywords.empty()) return format_percent(rt, soft(rt, v), rt.tuple(args.positional));
  const Ref<Dict> named = rt.dict();
  for (const auto& [key, value] : args.keywords) named->set(rt, rt.string(key), value);
  return format_percent(rt, soft(rt, v), Value(Kind::kDict, named));
}

struct Entry {
  std::string_view name;
  Filter filter;
};
constexpr Entry kFilters[] = {{"capitalize", capitalize_filter},
                              {"center", center},
                              {"d", default_filter},
                              {"default", default_filter},
                              {"e", escape},
                              {"escape", escape},
                              {"forceescape", force_escape},
                              {"format", format},
                              {"indent", indent},
                              {"lower", lower_filter},
                              {"replace", replace},
                              {"safe", safe},
                              {"string", string_filter},
                              {"title", title_filter},
                              {"tojson", tojson},
                              {"trim", trim},
                              {"truncate", truncate},
                              {"upper", upper_filter},
                              {"wordcount", wordcount}};

}  // namespace

Filter find_text_filter(std::string_view name) {
  for (const Entry& e : kFilters)
    if (e.name == name) return e.filter;
  return nullptr;
}

Filter find_filter(std::string_view name) {
  for (const auto find : {find_text_filter, find_sequence_filter, find_number_filter})
    if (const Filter f = find(name)) return f;
  return nullptr;
}

}  // namespace planeloom::jinja
