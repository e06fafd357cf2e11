#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace planeloom {
namespace {

constexpr int64_t kTokenTile = 8;  // tokens that share one conversion of keys and values
constexpr int64_t kBlock = 256;    // positions converted at a time

/// Rows [begin, end) of one kv head as float: converted into `buffer`, or in place when stored as
/// float.
const float* float_rows(const Compute& compute, const CacheView& cache, const std::byte* base,
                        int64_t head, int64_t head_dim, int64_t begin, int64_t end, float* buffer) {
  const int64_t offset = (head * cache.capacity + begin) * head_dim;
  if (cache.type == CacheType::kF32) return reinterpret_cast<const float*>(base) + offset;
  compute.kernels->half_to_float(reinterpret_cast<const uint16_t*>(base) + offset,
                                 (end - begin) * head_dim, buffer);
  return buffer;
}

/// One kv head against a tile of tokens: every query head of the group.
struct Tile {
  const Compute& compute;
  const AttentionShape& shape;
  const CacheView& cache;
  AttentionScratch::Worker& scratch;
  AttentionProbe* probe;
  int64_t kv_head, first_token, tokens, past;

  int64_t group() const { return shape.heads / shape.kv_heads; }
  int64_t rows() const { return tokens * group(); }
  int64_t begin_of(int64_t token) const {  // first visible position
    return shape.window > 0 ? std::max<int64_t>(0, past + token + 1 - shape.window) : 0;
  }

  void run(const float* q, float* out) {
    const int64_t dim = shape.head_dim, begin = begin_of(first_token),
                  end = past + first_token + tokens;
    const int64_t width = end - begin;
    scratch.scores.resize(std::max(scratch.scores.size(), static_cast<size_t>(rows() * width)));
    scratch.block.resize(std::max(scratch.block.size(), static_cast<size_t>(kBlock * dim)));
    scratch.query.resize(std::max(scratch.query.size(), static_cast<size_t>(rows() * dim)));
    for (int64_t t = 0; t < tokens; ++t)  // the group's heads are adjacent in q
      std::memcpy(scratch.query.data() + t * group() * dim,
                  q + ((first_token + t) * shape.heads + kv_head * group()) * dim,
                  sizeof(float) * group() * dim);
    for (int64_t p = begin; p < end; p += kBlock) {
      const int64_t stop = std::min(end, p + kBlock);
      const float* keys =
          float_rows(compute, cache, cache.keys, kv_head, dim, p, stop, scratch.block.data());
      compute.kernels->dot_f32(keys, dim, stop - p, scratch.query.data(), dim, rows(), dim,
                               scratch.scores.data() + (p - begin), width);
    }
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t g = 0; g < group(); ++g) normalise(t, g, begin, width);
    for (int64_t t = 0; t < tokens; ++t)
      std::memset(out_row(out, t), 0, sizeof(float) * static_cast<size_t>(group() * dim));
    for (int64_t p = begin; p < end; p += kBlock) {
      const int64_t stop = std::min(end, p + kBlock);
      const float* values =
          float_rows(compute, cache, cache.values, kv_head, dim, p, stop, scratch.block.data());
      for (int64_t t = 0; t < tokens; ++t) {
        const int64_t from = std::max(p, begin_of(first_token + t)),
                      to = std::min(stop, past + first_token + t + 1);
        if (from >= to) continue;
        for (int64_t g = 0; g < group(); ++g)
          compute.kernels->weighted_sum(
              scratch.scores.data() + (t * group() + g) * width + (from - begin), to - from,
              values + (from - p) * dim, dim, dim, out_row(out, t) + g * dim);
      }
    }
  }

  float* out_row(float* out, int64_t t) const {
    return out + ((first_token + t) * shape.heads + kv_head * group()) * shape.head_dim;
  }

  void normalise(int64_t t, int64_t g, int64_t begin, int64_t width) {
    const int64_t from = begin_of(first_token + t), n = past + first_token + t + 1 - from;
    float* score = scratch.scores.data() + (t * group() + g) * width + (from - begin);
    for (int64_t i = 0; i < n; ++i) score[i] *= shape.scale;
    if (shape.softcap > 0)
      for (int64_t i = 0; i < n; ++i)
        score[i] = shape.softcap * std::tanh(score[i] / shape.softcap);
    compute.kernels->softmax(score, n);
    if (probe) probe->row(first_token + t, kv_head * group() + g, from, score, n);
  }
};

}  // namespace

void attention(const Compute& compute, const AttentionShape& shape, const CacheView& cache,
               const float* q, int64_t tokens, int64_t past, AttentionScratch& scratch,
               AttentionProbe* probe, float* out) {
  if (static_cast<int>(scratch.workers.size()) < compute.pool->size())
    scratch.workers.resize(static_cast<size_t>(compute.pool->size()));
  const int64_t tiles = (tokens + kTokenTile - 1) / kTokenTile;
  compute.pool->parallel_for(shape.kv_heads * tiles, 1,
                             [&](int64_t begin, int64_t end, int worker) {
                               for (int64_t job = begin; job < end; ++job) {
                                 const int64_t first = job / shape.kv_heads * kTokenTile;
                                 Tile{compute, shape,
                                      cache,   scratch.workers[static_cast<size_t>(worker)],
                                      probe,   job % shape.kv_heads,
                                      first,   std::min(kTokenTile, tokens - first),
                                      past}
                                     .run(q, out);
                               }
                             });
}

}  // namespace planeloom
