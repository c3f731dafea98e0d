// The list of cells, which each cell joins where it is defined: so that all.hpp has one line for
// each, its #include.
#pragma once
#include "abi/cell_info.hpp"

namespace simdrnn::SIMDRNN_ISA {

using enum ActivationKind;  // as cells name them

template <class... Cells>
struct CellList {
  static constexpr int kCount = sizeof...(Cells);
};

// CellAt<n>::Type is the n-th cell that was defined. __COUNTER__ grows by one wherever it stands.
template <int kIndex>
struct CellAt;

inline constexpr int kFirstCell = __COUNTER__ + 1;

#define SIMDRNN_CELL(Name)                  \
  template <>                               \
  struct CellAt<__COUNTER__ - kFirstCell> { \
    using Type = Name;                      \
  }

// The first kCount cells.
template <int kCount, class... Later>
struct FirstCells : FirstCells<kCount - 1, typename CellAt<kCount - 1>::Type, Later...> {};

template <class... Cells>
struct FirstCells<0, Cells...> {
  using Type = CellList<Cells...>;
};

}  // namespace simdrnn::SIMDRNN_ISA
