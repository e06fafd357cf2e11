// str() and repr().
#include <charconv>
#include <cmath>

#include "text/jinja/interpreter.h"
#include "text/jinja/loop.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace planeloom::jinja {
namespace {

template <class List, class F>
void joined(Writer& out, const List& list, F&& write) {
  bool first = true;
  for (const auto& item : list) {
    if (!first) out << ", ";
    first = false;
    write(item);
  }
}

void write_entries(Runtime& rt, Writer& out, const Dict& d, bool ascii_only) {
  out << "{";
  joined(out, d.entries, [&](const auto& entry) {
    write_repr(rt, out, entry.first, ascii_only);
    out << ": ";
    write_repr(rt, out, entry.second, ascii_only);
  });
  out << "}";
}

void write_view(Runtime& rt, Writer& out, const Value& v, bool ascii_only) {
  const View& view = v.as<View>();
  out << type_name(v) << "([";
  joined(out, view.dict->entries, [&](const auto& entry) {
    if (view.which == View::kItems) out << "(";
    if (view.which != View::kValues) write_repr(rt, out, entry.first, ascii_only);
    if (view.which == View::kItems) out << ", ";
    if (view.which != View::kKeys) write_repr(rt, out, entry.second, ascii_only);
    if (view.which == View::kItems) out << ")";
  });
  out << "])";
}

void write_range(Writer& out, const Range& r) {
  out << "range(" << std::to_string(r.start) << ", " << std::to_string(r.stop);
  if (r.step != 1) out << ", " << std::to_string(r.step);
  out << ")";
}

}  // namespace

std::string float_repr(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d > 0 ? "inf" : "-inf";
  char buffer[40];
  char* const end = std::to_chars(buffer, buffer + sizeof(buffer) - 1, std::fabs(d),
                                  std::chars_format::scientific)
                        .ptr;
  *end = '\0';  // to_chars leaves it out, atoi reads up to it
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t e = text.find('e');
  const int exponent = std::atoi(buffer + e + 1);
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  std::string out = std::signbit(d) ? "-" : "";
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    out += fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  } else if (exponent < 0) {
    out += "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else {
    if (count <= exponent) digits.append(static_cast<size_t>(exponent + 1 - count), '0');
    const std::string fraction = digits.substr(static_cast<size_t>(exponent + 1));
    out += digits.substr(0, static_cast<size_t>(exponent + 1)) + "." +
           (fraction.empty() ? "0" : fraction);
  }
  return out;
}

void write_repr(Runtime& rt, Writer& out, const Value& v, bool ascii_only) {
  const Nesting nesting(rt);
  switch (v.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      out << "Undefined";
      return;
    case Kind::kNone:
      out << "None";
      return;
    case Kind::kBool:
      out << (v.integer() ? "True" : "False");
      return;
    case Kind::kInt:
      out << std::to_string(v.integer());
      return;
    case Kind::kFloat:
      out << float_repr(v.real());
      return;
    case Kind::kString: {
      const String& s = v.as<String>();
      rt.step_bytes(s.text.size());
      out << (s.markup ? "Markup(" : "") << quote(s.text, ascii_only) << (s.markup ? ")" : "");
      return;
    }
    case Kind::kList:
    case Kind::kTuple:
      out << (v.is(Kind::kList) ? "[" : "(");
      joined(out, v.items(), [&](const Value& item) { write_repr(rt, out, item, ascii_only); });
      out << (v.is(Kind::kList) ? "]" : v.items().size() == 1 ? ",)" : ")");
      return;
    case Kind::kDict:
      return write_entries(rt, out, v.as<Dict>(), ascii_only);
    case Kind::kView:
      return write_view(rt, out, v, ascii_only);
    case Kind::kRange:
      return write_range(out, v.as<Range>());
    case Kind::kNamespace:
      out << "<Namespace ";
      write_entries(rt, out, *v.as<Namespace>().attributes, ascii_only);
      out << ">";
      return;
    case Kind::kMacro: {
      const std::string& name = v.as<Macro>().info->name;
      out << "<Macro " << (name.empty() ? std::string("anonymous") : quote(name)) << ">";
      return;
    }
    case Kind::kLoop:
      out << "<LoopContext " << std::to_string(v.as<Loop>().index0 + 1) << "/"
          << std::to_string(v.as<Loop>().count(rt)) << ">";
      return;
    // Python shows an address in these, so nothing sensible can depend on the text.
    case Kind::kFunction:
      out << "<function " << v.as<Function>().name << ">";
      return;
    case Kind::kMethod:
      out << "<built-in method " << v.as<Method>().name << ">";
      return;
    case Kind::kIterator:
    case Kind::kCycler:
    case Kind::kJoiner:
      out << "<" << type_name(v) << " object>";
      return;
  }
}

void write_str(Runtime& rt, Writer& out, const Value& v) {
  if (v.is(Kind::kString))
    out << v.text();
  else if (!v.is(Kind::kUndefined))
    write_repr(rt, out, v);
}

std::string str(Runtime& rt, const Value& v) {
  Writer out(rt);
  write_str(rt, out, v);
  return out.take();
}

}  // namespace planeloom::jinja
