// The vector layer. Vec<T> is one register of T; each ISA's file gives it these operations and no
// others:
//
//   Vec(), Vec(T)                      one value in all lanes
//   load(p), load(p, n)                any alignment; with n, only n < kLanes elements are touched
//   store(p), store(p, n)
//   stream(p)                          store, past the caches where a vector is a line of theirs; p
//   is
//                                      aligned to a vector. finish_streams() before others read it
//   a + b, a - b, a * b, a / b         IEEE, correctly rounded
//   fma(a, b, c)                       a * b + c, rounded once
//   sqrt(a)                            correctly rounded, NaN below 0
//   min(a, b), max(a, b)               a < b ? a : b and a > b ? a : b, so b where one is NaN
//   zero_unless_between(low, x, high, v)   0 where x <= low or x >= high, else v (also at NaN)
//   if_above(x, bound, above, otherwise)   x > bound ? above : otherwise; x where x is NaN
//   scale_by_shifted(v)                2^n, where v = n + kRoundingShift (see math.hpp)
//   minus_magnitude(x)                 -|x|: the sign bit set, also of a NaN
//   with_sign_of(size, x)              |size| with the sign bit of x
//   entry_of_eight(table, v)           table[k], k the lowest three bits of v; the table's eight
//                                      entries stand in it twice, at a multiple of 64 bytes (floats
//                                      only, as the next)
//   scale_by_eighths(x, v)             x with v's bits, times 2^20, added to its own as integers:
//                                      v = n + kRoundingShift makes of entry n mod 8 of a table of
//                                      2^(k/8), less k * 2^20 in its bits, 2^(n/8)
//   binary_exponent(x), binary_fraction(x)   e and f of x = f * 2^e, sqrt(1/2) <= f < sqrt(2), of
//                                      positive normal x (anything elsewhere)
//   exchange<s>(a, b)                  lanes come in blocks of s; the odd blocks of a and the even
//                                      ones of b before them change places. With s = 1, 2, ... on
//                                      rows s apart this transposes (gemm/transpose.hpp)
//
// Each but the last is a lane-wise operation of IEEE arithmetic, so all ISAs give the same bits;
// vec_scalar.hpp, one lane wide, is the readable specification. A new ISA is one more file.
#pragma once
#include "abi/cell_info.hpp"

#if defined(SIMDRNN_ISA_scalar)
#include "kernels/simd/vec_scalar.hpp"
#elif defined(SIMDRNN_ISA_avx2)
#include "kernels/simd/vec_avx2.hpp"
#elif defined(SIMDRNN_ISA_avx512)
#include "kernels/simd/vec_avx512.hpp"
#elif defined(SIMDRNN_ISA_neon)
#include "kernels/simd/vec_neon.hpp"
#else
#error "SIMDRNN_ISA is not one of scalar, avx2, avx512, neon"
#endif
