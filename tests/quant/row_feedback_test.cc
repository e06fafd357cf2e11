#include "quant/row_feedback.h"

#include "quant/synthetic.h"

namespace planeloom {
namespace {

using test::RowMatrix;

/// Second moments of outputs of which neighbours are alike.
RowMatrix moments(int64_t rows) {
  Rng rng(7);
  RowMatrix mix = test::gaussian(rows, rows, rng) * 0.2;
  for (int64_t r = 0; r < rows; ++r) {
    mix(r, r) += 2;
    if (r % 2 == 1) mix.row(r) = 0.2 * mix.row(r) + mix.row(r - 1);
  }
  return mix * mix.transpose();
}

Result<PreparedHessian> prepared(const RowMatrix& m, double damping) {
  ThreadPool pool(1);
  return prepare_outputs({m.data(), static_cast<size_t>(m.size())}, m.rows(), Isa::kScalar, pool,
                         damping);
}

QuantOptions options_of(const char* method) {
  QuantOptions options;
  options.method = method;
  options.coefficients = Coefficients::kHalf;
  return options;
}

Result<QuantResult> quantize(const test::Synthetic& s, QuantOptions options,
                             const PreparedHessian* outputs, int threads = 1) {
  LayerInput input = s.input();
  input.outputs = outputs;
  ThreadPool pool(threads);
  return quantize_layer(input, options, pool);
}

/// tr(D^T G D H).
double loss(const test::Synthetic& s, const QuantResult& q, const RowMatrix& g) {
  const RowMatrix d = test::as_matrix(s) - test::decode(q.matrix),
                  h = Eigen::Map<const RowMatrix>(s.hessian.data(), s.cols, s.cols);
  return (d.transpose() * g * d * h).trace();
}

TEST(RowFeedback, LowersTheLossOfOutputsThatBelongTogether) {
  const auto s = test::make_synthetic(128, 128, 1024, false, 1);
  const RowMatrix g = moments(s.rows);
  const auto outputs = prepared(g, 0.05);
  ASSERT_TRUE(outputs) << outputs.error().message;
  for (const char* method : {"gptq", "bpdq", "trellis"}) {
    const auto plain = quantize(s, options_of(method), nullptr),
               guided = quantize(s, options_of(method), &*outputs);
    ASSERT_TRUE(plain && guided) << method;
    EXPECT_LT(loss(s, *guided, g), 0.65 * loss(s, *plain, g)) << method;
    EXPECT_EQ(guided->report.bits_per_weight, plain->report.bits_per_weight);
    EXPECT_GT(*guided->report.output_error, *plain->report.output_error);  // what it costs
  }
}

TEST(RowFeedback, OutputsThatHaveNothingToDoWithOneAnotherChangeNothing) {
  const auto s = test::make_synthetic(128, 192, 512, true, 2);
  const auto outputs = prepared(RowMatrix::Identity(128, 128), 1);
  ASSERT_TRUE(outputs);
  for (const char* method : {"rtn", "hqq", "gptq", "bpdq", "ptqtp", "trellis"})
    for (const Coefficients stored : {Coefficients::kHalf, Coefficients::kByte}) {
      QuantOptions options = options_of(method);
      options.coefficients = stored;
      options.per_row_best = true;  // as published bpdq takes one round for all rows it is given
      const auto plain = quantize(s, options, nullptr), guided = quantize(s, options, &*outputs);
      ASSERT_TRUE(plain && guided) << method;
      EXPECT_EQ(guided->matrix.codes, plain->matrix.codes) << method;
      EXPECT_EQ(guided->matrix.coef, plain->matrix.coef) << method;
      EXPECT_EQ(guided->report.rounds, plain->report.rounds) << method;
      EXPECT_NEAR(guided->report.mean_rounds, plain->report.mean_rounds, 1e-9) << method;
    }
}

TEST(RowFeedback, SameBytesForAnyThreadsAndIsa) {
  const auto s = test::make_synthetic(192, 128, 512, false, 3);
  const auto outputs = prepared(moments(s.rows), 0.5);
  ASSERT_TRUE(outputs);
  QuantOptions options = options_of("trellis");
  options.isa = Isa::kScalar;
  const auto want = quantize(s, options, &*outputs);
  ASSERT_TRUE(want);
  for (int threads : {1, 3})
    for (Isa isa : supported_isas()) {
      options.isa = isa;
      const auto got = quantize(s, options, &*outputs, threads);
      ASSERT_TRUE(got);
      EXPECT_EQ(got->matrix.codes, want->matrix.codes) << isa_name(isa) << threads;
      EXPECT_EQ(got->matrix.coef, want->matrix.coef) << isa_name(isa) << threads;
    }
}

}  // namespace
}  // namespace planeloom
