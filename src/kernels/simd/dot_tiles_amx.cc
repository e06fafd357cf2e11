// Two tiles of integer codes against the int8 activations of many tokens with AMX: an instruction
// multiplies a step of sixteen tokens with a step of sixteen rows, exactly, in int32. What follows
// is float, so the sums of every step are stored and folded as dot_tile_avx512 folds them, while
// the next steps are multiplied.
#include "kernels/simd/avx512.h"
#include "kernels/simd/simd.h"

#define PL_AMX_TARGET PL_AVX512_TARGET ",amx-tile,amx-int8"
#define PL_AMX __attribute__((target(PL_AMX_TARGET), always_inline)) inline
#define PL_AMX_ENTRY __attribute__((target(PL_AMX_TARGET)))

namespace planeloom::simd {
namespace {

/// Steps of a run, and tokens that are folded together: a block has as many fours of tokens, so
/// while four tokens of a run are folded, a step of the next run is multiplied.
constexpr int kRun = 4, kFour = 4;
static_assert(kRun * kFour == kTilesTokens);
#define PL_UNROLL _Pragma("GCC unroll 8")

/// The shapes of the tile registers (Intel's manual, volume 1, 18.3).
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

/// Tile registers: 0 to 3 sums (tokens, 16 rows) of an even step's two tiles and an odd one's, 4
/// and 5 their activations (tokens, step), 6 and 7 codes of the two tiles (step / 4, 16 rows, 4).
PL_AMX void configure(int step) {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = static_cast<uint16_t>(i == 4 || i == 5 ? step : 4 * kTileRows);
    config.rows[i] = static_cast<uint8_t>(i < 6 ? kTilesTokens : step / 4);
  }
  asm volatile("" ::"r"(&config) : "memory");  // GCC 12's intrinsic reads but its first eight bytes
  _tile_loadconfig(&config);
}

/// Exact sums of a step, and of all steps of a run.
using Exact = int32_t[kTilesAtOnce][kTilesTokens][kTileRows];
using ExactRun = Exact[kRun];

struct alignas(64) Sums {
  ExactRun exact[2];
  float group[kTilesTokens][kTilesAtOnce][kTileRows];  // of groups that go on in the next run
};

/// Some steps of a block of tokens; none when all are done.
struct Run {
  int64_t token = 0, first = 0, steps = 0;  // the tile's first column is step 0
  int64_t group = 0, in_group = 0;          // of the first step: its group, and its place there
  Int8Block x{};
};

/// What a call walks through, and where it stands: `run` is folded while `next` is multiplied.
struct Walk {
  const CodeTile* w;
  const CodeForm& form;
  const Int8Rows& x;
  int64_t col, steps, group_steps;
  float* y;
  int64_t y_stride;
  Sums& sums;
  Run run{}, next{};
  int32_t (*unstored)[kTilesTokens][kTileRows] = nullptr;  // of the step multiplied last

  void begin_block(int64_t token) {
    next = {token, 0, token < x.tokens ? (steps < kRun ? steps : kRun) : 0, 0, 0, {}};
    if (next.steps) next.x = x.at(token, form).from_col(col, form);
  }
  void advance() {
    run = next;
    if (!next.steps) return;
    next.first += kRun;
    next.steps = steps - next.first < kRun ? steps - next.first : kRun;
    next.group = next.first / group_steps;
    next.in_group = next.first - next.group * group_steps;
    if (next.steps <= 0) begin_block(next.token + kTilesTokens);
  }
};

/// A step of the next run into the tile registers. Two sets of sums take turns, so that those of a
/// step can be stored a slot later, when they are ready.
template <int kTiles, bool kOdd>
PL_AMX void multiply(const Walk& walk, int64_t step) {
  const int64_t col = (walk.next.first + step) * walk.form.step;
  const int8_t* x = walk.next.x.code + col * walk.next.x.tokens;
  _tile_loadd(6, walk.w[0].code + col * kTileRows, 4 * kTileRows);
  if constexpr (kTiles == 2) _tile_loadd(7, walk.w[1].code + col * kTileRows, 4 * kTileRows);
  if constexpr (kOdd) {
    _tile_loadd(5, x, walk.form.step);
    _tile_zero(2);
    _tile_dpbssd(2, 5, 6);
    if constexpr (kTiles == 2) {
      _tile_zero(3);
      _tile_dpbssd(3, 5, 7);
    }
  } else {
    _tile_loadd(4, x, walk.form.step);
    _tile_zero(0);
    _tile_dpbssd(0, 4, 6);
    if constexpr (kTiles == 2) {
      _tile_zero(1);
      _tile_dpbssd(1, 4, 7);
    }
  }
}

template <int kTiles, bool kOdd>
PL_AMX void store(int32_t (*to)[kTilesTokens][kTileRows]) {
  if constexpr (kOdd) {
    _tile_stored(2, to[0], 4 * kTileRows);
    if constexpr (kTiles == 2) _tile_stored(3, to[1], 4 * kTileRows);
  } else {
    _tile_stored(0, to[0], 4 * kTileRows);
    if constexpr (kTiles == 2) _tile_stored(1, to[1], 4 * kTileRows);
  }
}

/// Adds T tokens of a run to y: dot_tile's float half.
template <int kTiles, int T>
PL_AMX void fold(Walk& walk, int64_t token, const Exact* exact) {
  const Run& run = walk.run;
  const int64_t tokens = run.x.tokens;
  int64_t group = run.group, in_group = run.in_group;
  float* y = walk.y + (run.token + token) * walk.y_stride;
  const float* x_scale = run.x.scale + run.first * tokens + token;
  __m512 sum[T][kTiles], all[T][kTiles];
  PL_UNROLL for (int t = 0; t < T; ++t) PL_UNROLL for (int i = 0; i < kTiles; ++i) {
    sum[t][i] = in_group ? _mm512_load_ps(walk.sums.group[token + t][i]) : _mm512_setzero_ps();
    all[t][i] = _mm512_loadu_ps(y + t * walk.y_stride + i * kTileRows);
  }
  for (int64_t s = 0; s < run.steps; ++s, x_scale += tokens) {
    PL_UNROLL for (int t = 0; t < T; ++t) {
      const __m512 scale = _mm512_set1_ps(x_scale[t]);
      PL_UNROLL for (int i = 0; i < kTiles; ++i) sum[t][i] = _mm512_fmadd_ps(
          _mm512_cvtepi32_ps(_mm512_load_si512(exact[s][i][token + t])), scale, sum[t][i]);
    }
    if (++in_group < walk.group_steps) continue;
    PL_UNROLL for (int i = 0; i < kTiles; ++i) {
      const __m512 scale = _mm512_loadu_ps(walk.w[i].scale + group * kTileRows);
      PL_UNROLL for (int t = 0; t < T; ++t) {
        all[t][i] = _mm512_fmadd_ps(sum[t][i], scale, all[t][i]);
        sum[t][i] = _mm512_setzero_ps();
      }
      if (!walk.form.affine) continue;
      const __m512 offset = _mm512_loadu_ps(walk.w[i].offset + group * kTileRows);
      const float* weight = run.x.weight + group * tokens + token;
      PL_UNROLL for (int t = 0; t < T; ++t) all[t][i] =
          _mm512_fmadd_ps(_mm512_set1_ps(weight[t]), offset, all[t][i]);
    }
    in_group = 0;
    ++group;
  }
  PL_UNROLL for (int t = 0; t < T; ++t) PL_UNROLL for (int i = 0; i < kTiles; ++i) {
    if (in_group) _mm512_store_ps(walk.sums.group[token + t][i], sum[t][i]);
    _mm512_storeu_ps(y + t * walk.y_stride + i * kTileRows, all[t][i]);
  }
}

/// Multiplies a step of the next run, stores the sums of the step before it, which are ready by
/// then, and folds four tokens of this run.
template <int kTiles, int kSlot>
PL_AMX void slot(Walk& walk, int parity) {
  constexpr bool kOdd = kSlot % 2 == 1;
  const bool has_step = kSlot < walk.next.steps;
  if (has_step) multiply<kTiles, kOdd>(walk, kSlot);
  if (walk.unstored) store<kTiles, !kOdd>(walk.unstored);
  walk.unstored = has_step ? walk.sums.exact[1 - parity][kSlot] : nullptr;
  constexpr int64_t kToken = kSlot * kFour;
  const Exact* exact = walk.sums.exact[parity];
  const int64_t left = walk.run.x.tokens - kToken;
  if (left >= kFour) return fold<kTiles, kFour>(walk, kToken, exact);
  for (int64_t t = 0; t < left; ++t) fold<kTiles, 1>(walk, kToken + t, exact);
}

/// code - zero, so that no sum starts from anything but 0.
PL_AMX void center(uint8_t* code, int64_t bytes, int zero) {
  const __m512i z = _mm512_set1_epi8(static_cast<char>(zero));
  for (int64_t i = 0; i < bytes; i += 64)
    _mm512_storeu_si512(code + i, _mm512_sub_epi8(_mm512_loadu_si512(code + i), z));
}

template <int kTiles>
PL_AMX_ENTRY void tiles_of(const CodeTile* w, const CodeForm& form, int64_t col, int64_t cols,
                           const Int8Rows& x, float* y, int64_t y_stride) {
  for (int i = 0; form.zero && i < kTiles; ++i) center(w[i].code, cols * kTileRows, form.zero);
  asm volatile("" ::: "memory");  // GCC 12's tile loads do not say that they read memory
  configure(form.step);
  Sums sums;
  Walk walk{w, form, x, col, cols / form.step, form.group / form.step, y, y_stride, sums};
  walk.begin_block(0);
  for (int parity = 0; walk.next.steps || walk.run.steps; parity = 1 - parity) {
    slot<kTiles, 0>(walk, parity);
    slot<kTiles, 1>(walk, parity);
    slot<kTiles, 2>(walk, parity);
    slot<kTiles, 3>(walk, parity);
    walk.advance();
  }
  _tile_release();
}

void dot_tiles_amx(const CodeTile* w, int tiles, const CodeForm& form, int64_t col, int64_t cols,
                   const Int8Rows& x, float* y, int64_t y_stride) {
  tiles == 2 ? tiles_of<2>(w, form, col, cols, x, y, y_stride)
             : tiles_of<1>(w, form, col, cols, x, y, y_stride);
}

}  // namespace

const Kernels& amx_table() {
  static const Kernels kTable = [] {
    Kernels k = avx512_table();
    k.isa = Isa::kAmx;
    k.dot_tiles = dot_tiles_amx;
    return k;
  }();
  return kTable;
}

}  // namespace planeloom::simd
