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
/// Of a weight in parts (codecs/row_parts.h), how many there are. Each is a weight of its own.
inline std::string parts_key(std::string_view name) {
  return "planeloom.parts." + std::string(name);
}
inline std::string part_name(std::string_view name, size_t part) {
  return std::string(name) + "." + std::to_string(part);
}
/// The pair that a tensor of a file is half of, and the weight that a tensor or pair is a part of;
/// the name itself where it is neither.
std::string_view pair_name(const Metadata& metadata, std::string_view tensor);
std::string_view whole_name(const Metadata& metadata, std::string_view name);
/// Far more than there are forms to choose from.
inline constexpr int64_t kMostParts = 64;
/// Every key that is about one weight begins so.
inline constexpr std::string_view kWeightKeys[] = {"planeloom.codec.", "planeloom.shape.",
                                                   "planeloom.rotation.", "planeloom.parts."};

/// The order of bytes that this program writes, and the only one that it reads.
inline constexpr int64_t kPlanesLayout = 3;
inline constexpr std::string_view kLayoutKey = "planeloom.layout";

/// Announces a matrix before the file is created: sets the metadata and appends the specs. A pair
/// (one tensor when there are no coefficients); of a matrix in parts each of them, those of a GGUF
/// type as the ordinary tensors that they are. Of the matrix codec, shape, rotation and parts are
/// read.
void add_pair(std::string_view name, const PackedMatrix& matrix, Metadata& metadata,
              std::vector<TensorSpec>& tensors);

/// Writes the bytes that add_pair announced: the writer must stand at the first of its tensors.
Status write_pair(GgufWriter& writer, std::string_view name, const PackedMatrix& matrix);

}  // namespace planeloom
