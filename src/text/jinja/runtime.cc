#include "text/jinja/runtime.h"

#include <algorithm>

namespace planeloom::jinja {

Object::~Object() {
  if (payer) payer->release(bytes);
}

Runtime::~Runtime() {
  // Everything kept stays alive while the links between the kept objects are cut, so that no
  // destructor recurses through more than one of them.
  for (const Ref<Object>& object : kept_) object->clear();
}

void Runtime::keep(Ref<Object> object) {
  reserve(sizeof(Ref<Object>));
  kept_.push_back(std::move(object));
}

Value Runtime::string(std::string text, bool markup) {
  step_bytes(text.size());
  const size_t bytes = text.size();
  return Value(Kind::kString, make<String>(bytes, -1, std::move(text), markup));
}

Value Runtime::sequence(Kind kind, std::vector<Value> items) {
  int below = 0;
  for (const Value& item : items) below = std::max(below, item.depth());
  const size_t bytes = items.size() * sizeof(Value);
  return Value(kind, make<Sequence>(bytes, below, std::move(items)));
}

Value Runtime::undefined(std::string message) {
  const size_t bytes = message.size();
  return Value(Kind::kUndefined, make<String>(bytes, -1, std::move(message), false));
}

Value Runtime::undefined_name(std::string_view name) {
  return undefined(fmt::format("'{}' is undefined", name));
}

Ref<Dict> Runtime::dict() { return make<Dict>(0, 0); }

void Writer::check(size_t n) {
  rt_.step_bytes(n);
  if (n > rt_.limits().output_bytes - text_.size())
    raise(Fault::kLimit, "a text above {} bytes", rt_.limits().output_bytes);
  rt_.reserve(n);
}

Bound::Bound(Args& args, std::string_view what, std::initializer_list<std::string_view> names,
             size_t required)
    : values_(names.size(), Value::missing()) {
  if (args.positional.size() > names.size())
    raise(Fault::kType, "{} takes at most {} arguments, got {}", what, names.size(),
          args.positional.size());
  std::copy(args.positional.begin(), args.positional.end(), values_.begin());
  for (auto& [keyword, value] : args.keywords) {
    const auto at = std::find(names.begin(), names.end(), keyword);
    if (at == names.end()) raise(Fault::kType, "{} takes no keyword argument '{}'", what, keyword);
    Value& slot = values_[static_cast<size_t>(at - names.begin())];
    if (!slot.is_missing())
      raise(Fault::kType, "{} got two values for argument '{}'", what, keyword);
    slot = value;
  }
  for (size_t i = 0; i < required; ++i)
    if (values_[i].is_missing())
      raise(Fault::kType, "{} misses argument '{}'", what, *(names.begin() + i));
}

}  // namespace planeloom::jinja
