// What a step saves of a row, and what a row of gate gradients holds: each part by name, with its
// place. Made once, from the cell and the layer's options, by engine/network.cpp; whoever reads or
// writes one of these rows asks here.
//
// Places count blocks of H values. What is not there has no width, and the place of what follows.
#pragma once
#include "abi/cell_info.hpp"

namespace simdrnn {

// A row of the tape.
struct SavedLayout {
  Index of_x, of_h;  // with layer normalisation: W x and R h, by gate
  Index state;       // where the normalised state is carried: what was normalised
  Index cell;        // the cell's values; the new states other than h are their last
  Index carried;     // h as the cell made it, then the other states, where zoneout mixes them
  bool keeps_carried;
  Index last_states;  // the states other than h that are carried on
  Index width;
};

// A row of gate gradients. With layer normalisation those of W x and of R h have places of their
// own; else they are those of the pre-activations.
struct GradientLayout {
  Index of_x;        // by gate
  Index of_h;        // by gate that is a sum of both
  Index of_h_apart;  // of gates that see R h apart, or of the second phase
  Index pre;         // the pre-activations, as the cell's equations have them
  Index pre_apart;   // of these, what goes with of_h_apart
  Index parameters;  // the cell's own, then those of the norms
  Index norm;        // those of the norms
  Index attention;   // by unit
  Index projected;   // of the projection, P values; last
};

struct RowLayout {
  SavedLayout saved;
  GradientLayout gradient;
  Index parameters;  // how many there are per unit: the cell's own, and those of the norms
};

// `norm`: whether there is layer normalisation; `norm_carried`: whether the normalised state is
// carried on; `keeps_carried`: whether the states that are carried are saved beside the cell's.
constexpr RowLayout row_layout(const CellInfo& info, bool norm, bool norm_carried,
                               bool keeps_carried) noexcept {
  RowLayout row{};
  const Index gates = info.gate_count;
  SavedLayout& saved = row.saved;
  saved.of_h = norm ? gates : 0;
  saved.state = norm ? 2 * gates : 0;
  saved.cell = saved.state + (norm && norm_carried && info.normalise >= 0 ? 1 : 0);
  saved.carried = saved.cell + info.saved;
  saved.keeps_carried = keeps_carried;
  saved.width = saved.carried + (keeps_carried ? info.states : 0);
  saved.last_states = saved.width - info.states + 1;
  GradientLayout& gradient = row.gradient;
  gradient.pre = norm ? 2 * gates : 0;
  gradient.pre_apart = gradient.pre + (gates - info.second_gates);
  gradient.of_h = norm ? gates : 0;
  // Separate recurrent parts follow the gates; with layer normalisation all recurrent ones do.
  gradient.of_h_apart = norm ? gates + joint_gates(info) : gradient.pre_apart;
  gradient.parameters = gradient.pre + gates + info.separate;
  gradient.norm = gradient.parameters + info.cell_parameters;
  row.parameters = info.cell_parameters + (norm ? 2 * gates + (info.normalise >= 0 ? 2 : 0) : 0);
  gradient.attention = gradient.parameters + row.parameters;
  gradient.projected = gradient.attention + (info.attention ? 1 : 0);
  return row;
}

}  // namespace simdrnn
