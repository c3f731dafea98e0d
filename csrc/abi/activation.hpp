// Activations by name. Plain data: it crosses between baseline code and ISA code.
#pragma once

namespace simdrnn {

// kernels/simd/activations.hpp has the formulas; python/simdrnn/spec/activations.py says which of
// them take alpha and beta, and keeps out the values whose slope could not be told from the value.
enum class ActivationKind : int {
  kSigmoid,
  kTanh,
  kRelu,
  kLeakyRelu,
  kThresholdedRelu,
  kElu,
  kHardSigmoid,
  kSoftsign,
  kSoftplus,
  kScaledTanh,
  kAffine,
  kIdentity,
};

// In the order of the enumeration.
inline constexpr const char* kActivationNames[] = {
    "sigmoid",      "tanh",     "relu",     "leaky_relu",  "thresholded_relu", "elu",
    "hard_sigmoid", "softsign", "softplus", "scaled_tanh", "affine",           "identity"};
inline constexpr int kActivationCount = static_cast<int>(ActivationKind::kIdentity) + 1;
static_assert(sizeof(kActivationNames) / sizeof(kActivationNames[0]) == kActivationCount);

template <class T>
struct Activation {
  ActivationKind kind;
  T alpha, beta;
};

}  // namespace simdrnn
