#include "models/session.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/tiny_model.h"

namespace planeloom {
namespace {

TEST(Session, SkipsForwardOnlyAndNotBeyondItsContext) {
  const Model model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model({}))).value();
  ThreadPool pool(1);
  SessionOptions options;
  options.context = 20;
  const auto session = Session::create(model, {&pool, &kernels_for(Isa::kScalar)}, options).value();
  const std::vector<int32_t> tokens{3, 5};
  const auto read = session->decode(tokens).value();
  const std::vector<float> want(read.begin(), read.end());

  session->skip_to(1);
  EXPECT_EQ(session->position(), 2);
  session->skip_to(18);
  const auto after = session->decode(tokens).value();  // over positions that hold zeros
  EXPECT_TRUE(std::all_of(after.begin(), after.end(), [](float v) { return std::isfinite(v); }));
  session->skip_to(100);
  EXPECT_EQ(session->position(), 20);
  EXPECT_FALSE(session->decode(tokens));

  session->truncate(0);
  const auto again = session->decode(tokens).value();
  EXPECT_EQ(std::vector<float>(again.begin(), again.end()), want);
}

}  // namespace
}  // namespace planeloom
