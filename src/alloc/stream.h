// How much of the residual stream a linear has a say in, told from weights alone. Planeloom's own
// measure, for what NSDS does not ask: how large what a layer writes is beside what is there
// already, to the layers after it and to the head. docs/allocation.md has the reasoning.
#pragma once
#include <span>
#include <vector>

#include "alloc/block_weights.h"

namespace planeloom {

/// Attention writes the mean over about kAttended tokens of what heads make of one, independent of
/// one another. Chosen by what the oracle says of SmolLM2-135M (docs/results/allocation.md): rank
/// correlations over its linears were 0.27 with one token, 0.56 with 2, 0.68 with 4, 0.75 with 32,
/// over its layers 0.54, 0.48, 0.44 and 0.37.
inline constexpr double kAttended = 4;

/// Of something written into the stream.
struct Written {
  double length = 0;  // expected square
  double read = 0;    // mean square of what rows of the head read of it
};

/// Mean over rows, (n, width), written as they are. head: (rows, width), some of the head's rows,
/// gains of the output norm folded in, their mean taken off (softmax does not see it).
Written mean_written(MatrixView rows, MatrixView head);

/// What a block would write for inputs that are normal, of variance one, independent, then scaled
/// by the gains of the norm before. Heads and hidden units each by themselves: how far they go
/// together is left out.
struct BlockEnergy {
  Written attention, feed_forward;
  double logits = 0;  // variance of attention logits, mean over heads; rotary angles left out
  double gate = 0;    // relative error of the feed-forward's output for one of the gate's
};
BlockEnergy block_energy(const BlockWeights& block, MatrixView head);

/// What a unit of relative error in a linear is worth: the share of the stream's energy at its
/// layer that attention or the feed-forward has just written, which later layers read, and the
/// share of what the head reads in the end, times, for the gate, how an error passes the gate, and
/// for queries and keys v / (1 + v), v the variance of the logits: an error in them changes at most
/// all that is attended to.
struct StreamShares {
  double query_key = 0, value_output = 0, gate = 0, up_down = 0;
};

/// (layers). `embedding`: the mean of what enters the first layer.
std::vector<StreamShares> stream_shares(std::span<const BlockEnergy> layers, Written embedding);

}  // namespace planeloom
