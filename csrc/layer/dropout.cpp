#include "layer/dropout.hpp"

#include <array>
#include <cmath>

namespace simdrnn {

namespace {

using Words = std::array<std::uint32_t, 4>;

// Philox4x32-10: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
Words philox(Words counter, std::uint32_t key0, std::uint32_t key1) {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{kMultiplier0} * counter[0];
    const std::uint64_t product1 = std::uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0,
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1,
               static_cast<std::uint32_t>(product0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return counter;
}

}  // namespace

template <class T>
void drop_row(const Dropout& dropout, Index layer, Index t, Index b, const T* in, T* out,
              Index width) {
  const auto threshold =
      static_cast<std::uint64_t>(std::ceil(dropout.probability * 4294967296.0));  // 2^32
  const T scale = dropout.probability < 1 ? static_cast<T>(1 / (1 - dropout.probability)) : T(0);
  const auto key0 = static_cast<std::uint32_t>(dropout.key);
  const auto key1 = static_cast<std::uint32_t>(dropout.key >> 32);
  for (Index f = 0; f < width; f += 4) {
    const Words words = philox({static_cast<std::uint32_t>(f / 4), static_cast<std::uint32_t>(b),
                                static_cast<std::uint32_t>(t), static_cast<std::uint32_t>(layer)},
                               key0, key1);
    for (Index i = 0; i < 4 && f + i < width; ++i) {
      out[f + i] = words[static_cast<std::size_t>(i)] >= threshold ? in[f + i] * scale : T(0);
    }
  }
}

template void drop_row<float>(const Dropout&, Index, Index, Index, const float*, float*, Index);
template void drop_row<double>(const Dropout&, Index, Index, Index, const double*, double*, Index);

}  // namespace simdrnn
