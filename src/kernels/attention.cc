#include "kernels/attention.h"

#include <algorithm>
#include <cstring>

#include "kernels/ref/ref.h"
#include "kernels/scratch.h"
#include "kernels/softcap.h"

namespace planeloom {
namespace {

constexpr int64_t kTokenTile = 8;  // tokens that share one conversion of keys and values
constexpr int64_t kBlock = 256;    // positions of a block, from a multiple of it on

/// Rows [begin, end) of one kv head as float: converted into `buffer`, or in place when stored as
/// float.
const float* float_rows(const Compute& compute, const CacheView& cache, const std::byte* base,
                        int64_t head, int64_t head_dim, int64_t begin, int64_t end,
                        std::vector<float>& buffer) {
  const std::byte* from = base + (head * cache.capacity + begin) * cache.row_bytes(head_dim);
  const int64_t n = (end - begin) * head_dim;
  if (cache.type == DType::kF32) return reinterpret_cast<const float*>(from);
  float* rows = at_least(buffer, kBlock * head_dim);
  if (cache.type == DType::kF16)
    compute.kernels->half_to_float(reinterpret_cast<const uint16_t*>(from), n, rows);
  else
    compute.kernels->q8_0_to_float(from, n, rows);
  return rows;
}

void clear(AttentionPart& part, int64_t rows, int64_t dim) {
  std::fill_n(at_least(part.top, rows), rows, 0.0f);
  std::fill_n(at_least(part.sum, rows), rows, 0.0f);
  std::fill_n(at_least(part.out, rows * dim), rows * dim, 0.0f);
}

/// total += part, row by row: both are brought to the larger of their tops.
void add(AttentionPart& total, const AttentionPart& part, int64_t rows, int64_t dim) {
  for (int64_t i = 0; i < rows; ++i) {
    const auto r = static_cast<size_t>(i);
    if (part.sum[r] == 0) continue;
    float* out = total.out.data() + i * dim;
    const float* more = part.out.data() + i * dim;
    if (total.sum[r] == 0) {
      total.top[r] = part.top[r];
      total.sum[r] = part.sum[r];
      std::copy_n(more, dim, out);
      continue;
    }
    const float top = std::max(total.top[r], part.top[r]);
    const float old_factor = ref::exp_f32(total.top[r] - top),
                new_factor = ref::exp_f32(part.top[r] - top);
    total.top[r] = top;
    total.sum[r] = total.sum[r] * old_factor + part.sum[r] * new_factor;
    for (int64_t d = 0; d < dim; ++d) out[d] = out[d] * old_factor + more[d] * new_factor;
  }
}

/// One kv head against a tile of tokens: every query head of the group.
struct Tile {
  const Compute& compute;
  const AttentionShape& shape;
  const CacheView& cache;
  AttentionScratch::Worker& scratch;
  int64_t kv_head, first_token, tokens, past;
  bool keep_scores;  // of all positions, for a probe

  int64_t group() const { return shape.heads / shape.kv_heads; }
  int64_t rows() const { return tokens * group(); }
  /// Positions that a token sees, and all of the tile.
  int64_t begin_of(int64_t token) const {
    return shape.window > 0 ? std::max<int64_t>(0, past + token + 1 - shape.window) : 0;
  }
  int64_t end_of(int64_t token) const { return past + token + 1; }
  int64_t begin() const { return begin_of(first_token); }
  int64_t end() const { return end_of(first_token + tokens - 1); }
  int64_t first_block() const { return begin() / kBlock; }
  int64_t blocks() const { return (end() + kBlock - 1) / kBlock - first_block(); }

  int64_t score_stride() const { return keep_scores ? blocks() * kBlock : kBlock; }
  /// Scores of a row from the first position of block b on.
  float* scores(int64_t row, int64_t b) {
    return scratch.scores.data() + row * score_stride() + (keep_scores ? b * kBlock : 0);
  }

  void load_queries(const float* q) {
    const int64_t width = group() * shape.head_dim;  // the group's heads are adjacent in q
    float* query = at_least(scratch.query, tokens * width);
    for (int64_t t = 0; t < tokens; ++t)
      std::copy_n(q + ((first_token + t) * shape.heads + kv_head * group()) * shape.head_dim, width,
                  query + t * width);
    at_least(scratch.scores, rows() * score_stride());
  }

  /// The b-th block of positions that the tile sees.
  void run_block(int64_t b, AttentionPart& part) {
    const int64_t dim = shape.head_dim, start = (first_block() + b) * kBlock,
                  from = std::max(start, begin()), to = std::min(start + kBlock, end());
    clear(part, rows(), dim);
    const float* keys =
        float_rows(compute, cache, cache.keys, kv_head, dim, from, to, scratch.block);
    compute.kernels->dot_f32(keys, dim, to - from, scratch.query.data(), dim, rows(), dim,
                             scores(0, b) + (from - start), score_stride());
    const float* values = nullptr;
    for (int64_t row = 0; row < rows(); ++row) {
      const int64_t token = first_token + row / group();
      const int64_t first = std::max(from, begin_of(token)),
                    n = std::min(to, end_of(token)) - first;
      if (n <= 0) continue;
      float* score = scores(row, b) + (first - start);
      scale(score, n);
      const auto r = static_cast<size_t>(row);
      part.sum[r] = compute.kernels->exp_sum(score, n, &part.top[r]);
      if (!values)  // the keys are no longer needed
        values = float_rows(compute, cache, cache.values, kv_head, dim, from, to, scratch.block);
      compute.kernels->weighted_sum(score, n, values + (first - from) * dim, dim, dim,
                                    part.out.data() + row * dim);
    }
  }

  void scale(float* score, int64_t n) const {
    for (int64_t i = 0; i < n; ++i) score[i] *= shape.scale;
    softcap(shape.softcap, score, n);
  }

  void write(const AttentionPart& total, float* out) const {
    const int64_t dim = shape.head_dim;
    for (int64_t row = 0; row < rows(); ++row) {
      const float inverse = 1.0f / total.sum[static_cast<size_t>(row)];
      const float* from = total.out.data() + row * dim;
      float* to =
          out +
          ((first_token + row / group()) * shape.heads + kv_head * group() + row % group()) * dim;
      for (int64_t d = 0; d < dim; ++d) to[d] = from[d] * inverse;
    }
  }

  /// All blocks, one after another.
  void run(const float* q, AttentionProbe* probe, float* out) {
    load_queries(q);
    clear(scratch.total, rows(), shape.head_dim);
    std::vector<AttentionPart> parts;  // for a probe: what each block's scores are relative to
    for (int64_t b = 0; b < blocks(); ++b) {
      run_block(b, scratch.part);
      add(scratch.total, scratch.part, rows(), shape.head_dim);
      if (probe) parts.push_back(scratch.part);
    }
    write(scratch.total, out);
    if (probe) tell(parts, *probe);
  }

  void tell(const std::vector<AttentionPart>& parts, AttentionProbe& probe) {
    for (int64_t row = 0; row < rows(); ++row) {
      const auto r = static_cast<size_t>(row);
      for (int64_t b = 0; b < blocks(); ++b) {
        const float factor =
            ref::exp_f32(parts[static_cast<size_t>(b)].top[r] - scratch.total.top[r]) /
            scratch.total.sum[r];
        for (int64_t i = 0; i < kBlock; ++i) scores(row, b)[i] *= factor;
      }
      const int64_t token = first_token + row / group(), from = begin_of(token);
      probe.row(token, kv_head * group() + row % group(), from,
                scores(row, 0) + (from - first_block() * kBlock), end_of(token) - from);
    }
  }
};

}  // namespace

int64_t cache_row_bytes(DType type, int64_t head_dim) {
  if (type != DType::kF32 && type != DType::kF16 && type != DType::kQ8_0) return 0;
  const DTypeInfo info = dtype_info(type);
  return head_dim % info.block == 0 ? head_dim / info.block * info.bytes : 0;
}

void attention(const Compute& compute, const AttentionShape& shape, const CacheView& cache,
               const float* q, int64_t tokens, int64_t past, AttentionScratch& scratch,
               AttentionProbe* probe, float* out) {
  const int workers = compute.pool->size();
  if (static_cast<int>(scratch.workers.size()) < workers)
    scratch.workers.resize(static_cast<size_t>(workers));
  const auto tile_of = [&](int64_t kv_head, int64_t first, int worker) {
    return Tile{compute,
                shape,
                cache,
                scratch.workers[static_cast<size_t>(worker)],
                kv_head,
                first,
                std::min(kTokenTile, tokens - first),
                past,
                probe != nullptr};
  };
  const int64_t tiles = (tokens + kTokenTile - 1) / kTokenTile;
  const int64_t blocks = tile_of(0, 0, 0).blocks();
  if (probe || tiles > 1 || workers == 1 || blocks == 1) {
    compute.pool->parallel_for(
        shape.kv_heads * tiles, 1, [&](int64_t begin, int64_t end, int worker) {
          for (int64_t job = begin; job < end; ++job)
            tile_of(job % shape.kv_heads, job / shape.kv_heads * kTokenTile, worker)
                .run(q, probe, out);
        });
    return;
  }
  at_least(scratch.parts, shape.kv_heads * blocks);
  compute.pool->parallel_for(
      shape.kv_heads * blocks, 1, [&](int64_t begin, int64_t end, int worker) {
        for (int64_t job = begin; job < end; ++job) {
          Tile tile = tile_of(job / blocks, 0, worker);
          tile.load_queries(q);
          tile.run_block(job % blocks, scratch.parts[static_cast<size_t>(job)]);
        }
      });
  compute.pool->parallel_for(shape.kv_heads, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t head = begin; head < end; ++head) {
      const Tile tile = tile_of(head, 0, worker);
      AttentionPart& total = scratch.workers[static_cast<size_t>(worker)].total;
      clear(total, tile.rows(), shape.head_dim);
      for (int64_t b = 0; b < blocks; ++b)
        add(total, scratch.parts[static_cast<size_t>(head * blocks + b)], tile.rows(),
            shape.head_dim);
      tile.write(total, out);
    }
  });
}

}  // namespace planeloom
