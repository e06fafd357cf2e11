// json.dumps, as the tojson filter of transformers calls it.
#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace planeloom::jinja {
namespace {

void write_unit(std::string& out, uint32_t unit) { out += fmt::format("\\u{:04x}", unit); }

std::string json_string(std::string_view text, bool ascii) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const uint32_t c = next_code(text, at);
    switch (c) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      case '\f':
        out += "\\f";
        continue;
      case '\b':
        out += "\\b";
        continue;
      default:
        break;
    }
    if (c < 0x20 || (ascii && c >= 0x7f && c < 0x10000)) {
      write_unit(out, c);
    } else if (ascii && c >= 0x10000) {
      write_unit(out, 0xd800 + ((c - 0x10000) >> 10));
      write_unit(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
      out += text.substr(start, at - start);
    }
  }
  return out += '"';
}

std::string json_float(double d) {
  return std::isnan(d) ? "NaN" : std::isinf(d) ? (d > 0 ? "Infinity" : "-Infinity") : float_repr(d);
}

class JsonWriter {
 public:
  JsonWriter(Runtime& rt, Writer& out, const JsonStyle& style)
      : rt_(rt), out_(out), style_(style) {}

  void write(const Value& v, size_t level) {
    const Nesting nesting(rt_);
    switch (v.kind()) {
      case Kind::kNone:
        out_ << "null";
        return;
      case Kind::kBool:
        out_ << (v.integer() ? "true" : "false");
        return;
      case Kind::kInt:
        out_ << std::to_string(v.integer());
        return;
      case Kind::kFloat:
        out_ << json_float(v.real());
        return;
      case Kind::kString:
        rt_.step_bytes(v.text().size());
        out_ << json_string(v.text(), style_.ascii);
        return;
      case Kind::kList:
      case Kind::kTuple:
        return container('[', ']', v.items(), level,
                         [&](const Value& item) { write(item, level + 1); });
      case Kind::kDict:
        return object(v, level);
      default:
        raise(Fault::kType, "object of type {} is not JSON serializable", type_name(v));
    }
  }

 private:
  template <class List, class F>
  void container(char open, char close, const List& list, size_t level, F&& item) {
    out_ << std::string_view(&open, 1);
    bool first = true;
    for (const auto& element : list) {
      if (!first) out_ << style_.item_separator;
      first = false;
      line(level + 1);
      item(element);
    }
    if (!list.empty()) line(level);
    out_ << std::string_view(&close, 1);
  }
  void line(size_t level) {
    if (!style_.multiline) return;
    out_ << "\n";
    out_.fill(style_.indent.empty() ? 0 : level, style_.indent);
  }
  void object(const Value& v, size_t level) {
    const auto entry = [&](const std::pair<Value, Value>& e) {
      out_ << json_string(key(e.first), style_.ascii) << style_.key_separator;
      write(e.second, level + 1);
    };
    const auto& entries = v.as<Dict>().entries;
    if (!style_.sort_keys) return container('{', '}', entries, level, entry);
    rt_.reserve(entries.size() * sizeof(entries[0]));
    auto sorted = entries;
    rt_.release(entries.size() * sizeof(entries[0]));
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](const auto& a, const auto& b) { return less(rt_, a.first, b.first); });
    container('{', '}', sorted, level, entry);
  }
  std::string key(const Value& k) {
    switch (k.kind()) {
      case Kind::kString:
        rt_.step_bytes(k.text().size());
        return k.text();
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return k.integer() ? "true" : "false";
      case Kind::kInt:
        return std::to_string(k.integer());
      case Kind::kFloat:
        return json_float(k.real());
      default:
        raise(Fault::kType, "JSON keys must be str, int, float, bool or None, not {}",
              type_name(k));
    }
  }

  Runtime& rt_;
  Writer& out_;
  const JsonStyle& style_;
};

}  // namespace

void write_json(Runtime& rt, Writer& out, const Value& v, const JsonStyle& style) {
  JsonWriter(rt, out, style).write(v, 0);
}

}  // namespace planeloom::jinja
