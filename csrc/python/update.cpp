// Steps of optimisers, and norms, of all arrays at once; see simdrnn.engine.updates.
#include "engine/update.hpp"

#include <pybind11/pybind11.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/dispatch/dispatch.hpp"
#include "python/arrays.hpp"
#include "python/gil.hpp"
#include "python/reader.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace {

constexpr double kWorkOfElement = 32;  // against multiplications, whether the GIL is worth giving

// Whether an array is of T, as this machine stores it.
template <class T>
bool is_of(const py::array& array) {
  const py::dtype found = array.dtype();
  const int wanted =
      sizeof(T) == 4 ? py::detail::npy_api::NPY_FLOAT_ : py::detail::npy_api::NPY_DOUBLE_;
  return found.num() == wanted && found.byteorder() == '=';
}

// An array whose elements lie one after the other in memory, in whatever order.
template <class T>
Elements<T> elements_of(const py::handle& object, const char* name) {
  if (!py::isinstance<py::array>(object)) reject(name, "arrays");
  auto array = py::reinterpret_borrow<py::array>(object);
  constexpr int kContiguous = py::array::c_style | py::array::f_style;
  if (!is_of<std::remove_const_t<T>>(array) || (array.flags() & kContiguous) == 0 ||
      !is_aligned<T>(array)) {
    reject(name, "contiguous, aligned arrays of one type");
  }
  return {pointer_to<T>(array), static_cast<std::size_t>(array.size())};
}

py::sequence sequence_of(const py::handle& object, const char* name) {
  if (!py::isinstance<py::list>(object) && !py::isinstance<py::tuple>(object)) {
    reject(name, "a list");
  }
  return py::reinterpret_borrow<py::sequence>(object);
}

bool is_single(const py::handle& object) {
  return py::isinstance<py::array>(object) &&
         is_of<float>(py::reinterpret_borrow<py::array>(object));
}

// The arrays of a list by their types.
template <template <class> class Kind>
struct ByType {
  std::vector<Kind<float>> f32;
  std::vector<Kind<double>> f64;
};

template <class T>
using Read = Elements<const T>;
template <class T>
using Written = Elements<T>;

// Where memory lies, as numbers, and whether it is written.
struct Place {
  std::uintptr_t begin, end;
  bool written;
};

template <class E>
Place place_of(E* data, std::size_t size, bool written) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  return {begin, begin + size * sizeof(E), written};
}

// Whether memory that is written is also another place's: then arrays come one after the other, as
// if by hand, where they else share the threads.
bool overlap(std::vector<Place> places) {
  std::erase_if(places, [](const Place& one) { return one.begin == one.end; });
  std::sort(places.begin(), places.end(),
            [](const Place& a, const Place& b) { return a.begin < b.begin; });
  std::uintptr_t written_until = 0, read_until = 0;
  for (const Place& place : places) {
    if (place.begin < written_until || (place.written && place.begin < read_until)) return true;
    std::uintptr_t& until = place.written ? written_until : read_until;
    until = std::max(until, place.end);
  }
  return false;
}

// Of parameters, and of the gradients that are not their own.
template <class T>
bool overlap(const std::vector<Updated<T>>& arrays) {
  std::vector<Place> places;
  for (const Updated<T>& one : arrays) {
    const auto size = static_cast<std::size_t>(one.size);
    places.push_back(place_of(one.parameter, size, true));
    if (one.gradient != one.parameter) places.push_back(place_of(one.gradient, size, false));
  }
  return overlap(std::move(places));
}

template <class T>
void update_all(const std::vector<Updated<T>>& arrays, const UpdateRule<T>& rule) {
  if (arrays.empty()) return;
  const KernelTable& table = dispatch::active();
  Index size = 0;
  for (const Updated<T>& one : arrays) size += one.size;
  const bool apart = !overlap(arrays);
  const Unlocked unlocked(kWorkOfElement * static_cast<double>(size));
  if (apart) {
    update<T>(arrays, rule, table);
  } else {
    for (const Updated<T>& one : arrays) update<T>({&one, 1}, rule, table);
  }
}

template <class T>
void add(const py::handle& parameter, const py::handle& gradient,
         const std::vector<py::sequence>& kept, std::size_t index,
         std::vector<Updated<T>>& arrays) {
  const auto p = elements_of<T>(parameter, "parameters");
  const auto g = elements_of<const T>(gradient, "gradients");
  Updated<T> one{p.data(), g.data(), {}, static_cast<Index>(p.size())};
  if (g.size() != p.size()) reject("gradients", "the sizes of the parameters");
  for (std::size_t k = 0; k < kept.size(); ++k) {
    const py::object item = kept[k][index];
    const auto values = elements_of<T>(item, "kept");
    if (values.size() != p.size()) reject("kept", "the sizes of the parameters");
    one.kept[k] = values.data();
  }
  arrays.push_back(one);
}

// What all rules are given.
struct Arrays {
  const py::object &parameters, &gradients, &kept;
  double scale, decay;
};

// rule_of(T()) is the rule in numbers of type T; `slots`: what it keeps of a parameter.
template <class RuleOf>
void run_rule(const Arrays& given, std::size_t slots, const RuleOf& rule_of) {
  const py::sequence parameters = sequence_of(given.parameters, "parameters");
  const py::sequence gradients = sequence_of(given.gradients, "gradients");
  std::vector<py::sequence> kept;
  for (const auto& slot : sequence_of(given.kept, "kept")) {
    kept.push_back(sequence_of(slot, "kept"));
    if (kept.back().size() != parameters.size()) reject("kept", "an array for each parameter");
  }
  if (gradients.size() != parameters.size()) reject("gradients", "one for each parameter");
  if (kept.size() != slots) reject("kept", std::to_string(slots) + " lists");
  ByType<Updated> arrays;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const py::object parameter = parameters[i], gradient = gradients[i];
    if (is_single(parameter)) {
      add(parameter, gradient, kept, i, arrays.f32);
    } else {
      add(parameter, gradient, kept, i, arrays.f64);
    }
  }
  update_all<float>(arrays.f32, {rule_of(float()), static_cast<float>(given.scale),
                                 static_cast<float>(given.decay)});
  update_all<double>(arrays.f64, {rule_of(double()), given.scale, given.decay});
}

void sgd(const py::object& parameters, const py::object& gradients, const py::object& kept,
         double scale, double decay, double rate, double momentum, double taken, bool first,
         bool nesterov) {
  const bool buffered = py::len(kept) > 0;
  run_rule({parameters, gradients, kept, scale, decay}, buffered ? 1 : 0, [&](auto type) {
    using T = decltype(type);
    return SgdRule<T>{static_cast<T>(rate),
                      static_cast<T>(momentum),
                      static_cast<T>(taken),
                      buffered,
                      first,
                      nesterov};
  });
}

void adam(const py::object& parameters, const py::object& gradients, const py::object& kept,
          double scale, double decay, double shrink, double mean_taken, double square_kept,
          double square_taken, double root, double eps, double rate) {
  const bool largest = py::len(kept) > 2;
  run_rule({parameters, gradients, kept, scale, decay}, largest ? 3 : 2, [&](auto type) {
    using T = decltype(type);
    return AdamRule<T>{static_cast<T>(shrink),      static_cast<T>(mean_taken),
                       static_cast<T>(square_kept), static_cast<T>(square_taken),
                       static_cast<T>(root),        static_cast<T>(eps),
                       static_cast<T>(rate),        largest};
  });
}

void rmsprop(const py::object& parameters, const py::object& gradients, const py::object& kept,
             double scale, double decay, double square_kept, double taken, double eps, double rate,
             double momentum, bool buffered, bool centered) {
  const std::size_t slots = std::size_t{1} + (buffered ? 1 : 0) + (centered ? 1 : 0);
  run_rule({parameters, gradients, kept, scale, decay}, slots, [&](auto type) {
    using T = decltype(type);
    return RmspropRule<T>{static_cast<T>(square_kept),
                          static_cast<T>(taken),
                          static_cast<T>(eps),
                          static_cast<T>(rate),
                          static_cast<T>(momentum),
                          buffered,
                          centered};
  });
}

template <class E32, class E64>
double elements_in(const E32& f32, const E64& f64) {
  double count = 0;
  for (const auto& one : f32) count += static_cast<double>(one.size());
  for (const auto& one : f64) count += static_cast<double>(one.size());
  return count;
}

double squares(const py::object& arrays) {
  ByType<Read> found;
  for (const auto& item : sequence_of(arrays, "arrays")) {
    if (is_single(item)) {
      found.f32.push_back(elements_of<const float>(item, "arrays"));
    } else {
      found.f64.push_back(elements_of<const double>(item, "arrays"));
    }
  }
  const KernelTable& table = dispatch::active();
  const Unlocked unlocked(kWorkOfElement * elements_in(found.f32, found.f64));
  return sum_of_squares<float>(found.f32, table) + sum_of_squares<double>(found.f64, table);
}

template <class T>
void scale_in_turn(const std::vector<Elements<T>>& arrays, T factor, const KernelTable& table) {
  std::vector<Place> places;
  for (const Elements<T>& one : arrays) {
    places.push_back(place_of(one.data(), one.size(), true));
  }
  if (!overlap(std::move(places))) return scale<T>(arrays, factor, table);
  for (const Elements<T>& one : arrays) scale<T>({&one, 1}, factor, table);
}

void scale_all(const py::object& arrays, double factor) {
  ByType<Written> found;
  for (const auto& item : sequence_of(arrays, "arrays")) {
    if (is_single(item)) {
      found.f32.push_back(elements_of<float>(item, "arrays"));
    } else {
      found.f64.push_back(elements_of<double>(item, "arrays"));
    }
  }
  const KernelTable& table = dispatch::active();
  const Unlocked unlocked(kWorkOfElement * elements_in(found.f32, found.f64));
  scale_in_turn<float>(found.f32, static_cast<float>(factor), table);
  scale_in_turn<double>(found.f64, factor, table);
}

}  // namespace

void register_update(py::module_& m) {
  m.def("sgd", &sgd, py::arg("parameters"), py::arg("gradients"), py::arg("kept"), py::arg("scale"),
        py::arg("decay"), py::arg("rate"), py::arg("momentum"), py::arg("taken"), py::arg("first"),
        py::arg("nesterov"), "A step of stochastic gradient descent.");
  m.def("adam", &adam, py::arg("parameters"), py::arg("gradients"), py::arg("kept"),
        py::arg("scale"), py::arg("decay"), py::arg("shrink"), py::arg("mean_taken"),
        py::arg("square_kept"), py::arg("square_taken"), py::arg("root"), py::arg("eps"),
        py::arg("rate"), "A step of Adam.");
  m.def("rmsprop", &rmsprop, py::arg("parameters"), py::arg("gradients"), py::arg("kept"),
        py::arg("scale"), py::arg("decay"), py::arg("square_kept"), py::arg("taken"),
        py::arg("eps"), py::arg("rate"), py::arg("momentum"), py::arg("buffered"),
        py::arg("centered"), "A step of RMSprop.");
  m.def("sum_of_squares", &squares, py::arg("arrays"), "Of all elements, in double precision.");
  m.def("scale", &scale_all, py::arg("arrays"), py::arg("factor"),
        "Multiply all elements by a factor.");
}

}  // namespace simdrnn::python
