// What tests of long commands share.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "decode/tiny_text.h"
#include "formats/temp_dir.h"
#include "models/session.h"

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

/// What a run has written; its error is a failure.
template <typename T>
std::string bytes_after(const Result<T>& done, const fs::path& out) {
  EXPECT_TRUE(done) << (done ? "" : done.error().message);
  return bytes_of(out);
}

/// What a model gives for a few tokens.
inline std::vector<float> logits(const Model& model) {
  ThreadPool pool(1);
  SessionOptions o;
  o.context = 8;
  o.activations = ActivationMode::kFloat;
  const auto session = Session::create(model, {&pool, &kernels_for(Isa::kScalar)}, o);
  EXPECT_TRUE(session);
  std::vector<float> out;
  EXPECT_TRUE((*session)->forward(std::vector<int32_t>{1, 5, 9, 3}, 0,
                                  [&](int64_t, int64_t n, const float* row) {
                                    out.insert(out.end(), row, row + n * model.vocab());
                                  }));
  return out;
}

/// ||a - b||^2 / ||b||^2
inline double apart(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double error = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += std::pow(double{a[i]} - double{b[i]}, 2);
    size += std::pow(double{b[i]}, 2);
  }
  return error / size;
}

}  // namespace planeloom
