#include "problem.hpp"

#include <cmath>
#include <utility>

using simdrnn::Index;
using simdrnn::KernelTable;
using simdrnn::Sequence;

namespace {

template <class T>
std::vector<const T*> pointers(const std::vector<Block<T>>& blocks) {
  std::vector<const T*> all;
  for (const Block<T>& one : blocks) all.push_back(one.data());
  return all;
}

template <class T>
std::vector<T*> pointers(std::vector<std::vector<T>>& arrays) {
  std::vector<T*> all;
  for (std::vector<T>& one : arrays) all.push_back(one.data());
  return all;
}

template <class T>
std::vector<std::vector<T>> unwritten_like(const std::vector<Block<T>>& blocks) {
  std::vector<std::vector<T>> all;
  for (const Block<T>& one : blocks) all.push_back(unwritten<T>(one.values.size()));
  return all;
}

template <class T>
Finding differences(const std::string& what, const std::vector<Block<T>>& expected,
                    const std::vector<std::vector<T>>& got) {
  for (std::size_t k = 0; k < got.size(); ++k) {
    const Finding found = difference(what + " " + std::to_string(k), expected[k].values, got[k]);
    if (!found.empty()) return found;
  }
  return {};
}

// Sequences here are dense: (T, B, width).
template <class E>
Sequence<E> dense(E* data, Index batch, Index width) {
  return {data, batch * width, width};
}

// What forward keeps for backward.
template <class T>
struct Tape {
  std::vector<std::vector<T>> saved, hidden, checkpoints;
  Index every = 0, batch = 0, width = 0, states = 1;

  Tape(const simdrnn::Network<T>& network, const Problem<T>& problem)
      : every(problem.checkpoint_every),
        batch(problem.batch),
        width(network.shape().output_size()),
        states(network.info().states) {
    const Index units = problem.batch * network.shape().hidden_size;
    const auto passes = static_cast<std::size_t>(network.shape().passes());
    const auto of = [](Index size) { return unwritten<T>(static_cast<std::size_t>(size)); };
    const Index layers = problem.recorded != 0 ? network.shape().layers : 1;
    for (Index layer = 0; layer < layers; ++layer) {
      hidden.push_back(of(problem.steps * problem.batch * width));
    }
    if (problem.recorded == 0) return;
    if (every == 0) {
      saved.assign(passes, of(problem.steps * units * network.saved_width()));
    } else {
      const Index borders = problem.steps == 0 ? 0 : (problem.steps - 1) / every;
      checkpoints.assign(passes, of(borders * units * (states - 1)));
    }
  }

  template <class E>
  simdrnn::TapeViews<E> views() {
    simdrnn::TapeViews<E> all;
    for (auto& one : saved) all.saved.push_back(one.data());
    for (auto& one : hidden) all.hidden.push_back(dense<E>(one.data(), batch, width));
    for (auto& one : checkpoints) {
      all.checkpoints.push_back({states > 1 ? one.data() : nullptr, every});
    }
    return all;
  }
};

// Where backward writes.
template <class T>
struct Results {
  std::vector<T> x, attention;
  std::vector<std::vector<T>> states, reset_states;
  std::vector<Parameters<T>> parameters;

  explicit Results(const Problem<T>& like)
      : x(unwritten<T>(like.d_x.values.size())),
        attention(unwritten<T>(like.d_attention.values.size())),
        states(unwritten_like(like.d_states)),
        reset_states(unwritten_like(like.d_reset_states)),
        parameters(like.d_parameters) {
    for (Parameters<T>& pass : parameters) {
      for (Block<T>* const one : pass.all()) one->values = unwritten<T>(one->values.size());
    }
  }

  simdrnn::Gradients<T> views(const Problem<T>& like) {
    simdrnn::Gradients<T> all{};
    if (like.d_x.given) all.x = dense(x.data(), like.batch, like.shape.input_size);
    all.states = pointers(states);
    for (Parameters<T>& pass : parameters) all.parameters.push_back(views_of<T>(pass));
    all.reset_states = pointers(reset_states);
    all.attention = like.d_attention.given ? attention.data() : nullptr;
    return all;
  }

  Finding difference_from(const Problem<T>& expected) {
    Finding found = difference("gradient for x", expected.d_x.values, x);
    if (found.empty()) found = differences("gradient for state", expected.d_states, states);
    if (found.empty()) {
      found = differences("gradient for reset state", expected.d_reset_states, reset_states);
    }
    if (found.empty()) {
      found = difference("gradient for attention", expected.d_attention.values, attention);
    }
    static constexpr const char* kNames[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh",
                                             "weight_hr"};
    for (std::size_t pass = 0; found.empty() && pass < parameters.size(); ++pass) {
      Parameters<T> wanted = expected.d_parameters[pass];
      const auto all = wanted.all(), got = parameters[pass].all();
      for (std::size_t k = 0; found.empty() && k < all.size(); ++k) {
        const std::string name = k < std::size(kNames) ? kNames[k] : "parameter of the cell";
        found = difference("gradient for " + name + " of pass " + std::to_string(pass),
                           all[k]->values, got[k]->values);
      }
    }
    return found;
  }
};

const auto& math_of(const KernelTable& isa, float) { return isa.math_f32; }
const auto& math_of(const KernelTable& isa, double) { return isa.math_f64; }

// NaN is NaN: its sign and the rest of its bits are the CPU's.
template <class T>
void settle_nans(std::vector<T>& values) {
  for (T& value : values) {
    if (std::isnan(value)) value = std::numeric_limits<T>::quiet_NaN();
  }
}

}  // namespace

template <class T>
Problem<T> Problem<T>::read(ProblemFile& file) {
  Problem p;
  p.shape.cell = file.text();
  p.shape.input_size = file.number();
  p.shape.hidden_size = file.number();
  p.shape.layers = file.number();
  p.shape.directions = file.number();
  p.shape.projected_size = file.number();
  p.options = file.plain<simdrnn::NetworkOptions<T>>("options");
  const auto passes = [&file](std::vector<Parameters<T>>& all) {
    all.resize(file.count());
    for (Parameters<T>& one : all) one = Parameters<T>::read(file);
  };
  passes(p.parameters);
  p.steps = file.number();
  p.batch = file.number();
  p.x = file.block<T>();
  p.states = file.blocks<T>();
  p.reset_states = file.blocks<T>();
  p.lengths = file.block<std::int64_t>();
  p.mask = file.block<std::uint8_t>();
  p.reset = file.block<std::uint8_t>();
  p.attention = file.block<T>();
  for (std::int64_t* const one :
       {&p.hold, &p.training, &p.key, &p.threads, &p.recorded, &p.checkpoint_every}) {
    *one = file.number();
  }
  p.output = file.block<T>();
  p.final_states = file.blocks<T>();
  p.goes_back = file.number();
  if (p.goes_back == 0) return p;
  p.d_output = file.block<T>();
  p.d_final_states = file.blocks<T>();
  p.d_x = file.block<T>();
  p.d_states = file.blocks<T>();
  p.d_reset_states = file.blocks<T>();
  passes(p.d_parameters);
  p.d_attention = file.block<T>();
  return p;
}

template <class T>
simdrnn::Call<T> Problem<T>::call() const {
  simdrnn::Call<T> call{};
  call.steps = {steps, batch, lengths.data(), mask.data(), reset.data()};
  call.x = dense(x.data(), batch, shape.input_size);
  call.states = pointers(states);
  call.reset_states = pointers(reset_states);
  call.attention = attention.data();
  call.hold = hold != 0;
  call.training = training != 0;
  call.key = static_cast<std::uint64_t>(key);
  call.threads = static_cast<int>(threads);
  call.flush_denormals = true;  // as layers do
  return call;
}

template <class T>
Finding Problem<T>::run(const KernelTable& isa) const {
  std::vector<simdrnn::ParameterViews<const T>> weights;
  for (const Parameters<T>& pass : parameters) weights.push_back(views_of<const T>(pass));
  const simdrnn::Network<T> network(shape, options, isa, weights);
  const simdrnn::Call<T> given = call();
  Tape<T> tape(network, *this);
  std::vector<std::vector<T>> finals = unwritten_like(final_states);
  network.forward(given, tape.template views<T>(), pointers(finals));
  Finding found = difference("output", output.values, tape.hidden.back());
  if (found.empty()) found = differences("final state", final_states, finals);
  if (!found.empty() || goes_back == 0) return found;
  Results<T> results(*this);
  network.backward(given, tape.template views<const T>(),
                   dense(d_output.data(), batch, shape.output_size()), pointers(d_final_states),
                   results.views(*this));
  return results.difference_from(*this);
}

template <class T>
MathProblem<T> MathProblem<T>::read(ProblemFile& file) {
  return {file.text(), file.block<double>().values, file.block<T>().values, file.block<T>().values};
}

template <class T>
Finding MathProblem<T>::run(const KernelTable& isa) const {
  const simdrnn::MathKernels<T>& math = math_of(isa, T());
  const std::pair<const char*, typename simdrnn::MathKernels<T>::Function> functions[] = {
      {"exp", math.exp},           {"sigmoid", math.sigmoid},
      {"tanh", math.tanh},         {"expm1_below_zero", math.expm1_below_zero},
      {"log", math.log},           {"log1p", math.log1p},
      {"softplus", math.softplus}, {"log_sigmoid", math.log_sigmoid}};
  std::vector<T> expected = y, got = unwritten<T>(x.size());
  const auto count = static_cast<Index>(x.size());
  bool known = arguments.size() == 3;
  if (known) {
    const simdrnn::Activation<T> activation{
        static_cast<simdrnn::ActivationKind>(static_cast<int>(arguments[0])),
        static_cast<T>(arguments[1]), static_cast<T>(arguments[2])};
    (function == "slope" ? math.slope : math.activate)(activation, x.data(), got.data(), count);
  }
  for (const auto& [name, kernel] : functions) {
    if (known || function != name) continue;
    kernel(x.data(), got.data(), count);
    known = true;
  }
  if (!known) return "expected a function of csrc/kernels/simd, got " + function;
  settle_nans(expected);
  settle_nans(got);
  return difference("values", expected, got);
}

template struct Problem<float>;
template struct Problem<double>;
template struct MathProblem<float>;
template struct MathProblem<double>;
