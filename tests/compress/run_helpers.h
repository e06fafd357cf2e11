// What tests of long commands share.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/progress.h"
#include "formats/temp_dir.h"

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

inline std::string bytes_of(const fs::path& path) {
  auto text = read_file(path);
  EXPECT_TRUE(text);
  return text ? *text : "";
}

}  // namespace planeloom
