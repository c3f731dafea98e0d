// Numbers for bytes by the rounds of AES, which x86-64 has instructions for: twice as fast as by
// products.
//
// A round can be undone, so two contents that differ in sixteen bytes of their own (an element, or
// its neighbours) cannot meet again before all is folded to 64 bits. Between two blocks of a lane
// there are two rounds: a change of one bit is then one of all sixteen bytes, and fewer elements
// than fill these cannot take it back. What can by accident does once in 2^64, as with products.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace simdrnn::aes {

#if defined(__x86_64__)

// Two rounds take eight cycles, and two begin in every cycle (Zen 4).
inline constexpr std::size_t kLanes = 8, kBlock = kLanes * sizeof(__m128i);

[[gnu::target("aes"), gnu::always_inline]] inline __m128i two_rounds(__m128i state, __m128i data) {
  const __m128i key = _mm_set_epi64x(0x3f84d5b5b5470917, 0x452821e638d01377);  // bits of pi
  return _mm_aesenc_si128(_mm_aesenc_si128(state, data), key);
}

[[gnu::target("aes"), gnu::always_inline]] inline void add_block(__m128i* lanes,
                                                                 const char* bytes) {
#pragma GCC unroll 8
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const auto* const data = reinterpret_cast<const __m128i*>(bytes + lane * sizeof(__m128i));
    lanes[lane] = two_rounds(lanes[lane], _mm_loadu_si128(data));
  }
}

// For CPUs with CpuFeatures::aes. `seeds` are two for each lane. Zeros stand behind the last byte:
// who calls knows the size.
[[gnu::target("aes")]] inline std::uint64_t number(const char* bytes, std::size_t size,
                                                   const std::uint64_t* seeds) {
  __m128i lanes[kLanes];
  std::memcpy(lanes, seeds, sizeof lanes);
  for (; size >= kBlock; bytes += kBlock, size -= kBlock) add_block(lanes, bytes);
  if (size > 0) {
    char rest[kBlock] = {};
    std::memcpy(rest, bytes, size);
    add_block(lanes, rest);
  }
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) {
      lanes[lane] = two_rounds(lanes[lane], lanes[lane + half]);
    }
  }
  std::uint64_t words[2];
  const __m128i last = two_rounds(lanes[0], _mm_setzero_si128());
  std::memcpy(words, &last, sizeof words);
  return words[0] ^ words[1];
}

#else

inline std::uint64_t number(const char*, std::size_t, const std::uint64_t*) { return 0; }

#endif

}  // namespace simdrnn::aes
