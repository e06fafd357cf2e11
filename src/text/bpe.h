// Byte-pair encoding: repeatedly merge the best adjacent pair, leftmost first among equals. O(n log
// n) in the piece.
#pragma once
#include <cstdint>
#include <queue>
#include <vector>

namespace planeloom {

/// A run of bytes [begin, begin + length) of the text being encoded; `id` is whatever the merge
/// rule keeps per symbol.
struct BpeSymbol {
  int32_t begin = 0, length = 0, id = -1;
};

/// What merging two neighbours gives; priority: lower is merged earlier. `ok` false: they do not
/// merge.
struct BpeMerge {
  bool ok = false;
  double priority = 0;
  int32_t id = -1;
};

/// Merges `symbols` in place; merge(left, right) -> BpeMerge, called once per pair that becomes
/// adjacent.
template <class MergeRule>
void bpe_merge(std::vector<BpeSymbol>& symbols, MergeRule merge) {
  struct Candidate {
    double priority;
    int32_t left, right;                // indices of symbols
    int32_t left_length, right_length;  // stale when these changed
    int32_t id;
    bool operator<(const Candidate& other) const {  // std::priority_queue takes the largest
      return priority != other.priority ? priority > other.priority : left > other.left;
    }
  };
  const auto n = static_cast<int32_t>(symbols.size());
  std::vector<int32_t> previous(symbols.size()), next(symbols.size());
  std::priority_queue<Candidate> queue;
  const auto propose = [&](int32_t left, int32_t right) {
    if (left < 0 || right >= n) return;
    const BpeMerge m =
        merge(symbols[static_cast<size_t>(left)], symbols[static_cast<size_t>(right)]);
    if (m.ok)
      queue.push({m.priority, left, right, symbols[static_cast<size_t>(left)].length,
                  symbols[static_cast<size_t>(right)].length, m.id});
  };
  for (int32_t i = 0; i < n; ++i) {
    previous[static_cast<size_t>(i)] = i - 1;
    next[static_cast<size_t>(i)] = i + 1;
    propose(i - 1, i);
  }
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    BpeSymbol& left = symbols[static_cast<size_t>(c.left)];
    BpeSymbol& right = symbols[static_cast<size_t>(c.right)];
    if (left.length != c.left_length || right.length != c.right_length)
      continue;  // merged away or grown since
    left.length += right.length;
    left.id = c.id;
    right.length = 0;
    const int32_t after = next[static_cast<size_t>(c.right)];
    next[static_cast<size_t>(c.left)] = after;
    if (after < n) previous[static_cast<size_t>(after)] = c.left;
    propose(previous[static_cast<size_t>(c.left)], c.left);
    propose(c.left, after);
  }
  std::erase_if(symbols, [](const BpeSymbol& s) { return s.length == 0; });
}

}  // namespace planeloom
