// What one render may spend, and how values are made within it.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "text/jinja/limits.h"
#include "text/jinja/value.h"

namespace planeloom::jinja {

template <class... A>
[[noreturn]] void raise(Fault fault, fmt::format_string<A...> format, A&&... args) {
  throw Raise{fault, fmt::format(format, std::forward<A>(args)...)};
}

class Runtime {
 public:
  explicit Runtime(const Limits& limits) : limits_(limits), steps_left_(limits.steps) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();

  /// Counts work done; raises kLimit when there was too much.
  void step(uint64_t n = 1) {
    if (n > steps_left_) raise(Fault::kLimit, "more than {} steps", limits_.steps);
    steps_left_ -= n;
  }
  void step_bytes(size_t n) { step(1 + n / 64); }
  /// Looking for `sub` in `text`, over and over if need be: at worst each place compares all of it.
  void step_search(std::string_view text, std::string_view sub) {
    const size_t places = text.size() - std::min(text.size(), sub.size()) + 1;
    step_bytes(text.size() + places * std::min(text.size(), sub.size()));
  }
  void reserve(size_t bytes) {
    if (bytes > limits_.memory_bytes - used_)
      raise(Fault::kLimit, "more than {} bytes of values", limits_.memory_bytes);
    used_ += bytes;
  }
  void release(size_t bytes) noexcept { used_ -= bytes; }
  const Limits& limits() const { return limits_; }

  /// An object paid from the budget; `below` is the depth of what it will hold.
  template <class T, class... A>
  Ref<T> make(size_t extra_bytes, int below, A&&... args) {
    if (below >= kMaxValueDepth)
      raise(Fault::kLimit, "values nested deeper than {}", kMaxValueDepth);
    auto object = std::make_shared<T>(std::forward<A>(args)...);
    pay(*object, sizeof(T) + extra_bytes);
    object->depth = below + 1;
    return object;
  }
  void pay(Object& object, size_t bytes) {
    reserve(bytes);
    object.payer = this;
    object.bytes += bytes;
  }
  Value string(std::string text, bool markup = false);
  Value list(std::vector<Value> items) { return sequence(Kind::kList, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::kTuple, std::move(items)); }
  Value undefined(std::string message);
  Value undefined_name(std::string_view name);
  Ref<Dict> dict();
  /// Keeps an object that may sit in a cycle until the end of the render, and clears it then.
  void keep(Ref<Object> object);

  std::optional<std::chrono::system_clock::time_point> now;  // for strftime_now; unset: the clock
  int depth = 0;                                             // nested evaluation, see Nesting

 private:
  Value sequence(Kind kind, std::vector<Value> items);

  Limits limits_;
  uint64_t steps_left_;
  size_t used_ = 0;
  std::vector<Ref<Object>> kept_;
};

/// One level of recursion while it lives.
class Nesting {
 public:
  explicit Nesting(Runtime& rt) : rt_(rt) {
    if (++rt_.depth <= rt_.limits().depth) return;
    --rt_.depth;
    raise(Fault::kLimit, "nested deeper than {}", rt_.limits().depth);
  }
  ~Nesting() { --rt_.depth; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Runtime& rt_;
};

/// Memory paid for while it lives: scratch that belongs to no value.
class Reservation {
 public:
  Reservation(Runtime& rt, size_t bytes) : rt_(rt), bytes_(bytes) { rt_.reserve(bytes); }
  ~Reservation() { rt_.release(bytes_); }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  void grow(size_t bytes) {
    rt_.reserve(bytes);
    bytes_ += bytes;
  }

 private:
  Runtime& rt_;
  size_t bytes_;
};

/// A growing text that pays for what it holds.
class Writer {
 public:
  explicit Writer(Runtime& rt) : rt_(rt) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { rt_.release(text_.size()); }
  Writer& operator<<(std::string_view piece) {
    check(piece.size());
    text_ += piece;
    return *this;
  }
  void fill(size_t n, std::string_view piece = " ") {
    for (size_t i = 0; i < n; ++i) *this << piece;
  }
  const std::string& text() const { return text_; }
  std::string take() {
    rt_.release(text_.size());
    return std::exchange(text_, {});
  }

 private:
  void check(size_t n);
  Runtime& rt_;
  std::string text_;
};

/// A growing list of values that pays for itself.
class Items {
 public:
  explicit Items(Runtime& rt) : rt_(rt) {}
  Items(const Items&) = delete;
  Items& operator=(const Items&) = delete;
  ~Items() { rt_.release(values_.size() * sizeof(Value)); }
  void push(Value v) {
    rt_.step();
    rt_.reserve(sizeof(Value));
    values_.push_back(std::move(v));
  }
  size_t size() const { return values_.size(); }
  std::vector<Value> take() {
    rt_.release(values_.size() * sizeof(Value));
    return std::exchange(values_, {});
  }

 private:
  Runtime& rt_;
  std::vector<Value> values_;
};

/// The parameters of a Python callable, bound as Python binds them. A name that starts with '/' is
/// positional only. Absent arguments are kMissing.
class Bound {
 public:
  Bound(Args& args, std::string_view what, std::initializer_list<std::string_view> names,
        size_t required);
  const Value& operator[](size_t i) const { return values_[i]; }
  bool has(size_t i) const { return !values_[i].is_missing(); }
  /// Absent or None.
  bool none(size_t i) const { return !has(i) || values_[i].is(Kind::kNone); }

 private:
  std::vector<Value> values_;
};

}  // namespace planeloom::jinja
