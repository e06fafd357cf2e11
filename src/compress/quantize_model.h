#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compress/calibration.h"
#include "compress/output_moments.h"
#include "quant/quantizer.h"

namespace planeloom {

struct QuantizeOptions {
  QuantOptions quant;          // method, bits, group and the method's own settings
  std::map<Linear, int> bits;  // of these linears in every layer, instead of quant.bits
  /// How these linears of one layer are quantized instead: method, bits, group, all of it.
  std::map<std::pair<int64_t, Linear>, QuantOptions> own;
  /// Read by methods that use the Hessian (reads_hessian); with kNoSource they do without.
  CalibrationOptions calibration;
  std::optional<CalibrationText> text;  // which that has given already, if it has
  /// Rotates the inputs of every linear (codecs/rotation.h) by this seed.
  std::optional<uint32_t> rotation_seed;
  /// How much of what the layers before have lost a linear makes up for, 0 to 1 (upstream.h), and
  /// the damping of that, as a share of the mean diagonal.
  double upstream = 0, upstream_damping = 0.05;
  /// How many windows of the calibration text tell which outputs matter to the loss together, so
  /// that later rows make up for the errors of earlier ones (quant/row_feedback.h); 0: each row
  /// stands alone. What learns it (train/output_gradients.h) is given the model and the windows.
  int64_t guide_windows = 0;
  std::function<Result<OutputMoments>(const Model&, const CalibrationText&)> learn_outputs;
  uint64_t learn_bytes = 0;  // what that takes beside its result
  /// Also the embedding and the head, within so many bits per weight, scales counted: rotated
  /// trellis codes, rows of common tokens with more bits than others (embedding_parts.h); 0: as
  /// they came.
  double embedding_bits = 0;
  /// Leaves OUT.partial when the file is written: the same run then gives the same file again in
  /// the time of one pass over the calibration text.
  bool keep_partial = false;
};

/// Whether the calibration text is read.
bool reads_text(const QuantizeOptions& options);

/// One matrix after quantization; `layer` is the number of layers for the embedding and the head.
struct TensorReport {
  std::string name, codec;
  int64_t layer = 0, rows = 0, cols = 0;
  ErrorReport error;
};

struct QuantizeSummary {
  std::vector<TensorReport> tensors;
  std::string calibration = "none";  // where the text came from
  int64_t calibration_tokens = 0;
  int64_t resumed_layers = 0;  // taken over from an interrupted run
  double bits_per_weight_linear = 0, bits_per_weight_file = 0;
  double bits_per_weight_embedding = 0;  // 0: as it came
  uint64_t file_bytes = 0;
  double seconds = 0;
};

/// Quantizes every linear of every block, when asked for embedding and head too, and writes a
/// Planeloom GGUF; norms and biases are copied as they are. Layer by layer, in the order of the
/// data: q, k, v; o; gate, up; down. What a linear sees during calibration comes from the already
/// quantized ones before it (BPDQ's "true sequential" order). Memory: the mapped file, the hidden
/// states of the calibration text, and one layer. Finished layers are kept in OUT.partial; an
/// interrupted run that is started again with the same input and options goes on from there and
/// gives the same bytes. Ctrl-C stops it between linears with an error that says so.
Result<QuantizeSummary> quantize_model(const Model& model, const std::filesystem::path& out,
                                       const QuantizeOptions& options, const Compute& compute,
                                       Progress& progress);

}  // namespace planeloom
