#include "formats/hf_folder.h"
namespace planeloom {
Result<std::shared_ptr<const ModelFile>> open_hf_folder(const std::filesystem::path& folder) {
  return fail("[hf] {}: Hugging Face folders are not read yet", folder.string());
}
}  // namespace planeloom
