// What tests of long commands share.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/progress.h"
#include "decode/tiny_text.h"
#include "formats/temp_dir.h"
#include "models/model.h"

namespace planeloom {

namespace fs = std::filesystem;

struct Silent : Progress {
  void update(std::string_view, uint64_t, uint64_t) override {}
};

/// A folder that goes away with the test.
struct Folder {
  test::TempDir dir;
  fs::path path = dir.path();
};

/// Widths that every group and rotation divides.
inline Model tiny() {
  TinyOptions options = tiny_text_options();
  options.ffn = 128;
  auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(options)));
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return *model;
}

inline std::string bytes_of(const fs::path& path) {
  auto text = read_file(path);
  EXPECT_TRUE(text);
  return text ? *text : "";
}

}  // namespace planeloom
