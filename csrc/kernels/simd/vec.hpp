// The vector layer. Vec<T> is one register of T; each ISA's file gives it these operations and no
// others:
//
//   Vec(), Vec(T)                      one value in all lanes
//   load(p), load(p, n)                any alignment; with n, only n < kLanes elements are touched
//   store(p), store(p, n)
//   a + b, a - b, a * b, a / b         IEEE, correctly rounded
//   fma(a, b, c)                       a * b + c, rounded once
//   min(a, b), max(a, b)               a < b ? a : b and a > b ? a : b, so b where one is NaN
//   zero_unless_between(low, x, high, v)   0 where x <= low or x >= high, else v (also at NaN)
//   if_above(x, bound, above, otherwise)   x > bound ? above : otherwise; x where x is NaN
//   scale_by_shifted(v)                2^n, where v = n + kRoundingShift (see math.hpp)
//   binary_exponent(x), binary_fraction(x)   e and f of x = f * 2^e, sqrt(1/2) <= f < sqrt(2), of
//                                      positive normal x (anything elsewhere)
//
// Each is a lane-wise operation of IEEE arithmetic, so all ISAs give the same bits; vec_scalar.hpp,
// one lane wide, is the readable specification. A new ISA (NEON is next: 4 or 2 lanes, 32
// registers) is one more file.
#pragma once
#include "abi/cell_info.hpp"

#if defined(SIMDRNN_ISA_scalar)
#include "kernels/simd/vec_scalar.hpp"
#elif defined(SIMDRNN_ISA_avx2)
#include "kernels/simd/vec_avx2.hpp"
#elif defined(SIMDRNN_ISA_avx512)
#include "kernels/simd/vec_avx512.hpp"
#else
#error "SIMDRNN_ISA is not one of scalar, avx2, avx512"
#endif
