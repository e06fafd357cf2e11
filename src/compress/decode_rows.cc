#include "compress/decode_rows.h"

#include "kernels/kernels.h"

namespace planeloom {

void decode_rows(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t rows,
                 const Rotation* to, std::vector<float>& out) {
  out.resize(static_cast<size_t>(rows * w.cols));
  compute.pool->parallel_for(rows, 16, [&](int64_t begin, int64_t end, int) {
    std::vector<float> row(static_cast<size_t>(to ? w.cols : 0));
    for (int64_t r = begin; r < end; ++r) {
      float* at = out.data() + r * w.cols;
      float* plain = to ? row.data() : at;
      w.codec->decode_row(w, first + r, plain);
      if (w.rotation) w.rotation->undo(plain);
      if (to) compute.kernels->rotate(*to, plain, at);
    }
  });
}

}  // namespace planeloom
