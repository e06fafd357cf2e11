// The tree of a template. Names carry slots once scope.h has resolved them.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace planeloom::jinja {

enum class Op : uint8_t {
  kNoOp,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kNegate,
  kPlus,
  kNot,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kIn,
  kNotIn,
};

/// A variable: `hops` functions outwards, then a slot.
struct Slot {
  int hops = 0;
  int index = -1;
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind : uint8_t {
  kConst,         // value
  kName,          // name, slot
  kNamespaceRef,  // name.attribute as an assignment target
  kTuple,
  kList,
  kConcat,
  kAnd,
  kOr,           // items
  kDict,         // items: key, value, key, value, ...
  kUnary,        // op, items[0]
  kBinary,       // op, items[0..1]
  kCompare,      // items[0] ops[0] items[1] ops[1] items[2] ...
  kConditional,  // items: test, then, else (null when absent)
  kAttribute,    // items[0] . name
  kItem,         // items[0] [ items[1] ]
  kSlice,        // items[0] [ items[1] : items[2] : items[3] ], each of the three may be null
  kCall,         // items[0] ( arguments )
  kFilter,       // items[0] (null inside filter blocks) | name ( arguments )
  kTest,         // items[0] is name ( arguments )
};

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> keywords;
  ExprPtr spread, spread_keywords;  // *args, **kwargs
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  Op op = Op::kNoOp;
  int line = 0;
  int height = 1;  // of the tree below
  Slot slot;
  Value value;
  std::string name, attribute;
  std::vector<ExprPtr> items;
  std::vector<Op> ops;
  std::unique_ptr<Arguments> arguments;
};

/// How a variable starts when a scope is entered.
struct Load {
  enum From { kContext, kOuter, kUnbound };
  From from;
  int index;         // slot of the current function
  Slot outer;        // kOuter
  std::string name;  // kContext
};

struct Stmt;
using Block = std::vector<std::unique_ptr<Stmt>>;

/// What a call creates: variables of a macro, a recursive loop or a loop's filter.
struct FunctionInfo {
  int slots = 0;
  bool captured = false;  // something defined inside refers to its variables
};

struct Parameter {
  std::string name;
  ExprPtr fallback;  // null: undefined when not given
  int line = 0;
  int slot = -1;
};

struct MacroInfo {
  std::string name;  // empty: the body of a call block
  std::vector<Parameter> parameters;
  int caller = -1, kwargs = -1, varargs = -1;  // slots of the special parameters that the body uses
  bool accesses_caller = false, explicit_caller = false;
  std::vector<Load> loads;
  FunctionInfo function;
};

struct ForInfo {
  bool recursive = false, extended = false;  // extended: the body uses `loop`
  int loop_slot = -1;
  std::vector<Load> body_loads, else_loads, test_loads;
  ExprPtr test, test_target;  // test_target: the target again, in the test's own function
  FunctionInfo test_function, loop_function;
};

enum class StmtKind : uint8_t {
  kOutput,       // exprs
  kFor,          // target in exprs[0]; body; otherwise
  kIf,           // exprs[i] with blocks[i]; otherwise
  kSet,          // target = exprs[0]
  kSetBlock,     // target = body, through exprs[0] when it is not null
  kWith,         // targets = exprs; body
  kMacro,        // macro; body
  kCallBlock,    // exprs[0] is a call (null for a generation block); macro; body
  kFilterBlock,  // exprs[0] is a filter; body
  kBreak,
  kContinue,
};

struct Stmt {
  StmtKind kind = StmtKind::kOutput;
  int line = 0;
  int slot = -1;  // kMacro: where the macro goes
  std::vector<ExprPtr> targets, exprs;
  std::vector<Block> blocks;
  Block body, otherwise;
  std::unique_ptr<ForInfo> loop;
  std::unique_ptr<MacroInfo> macro;
  std::vector<Load> loads;  // kSetBlock, kWith, kFilterBlock
};

struct Program {
  Block body;
  std::vector<Load> loads;
  FunctionInfo function;
};

}  // namespace planeloom::jinja
