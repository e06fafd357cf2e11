// The quantizer contract: the same bytes everywhere, exact bits, clear errors.
#include "quant/quantizer.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/hash.h"
#include "quant/synthetic.h"

namespace planeloom {
namespace {

constexpr const char* kMethods[] = {"rtn", "hqq", "gptq", "bpdq", "ptqtp", "trellis"};
constexpr int kAllGroups[] = {32, 64, 96, 128, 192, 256};

uint64_t fingerprint(const EncodedMatrix& m) { return fnv1a(m.coef, fnv1a(m.codes)); }

std::string error_of(const LayerInput& input, const QuantOptions& options) {
  ThreadPool pool(1);
  const auto q = quantize_layer(input, options, pool);
  return q ? "no error" : q.error().message;
}

// Odd row counts leave part of a sixteen-row block empty; threads and ISAs must not show in the
// bytes.
TEST(Quantizer, SameBytesForAnyThreadsAndIsa) {
  const auto s = test::make_synthetic(53, 192, 512, true, 1);
  for (const char* method : kMethods)
    for (int bits : {1, 2, 3}) {
      QuantOptions options;
      options.method = method;
      options.bits = bits;
      options.refine = options.method == "ptqtp" ? bits - 1 : 0;  // it has no bits to choose
      options.isa = Isa::kScalar;
      ThreadPool one(1);
      const auto want = quantize_layer(s.input(), options, one);
      ASSERT_TRUE(want) << want.error().message;
      for (int threads : {1, 2, 5})
        for (Isa isa : supported_isas()) {
          ThreadPool pool(threads);
          options.isa = isa;
          const auto got = quantize_layer(s.input(), options, pool);
          ASSERT_TRUE(got);
          EXPECT_EQ(fingerprint(got->matrix), fingerprint(want->matrix))
              << method << isa_name(isa) << threads;
          EXPECT_EQ(got->report.weight_error, want->report.weight_error);
          EXPECT_EQ(got->report.output_error, want->report.output_error);
        }
    }
}

// Byte and tied coefficients: the same bytes for any threads, the bits that the format says, and an
// error close to that of fp16 ones, since they are rounded inside the loop.
TEST(Quantizer, FormsOfCoefficients) {
  const auto s = test::make_synthetic(53, 384, 1024, true, 6);
  struct Case {
    const char* method;
    int bits;
    Coefficients form;
    double coefficient_bits, most;  // bits per row and group; error relative to fp16
  };
  for (const Case& c : {Case{"rtn", 2, Coefficients::kByte, 32, 1.05},
                        Case{"hqq", 2, Coefficients::kByte, 32, 1.05},
                        Case{"gptq", 2, Coefficients::kByte, 32, 1.05},
                        Case{"bpdq", 1, Coefficients::kByte, 24, 1.03},
                        Case{"bpdq", 2, Coefficients::kByte, 32, 1.03},
                        Case{"bpdq", 3, Coefficients::kByte, 40, 1.05},
                        Case{"bpdq", 4, Coefficients::kByte, 48, 1.10},
                        Case{"ptqtp", 2, Coefficients::kByte, 24, 1.03},
                        Case{"ptqtp", 2, Coefficients::kTied, 16, 1.03}}) {
    QuantOptions options;
    options.method = c.method;
    options.bits = c.bits;
    options.group = 128;
    ThreadPool one(1), three(3);
    const auto half = quantize_layer(s.input(), options, one);
    options.coefficients = c.form;
    const auto a = quantize_layer(s.input(), options, one),
               b = quantize_layer(s.input(), options, three);
    ASSERT_TRUE(half && a && b);
    EXPECT_EQ(fingerprint(a->matrix), fingerprint(b->matrix));
    const double code_bits = std::string(c.method) == "ptqtp" ? 3.2 * 400 / 384 : c.bits;
    EXPECT_DOUBLE_EQ(a->report.bits_per_weight, (code_bits + c.coefficient_bits / 128) * 64 / 53);
    EXPECT_LE(a->report.weight_error, c.most * half->report.weight_error)
        << c.method << c.bits << " " << half->report.weight_error;
    if (std::string(c.method) == "bpdq") {  // the only one of them that minimises it
      EXPECT_LE(*a->report.output_error, c.most * c.most * *half->report.output_error) << c.bits;
    }
  }
}

TEST(Quantizer, OnlyTritPlanesAreTied) {
  const std::vector<float> w(64, 0.5f);
  QuantOptions options;
  options.method = "rtn";
  options.coefficients = Coefficients::kTied;
  EXPECT_NE(error_of({w, 1, 64}, options).find("tied"), std::string::npos);
}

// The order of columns is part of what a method works in.
TEST(Quantizer, PreparedHessianOfAnotherOrder) {
  const auto s = test::make_synthetic(4, 192, 512, false, 3);
  const auto prepared = prepare_hessian(s.hessian, 192, 64);
  ASSERT_TRUE(prepared);
  QuantOptions options;
  options.method = "trellis";
  LayerInput input{s.weights, s.rows, s.cols};
  input.prepared = &*prepared;
  EXPECT_NE(error_of(input, options).find("order"), std::string::npos);
}

// A row's result may depend on the others through the published choice of one round, never through
// its block.
TEST(Quantizer, RowsAreIndependentWithABestRoundEach) {
  const auto s = test::make_synthetic(37, 128, 512, false, 2);
  QuantOptions options;
  options.per_row_best = true;
  ThreadPool pool(1);
  const auto all = quantize_layer(s.input(), options, pool);
  ASSERT_TRUE(all);
  for (int64_t row : {0, 15, 16, 36}) {
    const auto alone = quantize_layer(
        {std::span(s.weights).subspan(row * 128, 128), 1, 128, s.hessian}, options, pool);
    ASSERT_TRUE(alone);
    EXPECT_EQ(test::decode(alone->matrix).row(0), test::decode(all->matrix).row(row)) << row;
  }
}

TEST(Quantizer, PreparedHessianGivesTheSameBytes) {
  const auto s = test::make_synthetic(20, 192, 512, false, 3);
  ThreadPool pool(2);
  for (const char* method : kMethods) {
    QuantOptions options;
    options.method = method;
    options.group = 96;
    const auto prepared = prepare_hessian(s.hessian, 192, options, pool);
    ASSERT_TRUE(prepared);
    LayerInput shared{s.weights, s.rows, s.cols};
    shared.prepared = &*prepared;
    const auto a = quantize_layer(shared, options, pool),
               b = quantize_layer(s.input(), options, pool);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(fingerprint(a->matrix), fingerprint(b->matrix));
    EXPECT_EQ(a->report.output_error, b->report.output_error);
  }
}

// Every method of planes and group: the reported bits are the bytes, and more planes never cost
// accuracy.
RC_GTEST_PROP(Quantizer, BitsPerWeightAreBytesOnDisk, ()) {
  const int group = kAllGroups[*rc::gen::inRange(0, 6)];
  const std::string method = kMethods[*rc::gen::inRange(0, 5)];
  const int64_t rows = *rc::gen::inRange(1, 40), cols = group * *rc::gen::inRange(1, 4);
  Rng rng(*rc::gen::arbitrary<uint32_t>());
  std::vector<float> w;
  for (int64_t i = 0; i < rows * cols; ++i) w.push_back(static_cast<float>(rng.normal()));
  ThreadPool pool(1);
  double last = 1e9;
  for (int bits = 1; bits <= 4; ++bits) {
    QuantOptions options;
    options.method = method;
    options.group = group;
    options.bits = bits;
    options.rounds = method == "bpdq" ? 2 : 0;
    const auto q = quantize_layer({w, rows, cols}, options, pool);
    RC_ASSERT(q.has_value());
    RC_ASSERT(check_matrix(q->matrix.view(), "t").has_value());
    const double bytes = static_cast<double>(q->matrix.codes.size() + q->matrix.coef.size());
    RC_ASSERT(q->report.bits_per_weight == 8 * bytes / static_cast<double>(rows * cols));
    RC_ASSERT(q->report.weight_error <= last);
    last = q->report.weight_error;
  }
}

// RTN: no weight inside the range is further than half a step from its value (plus fp16 rounding of
// the grid).
TEST(Quantizer, RtnErrorIsHalfAStep) {
  const auto s = test::make_synthetic(9, 128, 64, true, 4);
  for (int bits : {1, 2, 3, 4}) {
    QuantOptions options;
    options.method = "rtn";
    options.bits = bits;
    ThreadPool pool(1);
    const auto q = quantize_layer({s.weights, 9, 128}, options, pool);
    ASSERT_TRUE(q);
    const auto w = as_matrix(s), d = test::decode(q->matrix);
    for (int64_t r = 0; r < 9; ++r)
      for (int64_t g = 0; g < 128; g += 64) {
        const auto part = w.row(r).segment(g, 64);
        const double range = part.maxCoeff() - part.minCoeff();
        const double slack = 0.002 * part.cwiseAbs().maxCoeff();
        EXPECT_LE((part - d.row(r).segment(g, 64)).cwiseAbs().maxCoeff(),
                  range / ((1 << bits) - 1) / 2 + slack);
      }
  }
}

TEST(Quantizer, ErrorsNameWhatTheyGotAndWanted) {
  std::vector<float> w(2 * 96, 0.5f);
  QuantOptions options;
  options.group = 128;
  EXPECT_NE(error_of({w, 2, 96}, options).find("group 128 is longer than a row of 96"),
            std::string::npos);
  options.group = 64;
  EXPECT_NE(error_of({w, 2, 96}, options).find("multiple of the group 64"), std::string::npos);
  options.group = 48;
  EXPECT_NE(error_of({w, 2, 96}, options).find("group 48"), std::string::npos);
  options.group = 32;
  EXPECT_EQ(error_of({w, 2, 96}, options), "no error");
  EXPECT_NE(error_of({w, 3, 96}, options).find("192 weights, 3 x 96 wanted"), std::string::npos);
  EXPECT_NE(error_of({w, int64_t{1} << 62, 96}, options).find("out of range"), std::string::npos);
  EXPECT_NE(error_of({w, 2, 0}, options).find("out of range"), std::string::npos);
  options.bits = 5;
  EXPECT_NE(error_of({w, 2, 96}, options).find("5 bits"), std::string::npos);
  options.bits = 2;
  options.method = "awq";
  EXPECT_NE(error_of({w, 2, 96}, options).find("'awq'"), std::string::npos);
  options.method = "bpdq";
  for (float bad : {NAN, INFINITY, -INFINITY, 1e6f}) {
    w[100] = bad;
    for (const char* method : kMethods) {
      options.method = method;
      EXPECT_NE(error_of({w, 2, 96}, options).find("row 1, column 4"), std::string::npos) << bad;
    }
  }
}

}  // namespace
}  // namespace planeloom
