#pragma once

namespace planeloom::exp_constants {

// exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln 2 / 2. ln 2 is split so that n * kLn2High
// is exact.
inline constexpr float kLog2E = 1.44269504088896341f;
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;
inline constexpr float kMin = -87.0f;  // below: 0
inline constexpr float kMax = 88.0f;
// Taylor coefficients 1/k!: at |r| <= 0.3466 the first dropped term, r^8/8!, is below 6e-9.
inline constexpr float kC7 = 1.0f / 5040, kC6 = 1.0f / 720, kC5 = 1.0f / 120, kC4 = 1.0f / 24,
                       kC3 = 1.0f / 6, kC2 = 0.5f;

}  // namespace planeloom::exp_constants
