// The values of the template language: Python's, as far as chat templates see them.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace planeloom::jinja {

class Runtime;

/// Which Python exception a failure stands for: some filters catch some of them.
enum class Fault { kType, kValue, kLookup, kOverflow, kUndefined, kTemplate, kSecurity, kLimit };

/// Thrown inside this folder only; Template::parse and Template::render turn it into an Error.
struct Raise {
  Fault fault;
  std::string message;
  int line = 0;
};

enum class Kind : uint8_t {
  kMissing,  // an unbound variable or an absent argument; never seen by a template
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,
  kRange,
  kIterator,
  kNamespace,
  kMacro,
  kLoop,
  kFunction,
  kMethod,
  kCycler,
  kJoiner,
};

/// What a value refers to when it is no plain scalar. Objects do not change once built, except
/// namespaces, iterators, loops, cyclers and joiners.
struct Object {
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object();
  /// Drops what the object refers to: how cycles end when the render does.
  virtual void clear() {}
  Runtime* payer = nullptr;  // whose memory budget it counts in; null for a template's constants
  size_t bytes = 0;
  int depth = 0;  // containers nested below; bounded by kMaxValueDepth
};

template <class T>
using Ref = std::shared_ptr<T>;

class Value {
 public:
  Value() = default;  // None
  explicit Value(bool b) : kind_(Kind::kBool) { scalar_.integer = b; }
  explicit Value(int64_t i) : kind_(Kind::kInt) { scalar_.integer = i; }
  explicit Value(double d) : kind_(Kind::kFloat) { scalar_.real = d; }
  Value(Kind kind, Ref<Object> object) : kind_(kind), object_(std::move(object)) {}
  static Value missing() { return Value(Kind::kMissing, nullptr); }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_missing() const { return kind_ == Kind::kMissing; }
  bool is_int() const {
    return kind_ == Kind::kInt || kind_ == Kind::kBool;
  }  // as isinstance(x, int)
  bool is_number() const { return is_int() || kind_ == Kind::kFloat; }
  int64_t integer() const { return scalar_.integer; }
  double real() const {
    return kind_ == Kind::kFloat ? scalar_.real : static_cast<double>(scalar_.integer);
  }
  const Ref<Object>& object() const { return object_; }
  int depth() const { return object_ ? object_->depth : 0; }
  template <class T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  const std::string& text() const;          // kString
  const std::vector<Value>& items() const;  // kList, kTuple

 private:
  Kind kind_ = Kind::kNone;
  union {
    int64_t integer;
    double real;
  } scalar_ = {0};
  Ref<Object> object_;
};

/// Generalized UTF-8 (a template can write lone surrogates), indexed by code point as Python does.
struct String : Object {
  String(std::string t, bool m);
  const std::string text;
  const bool markup;    // markupsafe.Markup: what the filters safe and escape return
  const int64_t chars;  // code points
  bool ascii() const { return static_cast<size_t>(chars) == text.size(); }
};

struct Sequence : Object {
  explicit Sequence(std::vector<Value> i) : items(std::move(i)) {}
  std::vector<Value> items;
  bool group = false;  // of groupby: a tuple with the attributes grouper and list
};

/// Insertion-ordered; keys are hashable values, equal as in Python (1 == 1.0 == True).
struct Dict : Object {
  std::vector<std::pair<Value, Value>> entries;
  std::vector<uint32_t> table;  // open addressing, entry + 1; empty while there are few entries
  std::vector<size_t> hashes;   // of the keys, in the order of entries
  const Value* find(Runtime& rt, const Value& key) const;
  const Value* find(Runtime& rt, std::string_view key) const;
  void set(Runtime& rt, const Value& key, Value value);
  void clear() override { entries.clear(), table.clear(), hashes.clear(); }

 private:
  int64_t index_of(Runtime& rt, const Value& key, size_t hash) const;
  void rebuild(Runtime& rt);
};

struct View : Object {
  enum Which { kKeys, kValues, kItems };
  View(Ref<Dict> d, Which w) : dict(std::move(d)), which(w) {}
  Ref<Dict> dict;
  Which which;
};

struct Range : Object {
  Range(int64_t a, int64_t b, int64_t c) : start(a), stop(b), step(c) {}
  int64_t start, stop, step;
  int64_t size() const;
};

/// A Python iterator or generator: lazy, and spent after one pass.
struct Iterator : Object {
  virtual bool next(Runtime& rt, Value& out) = 0;
};

struct Namespace : Object {
  Ref<Dict> attributes;
  void clear() override { attributes->clear(); }
};

/// The arguments of one call.
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;
};

struct Function : Object {
  using Body = Value (*)(Runtime&, Args&);
  Function(const char* n, Body b) : name(n), body(b) {}
  const char* name;
  Body body;
};

struct Method : Object {
  using Body = Value (*)(Runtime&, const Value& self, Args&);
  Method(Value s, const char* n, Body b) : self(std::move(s)), name(n), body(b) {}
  Value self;
  const char* name;
  Body body;
};

struct Cycler : Object {
  std::vector<Value> items;
  size_t position = 0;
};

struct Joiner : Object {
  std::string separator;
  bool used = false;
};

inline const std::string& Value::text() const { return as<String>().text; }
inline const std::vector<Value>& Value::items() const { return as<Sequence>().items; }

}  // namespace planeloom::jinja
