// Tiles of the trellis format (codecs/trellis.h) in Highway; included by unpack_planes.cc, once per
// target, inside its namespace. A symbol's nibble is made once and looked up in every table: as the
// newest it meets what older nibbles hashed to.

/// Lines of a step of 32 columns: K registers of kRows rows.
template <int K>
struct TrellisLines {
  V8 line[K];
  HWY_INLINE TrellisLines() {
    for (V8& v : line) v = hn::Zero(d8);
  }
  HWY_INLINE explicit TrellisLines(const uint8_t* at) {
    for (int l = 0; l < K; ++l) line[l] = hn::LoadU(d8, at + l * kLineBytes);
  }
};

/// Bits moved up (left > 0) or down within every byte, cut to `mask`.
HWY_INLINE V8 moved(V8 line, int left, int mask) {
  const auto v = hn::BitCast(d16, line);
  const auto to = left > 0 ? hn::ShiftLeftSame(v, left) : hn::ShiftRightSame(v, -left);
  return hn::And(hn::BitCast(d8, to), hn::Set(d8, static_cast<uint8_t>(mask)));
}

/// The nibble of columns 4 quad ... of a step; `before`: the step before it.
template <int K>
HWY_INLINE V8 nibble(const TrellisLines<K>& at, const TrellisLines<K>& before, int quad) {
  if constexpr (K == 1) {
    if (quad >= 3) return moved(at.line[0], 3 - quad, 15);
    const int old = (1 << (3 - quad)) - 1;  // bits of the step before
    return hn::Or(moved(at.line[0], 3 - quad, 15 & ~old), moved(before.line[0], -5 - quad, old));
  } else {
    const int l = quad / 4, f = quad % 4;
    if constexpr (K == 4)
      return hn::Or(moved(at.line[l], -2 * f, 3), moved(at.line[2 + l], 2 - 2 * f, 12));
    const V8 pair = moved(at.line[l], 2 - 2 * f, K == 2 && f > 0 ? 15 : 12);
    if constexpr (K == 2) {
      if (f > 0) return pair;
      return hn::Or(pair, moved(l > 0 ? at.line[0] : before.line[1], -6, 3));
    } else {
      const V8 third = at.line[2];
      if (quad > 0) return hn::Or(pair, moved(third, 1 - quad, 3));
      return hn::Or(pair, hn::Or(moved(third, 1, 2), moved(before.line[2], -7, 1)));
    }
  }
}

/// Of every byte the first where its highest bit is set, else the second.
HWY_INLINE V8 sign_chooses(V8 sign, V8 yes, V8 no) {
  const hn::RebindToSigned<decltype(d8)> ds;
  return hn::BitCast(
      d8, hn::IfNegativeThenElse(hn::BitCast(ds, sign), hn::BitCast(ds, yes), hn::BitCast(ds, no)));
}

template <int K>
void trellis_of(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols, CodeTile out) {
  constexpr int kQuads = 8;  // of a step
  constexpr int64_t kStep = 4 * kQuads, kLines = K * kLineBytes, kAhead = 3072;
  const TrellisCode& code = trellis_code(K);
  constexpr int kStride = kTrellisStride[K - 1], kHashes = kTrellisHashes[K - 1];
  static_assert(kStride * kHashes <= kQuads, "older nibbles are of the step before");
  const int64_t block = first / kTileRows;
  V8 hash[kHashes];
  for (int i = 0; i < kHashes; ++i) hash[i] = hn::LoadDup128(d8, code.hash[i].data());
  const V8 table[2] = {hn::LoadDup128(d8, code.table.data()),
                       hn::LoadDup128(d8, code.table.data() + 16)};
  for (int part = 0; part < kTileRows / kRows; ++part) {
    const VF scale = coefficient(w.coef.data() + (first + part * kRows) * 2);
    for (int64_t g = 0; g < cols / kStep; ++g)
      hn::StoreU(scale, df, out.scale + g * kTileRows + part * kRows);
    const auto* line = reinterpret_cast<const uint8_t*>(w.codes.data()) +
                       (block * w.cols + col) / kStep * kLines + part * kRows * 4;
    TrellisLines<K> before;
    V8 n[2 * kQuads];  // nibbles of the step before and of this one
    if (col >= kStep) {
      const TrellisLines<K> older =
          col > kStep ? TrellisLines<K>(line - 2 * kLines) : TrellisLines<K>();
      before = TrellisLines<K>(line - kLines);
      for (int q = 0; q < kQuads; ++q) n[kQuads + q] = nibble<K>(before, older, q);
    } else {
      for (int q = 0; q < kQuads; ++q) n[kQuads + q] = hn::Zero(d8);
    }
    uint8_t* to = out.code + part * kRows * 4;
    for (int64_t c = 0; c < cols; c += kStep, line += kLines, to += kQuads * kLineBytes) {
      for (int l = 0; l < K; ++l) __builtin_prefetch(line + kAhead + l * kLineBytes);
      const TrellisLines<K> at(line);
      for (int q = 0; q < kQuads; ++q) {
        n[q] = n[kQuads + q];
        n[kQuads + q] = nibble<K>(at, before, q);
      }
      for (int q = 0; q < kQuads; ++q) {
        V8 index = n[kQuads + q];
        for (int i = 0; i < kHashes; ++i)
          index = hn::Xor(index, hn::TableLookupBytes(hash[i], n[kQuads + q - (i + 1) * kStride]));
        // x86 looks at the highest and the four lowest bits of an index only.
        const V8 entry = HWY_ARCH_X86 ? index : hn::And(index, hn::Set(d8, 15));
        hn::StoreU(sign_chooses(hn::BitCast(d8, hn::ShiftLeft<3>(hn::BitCast(d16, index))),
                                hn::TableLookupBytes(table[1], entry),
                                hn::TableLookupBytes(table[0], entry)),
                   d8, to + q * kLineBytes);
      }
      before = at;
    }
  }
}

HWY_INLINE UnpackTile trellis(int bits) {
  constexpr UnpackTile kBits[] = {trellis_of<1>, trellis_of<2>, trellis_of<3>, trellis_of<4>};
  return kBits[bits - 1];
}
