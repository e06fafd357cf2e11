#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "codecs/codec.h"
#include "compress/calibration.h"
#include "models/model.h"

namespace planeloom {

/// SHA-256 of a model's metadata and tensors, for fingerprints: the same weights with another base
/// of rotary angles are another model.
std::string model_hash(const Model& model);

/// The folder OUT.partial in which an unfinished run keeps what it has: finished layers and the
/// calibration windows, bound to a fingerprint of the input and the options. A run with another
/// fingerprint starts afresh.
class Workspace final : public WindowStore {
 public:
  /// Opens or creates the folder; clears it when it belongs to another run. An error while another
  /// run has it open.
  static Result<Workspace> open(const std::filesystem::path& folder,
                                const std::string& fingerprint);

  /// What one quantized linear leaves behind.
  struct Entry {
    std::string name;
    EncodedMatrix matrix;
    std::string report_json;  // its ErrorReport, so that a resumed run reports the same
  };
  /// All linears of a layer, written under a temporary name and renamed.
  Status save_layer(int64_t layer, const std::vector<Entry>& entries) const;

  /// A saved layer, mapped: the matrices are views into the file, so finished layers cost no memory
  /// of their own.
  struct SavedLayer {
    struct Linear {
      std::string name, report_json;
      PackedMatrix matrix;
    };
    MappedFile file;
    std::vector<Linear> linears;
  };
  /// Nothing when there is none or the file is damaged.
  std::optional<SavedLayer> load_layer(int64_t layer) const;

  /// Windows of self-written calibration text.
  Status save_window(int64_t w, std::span<const int32_t> tokens) const override;
  bool load_window(int64_t w, std::span<int32_t> tokens) const override;

  std::filesystem::path path(const std::string& name) const { return folder_ / name; }
  /// Removes the folder where nothing is saved that a later run could go on from.
  void remove_unless_used() const;
  /// Removes the folder: the run is complete.
  Status remove() const;

 private:
  explicit Workspace(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Status lock();

  std::filesystem::path folder_;
  std::shared_ptr<const int> lock_;  // the locked folder, open
};

}  // namespace planeloom
