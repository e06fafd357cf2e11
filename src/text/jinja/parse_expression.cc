#include <algorithm>
#include <array>

#include "text/jinja/runtime.h"
#include "text/jinja/token_stream.h"

namespace planeloom::jinja {
namespace {

constexpr int kMaxParseDepth = 300;  // three per pair of parentheses

bool reserved(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames = {"true", "false", "none",
                                                      "True", "False", "None"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

Value string_constant(std::string text) {
  return Value(Kind::kString, std::make_shared<String>(std::move(text), false));
}

Op comparison_op(const Token& t) {
  constexpr std::pair<std::string_view, Op> kOps[] = {{"==", Op::kEq}, {"!=", Op::kNe},
                                                      {"<", Op::kLt},  {"<=", Op::kLe},
                                                      {">", Op::kGt},  {">=", Op::kGe}};
  if (t.type == Tok::kOperator)
    for (const auto& [text, op] : kOps)
      if (t.text == text) return op;
  return Op::kNoOp;
}

}  // namespace

ExprPtr ExpressionParser::make(ExprKind kind, int line, std::vector<ExprPtr> items) {
  auto e = std::make_unique<Expr>();
  e->kind = kind;
  e->line = line;
  e->items = std::move(items);
  measure(*e);
  return e;
}

/// Trees are walked recursively everywhere, so their height is bounded here, once.
void ExpressionParser::measure(Expr& e) {
  int below = 0;
  const auto see = [&](const ExprPtr& child) {
    if (child) below = std::max(below, child->height);
  };
  for (const ExprPtr& item : e.items) see(item);
  if (e.arguments) {
    for (const ExprPtr& item : e.arguments->positional) see(item);
    for (const auto& [key, item] : e.arguments->keywords) see(item);
    see(e.arguments->spread);
    see(e.arguments->spread_keywords);
  }
  e.height = below + 1;
  if (e.height > kMaxExpressionHeight) s_.fail("expression nested too deeply", e.line);
}

ExprPtr ExpressionParser::binary(Op op, int line, ExprPtr left, ExprPtr right) {
  std::vector<ExprPtr> items;
  items.push_back(std::move(left));
  items.push_back(std::move(right));
  ExprPtr e = make(ExprKind::kBinary, line, std::move(items));
  e->op = op;
  return e;
}

ExprPtr ExpressionParser::constant(Value value, int line) {
  ExprPtr e = make(ExprKind::kConst, line);
  e->value = std::move(value);
  return e;
}

ExprPtr ExpressionParser::condition() {
  const ParseNesting nesting(s_, depth_, kMaxParseDepth);
  int line = s_.line();
  ExprPtr result = disjunction();
  while (s_.skip_name("if")) {
    std::vector<ExprPtr> items;
    items.push_back(disjunction());
    items.push_back(std::move(result));
    items.push_back(s_.skip_name("else") ? condition() : nullptr);
    result = make(ExprKind::kConditional, line, std::move(items));
    line = s_.line();
  }
  return result;
}

ExprPtr ExpressionParser::disjunction() {
  const ParseNesting nesting(s_, depth_, kMaxParseDepth);
  ExprPtr left = conjunction();
  if (!s_.is_name("or")) return left;
  std::vector<ExprPtr> items;
  const int line = left->line;
  items.push_back(std::move(left));
  while (s_.skip_name("or")) items.push_back(conjunction());
  return make(ExprKind::kOr, line, std::move(items));
}

ExprPtr ExpressionParser::conjunction() {
  ExprPtr left = negation();
  if (!s_.is_name("and")) return left;
  std::vector<ExprPtr> items;
  const int line = left->line;
  items.push_back(std::move(left));
  while (s_.skip_name("and")) items.push_back(negation());
  return make(ExprKind::kAnd, line, std::move(items));
}

ExprPtr ExpressionParser::negation() {
  if (!s_.is_name("not")) return comparison();
  const ParseNesting nesting(s_, depth_, kMaxParseDepth);
  const int line = s_.next().line;
  std::vector<ExprPtr> items;
  items.push_back(negation());
  ExprPtr e = make(ExprKind::kUnary, line, std::move(items));
  e->op = Op::kNot;
  return e;
}

ExprPtr ExpressionParser::comparison() {
  const int line = s_.line();
  std::vector<ExprPtr> items;
  std::vector<Op> ops;
  items.push_back(sum());
  for (;;) {
    Op op = comparison_op(s_.current());
    if (op != Op::kNoOp) {
      s_.next();
    } else if (s_.skip_name("in")) {
      op = Op::kIn;
    } else if (s_.is_name("not") && s_.look().is(Tok::kName, "in")) {
      s_.next(), s_.next();
      op = Op::kNotIn;
    } else {
      break;
    }
    ops.push_back(op);
    items.push_back(sum());
  }
  if (ops.empty()) return std::move(items[0]);
  ExprPtr e = make(ExprKind::kCompare, line, std::move(items));
  e->ops = std::move(ops);
  return e;
}

ExprPtr ExpressionParser::sum() {
  const int line = s_.line();
  ExprPtr left = concatenation();
  while (s_.is_op("+") || s_.is_op("-")) {
    const Op op = s_.next().text == "+" ? Op::kAdd : Op::kSub;
    left = binary(op, line, std::move(left), concatenation());
  }
  return left;
}

ExprPtr ExpressionParser::concatenation() {
  const int line = s_.line();
  ExprPtr first = product();
  if (!s_.is_op("~")) return first;
  std::vector<ExprPtr> items;
  items.push_back(std::move(first));
  while (s_.skip_op("~")) items.push_back(product());
  return make(ExprKind::kConcat, line, std::move(items));
}

ExprPtr ExpressionParser::product() {
  const int line = s_.line();
  ExprPtr left = power();
  for (;;) {
    const Op op = s_.is_op("*")    ? Op::kMul
                  : s_.is_op("/")  ? Op::kDiv
                  : s_.is_op("//") ? Op::kFloorDiv
                  : s_.is_op("%")  ? Op::kMod
                                   : Op::kNoOp;
    if (op == Op::kNoOp) return left;
    s_.next();
    left = binary(op, line, std::move(left), power());
  }
}

ExprPtr ExpressionParser::power() {
  const int line = s_.line();
  ExprPtr left = unary();
  // Left to right, unlike Python: jinja2's grammar.
  while (s_.skip_op("**")) left = binary(Op::kPow, line, std::move(left), unary());
  return left;
}

ExprPtr ExpressionParser::unary(bool with_filter) {
  const ParseNesting nesting(s_, depth_, kMaxParseDepth);
  const int line = s_.line();
  ExprPtr node;
  if (s_.is_op("-") || s_.is_op("+")) {
    const Op op = s_.next().text == "-" ? Op::kNegate : Op::kPlus;
    std::vector<ExprPtr> items;
    items.push_back(unary(false));
    node = make(ExprKind::kUnary, line, std::move(items));
    node->op = op;
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filter_expression(std::move(node)) : std::move(node);
}

ExprPtr ExpressionParser::primary(bool namespace_refs) {
  const int line = s_.line();
  switch (s_.current().type) {
    case Tok::kName:
      return name(namespace_refs);
    case Tok::kString:
      return strings();
    case Tok::kInteger:
      return constant(Value(s_.next().integer), line);
    case Tok::kFloat:
      return constant(Value(s_.next().real), line);
    default:
      break;
  }
  if (s_.skip_op("(")) {
    ExprPtr e = tuple({.parenthesized = true});
    s_.expect_op(")");
    return e;
  }
  if (s_.is_op("[")) return list();
  if (s_.is_op("{")) return dict();
  s_.fail("unexpected '" + s_.describe() + "'");
}

ExprPtr ExpressionParser::name(bool namespace_refs) {
  const Token& token = s_.next();
  if (token.text == "true" || token.text == "True") return constant(Value(true), token.line);
  if (token.text == "false" || token.text == "False") return constant(Value(false), token.line);
  if (token.text == "none" || token.text == "None") return constant(Value(), token.line);
  ExprPtr e = make(ExprKind::kName, token.line);
  e->name = token.text;
  if (namespace_refs && s_.skip_op(".")) {
    e->kind = ExprKind::kNamespaceRef;
    e->attribute = s_.expect_identifier();
  }
  return e;
}

ExprPtr ExpressionParser::strings() {
  const int line = s_.line();
  std::string text;
  while (s_.is(Tok::kString)) text += s_.next().text;
  return constant(string_constant(std::move(text)), line);
}

ExprPtr ExpressionParser::list() {
  const int line = s_.line();
  std::vector<ExprPtr> items;
  s_.expect_op("[");
  while (!s_.is_op("]")) {
    if (!items.empty()) s_.expect_op(",");
    if (s_.is_op("]")) break;
    items.push_back(expression());
  }
  s_.expect_op("]");
  return make(ExprKind::kList, line, std::move(items));
}

ExprPtr ExpressionParser::dict() {
  const int line = s_.line();
  std::vector<ExprPtr> items;
  s_.expect_op("{");
  while (!s_.is_op("}")) {
    if (!items.empty()) s_.expect_op(",");
    if (s_.is_op("}")) break;
    items.push_back(expression());
    s_.expect_op(":");
    items.push_back(expression());
  }
  s_.expect_op("}");
  return make(ExprKind::kDict, line, std::move(items));
}

ExprPtr ExpressionParser::tuple(const TupleRules& rules) {
  const int line = s_.line();
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  for (;;) {
    if (!items.empty()) s_.expect_op(",");
    if (s_.is(Tok::kVariableEnd) || s_.is(Tok::kBlockEnd) || s_.is_op(")")) break;
    if (!rules.end_name.empty() && s_.is_name(rules.end_name)) break;
    items.push_back(rules.targets ? primary(rules.namespace_refs)
                                  : expression(rules.with_condition));
    if (!s_.is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items[0]);
  if (!is_tuple && !rules.parenthesized)
    s_.fail("expected an expression, got '" + s_.describe() + "'");
  return make(ExprKind::kTuple, line, std::move(items));
}

ExprPtr ExpressionParser::target(std::string_view end_name, bool namespace_refs) {
  ExprPtr e = tuple({.end_name = end_name, .targets = true, .namespace_refs = namespace_refs});
  check_target(*e);
  return e;
}

void ExpressionParser::check_target(const Expr& e) {
  if (e.kind == ExprKind::kName || e.kind == ExprKind::kNamespaceRef) return;
  if (e.kind != ExprKind::kTuple) s_.fail("can't assign to this expression", e.line);
  for (const ExprPtr& item : e.items) check_target(*item);
}

std::string ExpressionParser::target_name() {
  const int line = s_.line();
  std::string text = s_.expect_identifier();
  if (reserved(text)) s_.fail("can't assign to '" + text + "'", line);
  return text;
}

ExprPtr ExpressionParser::postfix(ExprPtr node) {
  for (;;) {
    if (s_.is_op(".") || s_.is_op("["))
      node = subscript(std::move(node));
    else if (s_.is_op("("))
      node = call(std::move(node));
    else
      return node;
  }
}

ExprPtr ExpressionParser::filter_expression(ExprPtr node) {
  for (;;) {
    if (s_.is_op("|"))
      node = filters(std::move(node));
    else if (s_.is_name("is"))
      node = test(std::move(node));
    else if (s_.is_op("("))
      node = call(std::move(node));
    else
      return node;
  }
}

ExprPtr ExpressionParser::subscript(ExprPtr node) {
  const int line = s_.line();
  std::vector<ExprPtr> items;
  if (s_.skip_op("[")) return subscribed(std::move(node));
  s_.expect_op(".");
  items.push_back(std::move(node));
  if (s_.is(Tok::kInteger)) {
    items.push_back(constant(Value(s_.next().integer), line));
    return make(ExprKind::kItem, line, std::move(items));
  }
  ExprPtr e = make(ExprKind::kAttribute, line, std::move(items));
  e->name = s_.expect_identifier();
  return e;
}

/// Behind "[": an index, a slice, or several indices that make a tuple.
ExprPtr ExpressionParser::subscribed(ExprPtr node) {
  const int line = s_.line();
  std::vector<ExprPtr> parts(3), items;
  const auto ends = [&] { return s_.is_op("]") || s_.is_op(":"); };
  if (!ends()) parts[0] = expression();
  if (s_.skip_op(":")) {
    if (!ends()) parts[1] = expression();
    if (s_.skip_op(":") && !ends()) parts[2] = expression();
    s_.expect_op("]");  // a slice among several indices is no valid Python either
    items.push_back(std::move(node));
    for (ExprPtr& part : parts) items.push_back(std::move(part));
    return make(ExprKind::kSlice, line, std::move(items));
  }
  std::vector<ExprPtr> indices;
  if (parts[0]) indices.push_back(std::move(parts[0]));
  while (!s_.is_op("]")) {
    s_.expect_op(",");
    indices.push_back(expression());
  }
  s_.expect_op("]");
  ExprPtr index = indices.size() == 1 ? std::move(indices[0])
                                      : make(ExprKind::kTuple, line, std::move(indices));
  items.push_back(std::move(node));
  items.push_back(std::move(index));
  return make(ExprKind::kItem, line, std::move(items));
}

std::unique_ptr<Arguments> ExpressionParser::arguments() {
  const ParseNesting nesting(s_, depth_, kMaxParseDepth);
  auto a = std::make_unique<Arguments>();
  const int line = s_.line();
  const auto ensure = [&](bool valid) {
    if (!valid) s_.fail("invalid syntax for function call expression", line);
  };
  s_.expect_op("(");
  for (bool first = true; !s_.is_op(")"); first = false) {
    if (!first) s_.expect_op(",");
    if (s_.is_op(")")) break;
    if (s_.skip_op("*")) {
      ensure(!a->spread && !a->spread_keywords);
      a->spread = expression();
    } else if (s_.skip_op("**")) {
      ensure(!a->spread_keywords);
      a->spread_keywords = expression();
    } else if (s_.is(Tok::kName) && s_.look().is(Tok::kOperator, "=")) {
      ensure(!a->spread_keywords);
      std::string key = s_.next().text;
      s_.next();
      for (const auto& [known, value] : a->keywords)
        if (known == key) s_.fail("keyword argument '" + key + "' is repeated");
      a->keywords.emplace_back(std::move(key), expression());
    } else {
      ensure(!a->spread && !a->spread_keywords && a->keywords.empty());
      a->positional.push_back(expression());
    }
  }
  s_.expect_op(")");
  return a;
}

ExprPtr ExpressionParser::call(ExprPtr node) {
  const int line = s_.line();
  std::vector<ExprPtr> items;
  items.push_back(std::move(node));
  ExprPtr e = make(ExprKind::kCall, line, std::move(items));
  e->arguments = arguments();
  measure(*e);
  return e;
}

ExprPtr ExpressionParser::filters(ExprPtr node, bool start_inline) {
  while (start_inline || s_.is_op("|")) {
    if (!start_inline) s_.next();
    start_inline = false;
    const int line = s_.line();
    std::vector<ExprPtr> items;
    items.push_back(std::move(node));
    ExprPtr e = make(ExprKind::kFilter, line, std::move(items));
    e->name = s_.expect_identifier();
    while (s_.skip_op(".")) e->name += "." + s_.expect_identifier();
    e->arguments = s_.is_op("(") ? arguments() : std::make_unique<Arguments>();
    measure(*e);
    node = std::move(e);
  }
  return node;
}

ExprPtr ExpressionParser::test(ExprPtr node) {
  const int line = s_.next().line;
  const bool negated = s_.skip_name("not");
  std::vector<ExprPtr> items;
  items.push_back(std::move(node));
  ExprPtr e = make(ExprKind::kTest, line, std::move(items));
  e->name = s_.expect_identifier();
  while (s_.skip_op(".")) e->name += "." + s_.expect_identifier();
  const Tok t = s_.current().type;
  if (s_.is_op("(")) {
    e->arguments = arguments();
  } else {
    e->arguments = std::make_unique<Arguments>();
    const bool argument = t == Tok::kName || t == Tok::kString || t == Tok::kInteger ||
                          t == Tok::kFloat || s_.is_op("[") || s_.is_op("{");
    if (argument && !s_.is_name("else") && !s_.is_name("or") && !s_.is_name("and")) {
      if (s_.is_name("is")) s_.fail("you cannot chain multiple tests with is");
      const ParseNesting nesting(s_, depth_, kMaxParseDepth);
      e->arguments->positional.push_back(postfix(primary()));
    }
  }
  measure(*e);
  if (!negated) return e;
  std::vector<ExprPtr> operand;
  operand.push_back(std::move(e));
  ExprPtr inverted = make(ExprKind::kUnary, line, std::move(operand));
  inverted->op = Op::kNot;
  return inverted;
}

}  // namespace planeloom::jinja
