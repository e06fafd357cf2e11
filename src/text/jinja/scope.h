#pragma once
#include "text/jinja/ast.h"

namespace planeloom::jinja {

/// Gives every name its slot, with the scoping that jinja2's compiler gives it (idtracking.py and
/// compiler.py), and checks what that compiler checks: loop controls outside loops, assignments to
/// `loop`, filters and tests that do not exist. Raises kTemplate with the line.
void resolve(Program& program);

}  // namespace planeloom::jinja
