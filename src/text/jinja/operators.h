// What Python's operators, built-in functions and protocols do on values.
#pragma once
#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace planeloom::jinja {

std::string_view type_name(const Value& v);
bool truthy(Runtime& rt, const Value& v);
bool equal(Runtime& rt, const Value& a, const Value& b);
/// a < b; raises kType where Python has no order.
bool less(Runtime& rt, const Value& a, const Value& b);
bool compare(Runtime& rt, Op op, const Value& a, const Value& b);
size_t hash(Runtime& rt, const Value& v);
bool contains(Runtime& rt, const Value& container, const Value& item);
/// Python's `is`: identity, which scalars share when equal.
bool same(const Value& a, const Value& b);

Value binary(Runtime& rt, Op op, const Value& a, const Value& b);
Value unary(Runtime& rt, Op op, const Value& v);
Value absolute(const Value& v);

int64_t length(Runtime& rt, const Value& v);
bool has_length(const Value& v);
bool iterable(const Value& v);
Ref<Iterator> iterate(Runtime& rt, const Value& v);
/// Calls body on each item of an iterable.
template <class F>
void for_each(Runtime& rt, const Value& v, F&& body) {
  const Ref<Iterator> it = iterate(rt, v);
  for (Value item; it->next(rt, item);) body(item);
}
std::vector<Value> to_vector(Runtime& rt, const Value& v);
/// An iterator over values already computed.
Value iterator_over(Runtime& rt, std::vector<Value> items);
Value reversed(Runtime& rt, const Value& v);

std::string float_repr(double d);
void write_str(Runtime& rt, Writer& out, const Value& v);
void write_repr(Runtime& rt, Writer& out, const Value& v, bool ascii_only = false);
std::string str(Runtime& rt, const Value& v);
/// The text of a string, else raises kType naming `what`.
const std::string& need_string(const Value& v, std::string_view what);
int64_t need_int(const Value& v, std::string_view what);
/// A slice bound: clamps what does not fit.
int64_t index_or(const Value& v, int64_t fallback);

/// environment.getattr and environment.getitem: attribute first, or item first.
Value get_attribute(Runtime& rt, const Value& v, std::string_view name);
Value get_item(Runtime& rt, const Value& v, const Value& key);
/// The filter attr: never an item.
Value attribute_only(Runtime& rt, const Value& v, std::string_view name);
Value slice(Runtime& rt, const Value& v, const Value& start, const Value& stop, const Value& step);

/// "text" % value and str.format.
Value format_percent(Runtime& rt, const Value& text, const Value& value);
Value format_braces(Runtime& rt, const Value& text, Args& args);
std::string format_spec(Runtime& rt, const Value& v, std::string_view spec);

[[noreturn]] void raise_undefined(const Value& v);

}  // namespace planeloom::jinja
