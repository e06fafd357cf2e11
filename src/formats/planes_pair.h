// How a Planeloom weight is stored in GGUF: NAME.planes and NAME.coef, 1-D I8 tensors that any
// reader can list, and metadata "planeloom.codec.NAME", "planeloom.shape.NAME" = {rows, cols}. One
// "planeloom.layout" for the file says which order of bytes the pairs have (codecs/planes.h).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "codecs/codec.h"
#include "formats/gguf.h"
#include "formats/metadata.h"

namespace planeloom {

/// NAME.planes, NAME.coef: refused by the writer when longer than 63 bytes in all.
inline std::string planes_name(std::string_view name) { return std::string(name) + ".planes"; }
inline std::string coef_name(std::string_view name) { return std::string(name) + ".coef"; }
inline std::string codec_key(std::string_view name) {
  return "planeloom.codec." + std::string(name);
}
inline std::string shape_key(std::string_view name) {
  return "planeloom.shape." + std::string(name);
}
/// The seed of the rotation of the inputs, only where there is one (codecs/rotation.h).
inline std::string rotation_key(std::string_view name) {
  return "planeloom.rotation." + std::string(name);
}
/// Every key that is about one weight begins so.
inline constexpr std::string_view kWeightKeys[] = {"planeloom.codec.", "planeloom.shape.",
                                                   "planeloom.rotation."};

/// The order of bytes that this program writes, and the only one that it reads.
inline constexpr int64_t kPlanesLayout = 3;
inline constexpr std::string_view kLayoutKey = "planeloom.layout";

/// Announces a pair before the file is created: sets the metadata and appends the specs (one when
/// there are no coefficients). The caller then writes codes, and coef where present, in that order.
/// Of the matrix codec, shape and rotation are read.
void add_pair(std::string_view name, const PackedMatrix& matrix, Metadata& metadata,
              std::vector<TensorSpec>& tensors);

/// Writes the bytes that add_pair announced: the writer must stand at NAME.planes.
Status write_pair(GgufWriter& writer, std::string_view name, const PackedMatrix& matrix);

}  // namespace planeloom
