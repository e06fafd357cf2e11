// Errors pushed from row to row: what the outputs of a linear mean to the model's loss together.
#pragma once
#include "quant/methods.h"

namespace planeloom {

/// Quantizes rows block by block (kRowsInTurn) with `quantize`. With G = R R^T the second moments
/// of the loss's gradient by the outputs (context.input.outputs) and H those of the inputs, the
/// loss is tr(D^T G D H), D = W - W' (K-FAC, arXiv 1503.05671; YAQA, arXiv 2505.22988):
/// the target of rows B is W_B + R_BB^-T R_before,B^T D_before, as columns are pushed by H's
/// factor.
Result<QuantResult> quantize_rows_in_turn(const MethodContext& context,
                                          Result<QuantResult> (*quantize)(const MethodContext&));

}  // namespace planeloom
