// Searches the tables of the trellis format (src/codecs/trellis.h): entries and hashes with which a
// Viterbi search over the bits comes nearest to Gaussian numbers.
//   g++ -O3 -march=native -ffast-math tools/trellis_tables.cc -o build/trellis_tables
//   build/trellis_tables BITS HASHES SECONDS SEED [SAMPLES]
// A third of the time goes to random hashes, the rest to small changes of the best. The table
// starts at the quantiles of a Gaussian, its high bits being the newest symbol so that successors
// spread, and follows as means of what each entry served (Lloyd). Prints the mean squared error on
// numbers that the search has not seen, and the tables as codecs/trellis.cc has them.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

namespace {

struct Code {
  int bits, hashes, stride;
  std::array<float, 32> table;
  std::array<std::array<uint8_t, 16>, 4> hash;

  int window() const { return 4 + hashes * stride * bits; }
  /// Index into the table of every window, its newest symbol the highest here: nibbles are then
  /// four neighbouring bits.
  std::vector<uint8_t> indices() const {
    std::vector<uint8_t> out(size_t{1} << window());
    for (size_t w = 0; w < out.size(); ++w) {
      const auto nibble = [&](int i) { return w >> (window() - 4 - i * stride * bits) & 15; };
      size_t index = nibble(0);
      for (int i = 1; i <= hashes; ++i) index ^= hash[i - 1][nibble(i)];
      out[w] = static_cast<uint8_t>(index);
    }
    return out;
  }
};

/// The windows along the best path for x; returns its mean squared error.
double viterbi(const Code& code, const std::vector<uint8_t>& index, const std::vector<float>& x,
               std::vector<uint8_t>& taken) {
  const size_t symbols = size_t{1} << code.bits, states = index.size(), kept = states / symbols;
  std::vector<float> value(states), cost(states, 1e30f), next(states), least(kept);
  for (size_t s = 0; s < states; ++s) value[s] = code.table[index[s]];
  std::vector<uint8_t> oldest(x.size() * kept);
  cost[0] = 0;
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t j = 0; j < kept; ++j) {
      size_t best = 0;
      for (size_t p = 1; p < symbols; ++p)
        if (cost[j * symbols + p] < cost[j * symbols + best]) best = p;
      least[j] = cost[j * symbols + best];
      oldest[t * kept + j] = static_cast<uint8_t>(best);
    }
    const float base = *std::min_element(least.begin(), least.end());
    for (size_t c = 0; c < symbols; ++c)
      for (size_t j = 0; j < kept; ++j) {
        const float e = x[t] - value[c * kept + j];
        next[c * kept + j] = least[j] - base + e * e;
      }
    std::swap(cost, next);
  }
  size_t state = static_cast<size_t>(std::min_element(cost.begin(), cost.end()) - cost.begin());
  double error = 0;
  taken.resize(x.size());
  for (size_t t = x.size(); t-- > 0;) {
    taken[t] = index[state];
    error += std::pow(static_cast<double>(x[t] - value[state]), 2);
    const size_t j = state % kept;
    state = j * symbols + oldest[t * kept + j];
  }
  return error / static_cast<double>(x.size());
}

void lloyd(Code& code, const std::vector<float>& x, const std::vector<uint8_t>& taken) {
  std::array<double, 32> sum{}, count{};
  for (size_t t = 0; t < x.size(); ++t) {
    sum[taken[t]] += static_cast<double>(x[t]);
    ++count[taken[t]];
  }
  for (size_t i = 0; i < 32; ++i)
    if (count[i] > 5) code.table[i] = static_cast<float>(sum[i] / count[i]);
}

float quantile(double p) {
  double low = -6, high = 6;
  for (int i = 0; i < 60; ++i) {
    const double mid = (low + high) / 2;
    (0.5 * std::erfc(-mid / std::sqrt(2.0)) < p ? low : high) = mid;
  }
  return static_cast<float>(low);
}

Code random_code(Code code, std::mt19937& rng) {
  for (int i = 0; i < 32; ++i)
    code.table[static_cast<size_t>(i)] = 1.05f * quantile(((i & 15) * 2 + (i >> 4) + 0.5) / 32);
  for (auto& hash : code.hash) {
    std::array<uint8_t, 16> high;
    for (uint8_t i = 0; i < 16; ++i) {
      hash[i] = i;
      high[i] = static_cast<uint8_t>(i % 2 << 4);
    }
    std::shuffle(hash.begin(), hash.end(), rng);
    std::shuffle(high.begin(), high.end(), rng);
    for (size_t i = 0; i < 16; ++i) hash[i] |= high[i];
  }
  return code;
}

void change(Code& code, std::mt19937& rng) {
  for (size_t times = 1 + rng() % 2; times > 0; --times) {
    auto& hash = code.hash[rng() % static_cast<size_t>(code.hashes)];
    const size_t a = rng() % 16, b = rng() % 16;
    const uint8_t differ = static_cast<uint8_t>((hash[a] ^ hash[b]) & (rng() % 2 ? 15 : 31));
    if (rng() % 3) {
      hash[a] ^= differ;
      hash[b] ^= differ;
    } else {
      hash[a] ^= static_cast<uint8_t>(1u << rng() % 5);
    }
  }
}

/// The bits of a nibble as the format has them: of three, see codecs/trellis.h.
int place(int bits, int i) {
  if (bits != 3) return i;
  const int nibble = i & 15;
  return (nibble & 1) | (nibble >> 3) << 1 | (nibble >> 1 & 3) << 2 | (i & 16);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: trellis_tables BITS HASHES SECONDS SEED [SAMPLES]\n");
    return 2;
  }
  Code best{std::atoi(argv[1]), std::atoi(argv[2]), 0, {}, {}};
  if (best.bits < 1 || best.bits > 4 || best.hashes < 1 || best.hashes > 4) return 2;
  best.stride = best.bits == 1 ? 4 : best.bits == 2 ? 2 : 1;
  const double seconds = std::atof(argv[3]);
  const int samples = argc > 5 ? std::atoi(argv[5]) : 24000;
  const float unit = best.bits < 3 ? 0.078f : best.bits == 3 ? 0.045f : 0.055f;  // of the rounded table
  std::mt19937 rng(static_cast<uint32_t>(std::atoi(argv[4]))), other(999);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(samples)), unseen(100000);
  for (float& v : x) v = normal(rng);
  for (float& v : unseen) v = normal(other);

  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  double least = 1e9;
  int tries = 0;
  std::vector<uint8_t> taken;
  for (; tries == 0 || elapsed() < seconds; ++tries) {
    const bool fresh = tries == 0 || elapsed() < seconds / 3;
    Code code = best;
    if (fresh)
      code = random_code(code, rng);
    else
      change(code, rng);
    const auto index = code.indices();
    for (int round = 0; round < (fresh ? 4 : 2); ++round) {
      const double error = viterbi(code, index, x, taken);
      if (error < least) {
        least = error;
        best = code;
      } else if (!fresh && round == 0 && error > 1.01 * least) {
        break;
      }
      lloyd(code, x, taken);
    }
  }
  for (float& entry : best.table) entry = std::rint(entry / unit) * unit;
  const double error = viterbi(best, best.indices(), unseen, taken);
  std::printf("bits %d window %d seed %s, %d tries: mean squared error %.5f (limit %.5f)\n", best.bits,
              best.window(), argv[4], tries, error, std::exp2(-2 * best.bits));
  int table[32], hash[16];
  for (int i = 0; i < 32; ++i)
    table[place(best.bits, i)] =
        static_cast<int>(std::rint(best.table[static_cast<size_t>(i)] / unit)) +
        (best.bits < 3 ? 32 : 64);
  const auto print = [](const int* values, int n) {
    for (int i = 0; i < n; ++i) std::printf("%s%d", i ? ", " : "{", values[i]);
    std::printf("}\n");
  };
  print(table, 32);
  for (int h = 0; h < best.hashes; ++h) {
    for (int i = 0; i < 16; ++i)
      hash[place(best.bits, i)] =
          place(best.bits, best.hash[static_cast<size_t>(h)][static_cast<size_t>(i)]);
    print(hash, 16);
  }
  std::printf("%.4f levels per standard deviation\n", 1 / static_cast<double>(unit));
}
