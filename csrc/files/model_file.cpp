#include "files/model_file.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "engine/dispatch/dispatch.hpp"
#include "engine/option_values.hpp"
#include "files/arrays.hpp"
#include "files/tensors.hpp"

namespace simdrnn::files {

namespace {

constexpr long long kFormat = 1;  // the newest that is understood
constexpr long long kMostSize = 1LL << 31;
constexpr const char *kDescription = "simdrnn.model", *kChecksum = "simdrnn.model.checksum";

OptionValue option_value(const Json& from) {
  if (const double* const number = from.if_number()) return {*number};
  if (const bool* const on = from.if_boolean()) return {*on ? 1.0 : 0.0};
  if (const std::string* const name = from.if_text()) return {*name};
  std::vector<OptionValue> values;
  for (const Json& item : from.items("options")) values.push_back(option_value(item));
  return {std::move(values)};
}

OptionValues option_values(const Json& from) {
  OptionValues values;
  for (const auto& [name, value] : from.members("options")) {
    values.emplace_back(name, option_value(value));
  }
  return values;
}

Index size_of(const Json& from, const char* name, Index least) {
  const auto size = static_cast<Index>(from.at(name).whole(name, kMostSize));
  if (size < least)
    throw FileError(std::string(name) + ": expected " + std::to_string(least) + " at least, got " +
                    std::to_string(size));
  return size;
}

// A product of sizes, which memory must hold.
Index product(Index a, Index b) {
  Index result = 0;
  if (__builtin_mul_overflow(a, b, &result)) throw FileError("expected sizes that memory holds");
  return result;
}

template <class T>
class ModelReader {
 public:
  ModelReader(const Tensors& tensors, const KernelTable& table)
      : tensors_(tensors), table_(table) {}

  std::shared_ptr<const model::Model<T>> read(const Json& description) {
    auto made = std::make_shared<model::Model<T>>();
    made->table = &table_;
    made->input_size = size_of(description, "input_size", 1);
    spend(made->input_size);
    for (const Json& stage : description.at("stages").items("stages")) {
      made->stages.push_back(stage_of(stage));
    }
    // A stream finds out whether everything fits together: here, and not where one is opened.
    (void)model::ModelStream<T>(made, 1, 1);
    return made;
  }

 private:
  // Of what a step makes there may be as many numbers as a file has bytes, and some more: joining
  // a value to itself, time and again, would ask for any number of them.
  void spend(Index width) {
    constexpr Index kSome = Index{1} << 16;
    if (width > kSome + tensors_.bytes() - spent_) {
      throw FileError("expected sizes that go with those of its arrays");
    }
    spent_ += width;
  }

  model::Stage<T> stage_of(const Json& from) {
    model::Stage<T> stage;
    const std::string& kind = from.at("kind").text("kind");
    if (kind == "graph") {
      std::vector<Index> widths;  // of the values
      for (const Json& node : from.at("nodes").items("nodes")) {
        stage.nodes.push_back(node_of(node));
        if (widths.empty()) widths.push_back(0);  // of what comes in, which is counted
        widths.push_back(width_of(stage.nodes.back(), widths));
        spend(widths.back());
      }
    } else if (kind == "linear") {
      stage.kind = model::StageKind::kLinear;
      stage.linear = linear_of(from);
    } else if (kind == "activation") {
      stage.kind = model::StageKind::kActivation;
      read_activation(from, stage.activation);
    } else {
      throw FileError("kind: expected graph, linear or activation, got " + shown(kind));
    }
    return stage;
  }

  static void read_activation(const Json& from, model::ActivationStage<T>& to) {
    const Json& activation = from.at("activation");
    const std::string* const name = activation.if_text();
    to.softmax = name != nullptr && *name == "softmax";
    if (!to.softmax) simdrnn::read(option_value(activation), to.activation);
  }

  static Index width_of(const StreamNode<T>& node, const std::vector<Index>& widths) {
    if (node.operation == StreamOperation::kNetwork && node.network != nullptr) {
      return node.network->shape().output_size();
    }
    Index width = 0;
    for (const int input : node.inputs) {
      const auto at = static_cast<std::size_t>(input);
      if (at >= widths.size()) throw FileError("inputs: expected values that are made before");
      width = node.operation == StreamOperation::kConcat ? width + widths[at]
                                                         : std::max(width, widths[at]);
    }
    return width;
  }

  std::shared_ptr<const Dense<T>> linear_of(const Json& from) {
    const Index outputs = size_of(from, "output_size", 1), inputs = size_of(from, "input_size", 1);
    spend(outputs);
    Arrays<T> arrays(tensors_);
    const T* const weight = arrays.of(from.at("weight"), product(outputs, inputs), "weight");
    if (weight == nullptr) throw FileError("weight: expected an array");
    const T* const bias = arrays.of(from.at("bias"), outputs, "bias");
    return std::make_shared<Dense<T>>(outputs, inputs, weight, bias, table_);
  }

  StreamNode<T> node_of(const Json& from) const {
    constexpr std::pair<const char*, StreamOperation> kOperations[] = {
        {"network", StreamOperation::kNetwork},
        {"add", StreamOperation::kAdd},
        {"highway", StreamOperation::kHighway},
        {"concat", StreamOperation::kConcat}};
    StreamNode<T> node;
    const std::string& name = from.at("operation").text("operation");
    const auto* const found = std::find_if(std::begin(kOperations), std::end(kOperations),
                                           [&](const auto& one) { return name == one.first; });
    if (found == std::end(kOperations)) {
      throw FileError("operation: expected one that is known, got " + shown(name));
    }
    node.operation = found->second;
    for (const Json& input : from.at("inputs").items("inputs")) {
      node.inputs.push_back(static_cast<int>(input.whole("inputs", 1 << 16)));
    }
    if (const Json* const network = from.find("network")) {
      node.network = network_of(*network);
      node.initial = initial_of(from, *node.network);
    }
    return node;
  }

  std::shared_ptr<const Network<T>> network_of(const Json& from) const {
    const NetworkShape shape{.cell = from.at("cell").text("cell"),
                             .input_size = size_of(from, "input_size", 1),
                             .hidden_size = size_of(from, "hidden_size", 1),
                             .layers = size_of(from, "layers", 1),
                             .directions = 1,
                             .projected_size = size_of(from, "projected_size", 0)};
    const auto& passes = from.at("passes").items("passes");
    if (static_cast<Index>(passes.size()) != shape.layers) {
      throw FileError("passes: expected one for each of " + std::to_string(shape.layers) +
                      " layers, got " + std::to_string(passes.size()));
    }
    const auto options = simdrnn::options_of<T>(option_values(from.at("options")));
    const Network<T> model(shape, options, table_);  // which refuses what does not fit
    check(model);
    Arrays<T> arrays(tensors_);
    std::vector<ParameterViews<const T>> given;
    for (const Json& pass : passes) {
      given.push_back(pass_of(pass, model, static_cast<Index>(given.size()), arrays));
    }
    return std::make_shared<Network<T>>(shape, options, table_, given, PackFor::kForward);
  }

  // What Python checks before it makes such a network.
  static void check(const Network<T>& model) {
    const LayerNorm<T>& norm = model.options().cell.norm;
    const bool refused = norm.on && (!normalisable(model.info()) || model.projects());
    if (refused || (norm.on && !(norm.epsilon >= 0))) {
      throw FileError("layer_norm: expected a cell that takes it, got " +
                      std::string(model.info().name));
    }
    if (model.shape().projected_size > model.shape().hidden_size) {
      throw FileError("projected_size: expected at most hidden_size");
    }
  }

  ParameterViews<const T> pass_of(const Json& from, const Network<T>& model, Index layer,
                                  Arrays<T>& arrays) const {
    const CellInfo& info = model.info();
    const Index hidden = model.shape().hidden_size;
    const auto of = [&](const char* name, Index size, bool may_be_none) {
      const T* const array = arrays.of(from.at(name), size, name);
      if ((array == nullptr) != (size == 0) && !(array == nullptr && may_be_none)) {
        throw FileError(std::string(name) + ": expected an array exactly where the cell has one");
      }
      return array;
    };
    ParameterViews<const T> views{};
    views.weight_ih = of(
        "weight_ih", product(product(input_blocks(info), hidden), model.layer_input(layer)), false);
    views.weight_hh = of(
        "weight_hh", product(product(recurrent_blocks(info), hidden), model.seen_units()), false);
    views.bias_ih = of("bias_ih", product(input_blocks(info), hidden), true);
    views.bias_hh = of("bias_hh", product(recurrent_gates(info), hidden), true);
    views.weight_hr = of("weight_hr", product(model.shape().projected_size, hidden), false);
    const auto& own = from.at("cell_parameters").items("cell_parameters");
    if (static_cast<Index>(own.size()) != model.parameter_count()) {
      throw FileError("cell_parameters: expected " + std::to_string(model.parameter_count()) +
                      ", got " + std::to_string(own.size()));
    }
    for (const Json& one : own) {
      views.cell_parameters.push_back(arrays.of(one, hidden, "cell_parameters"));
    }
    return views;
  }

  // S states (L, size), or none: zeros.
  std::vector<std::vector<T>> initial_of(const Json& from, const Network<T>& network) const {
    std::vector<std::vector<T>> initial;
    const auto& states = from.at("initial").items("initial");
    if (states.empty()) return initial;
    if (static_cast<int>(states.size()) != network.info().states) {
      throw FileError("initial: expected " + std::to_string(network.info().states) + " states");
    }
    Arrays<T> arrays(tensors_);
    for (const Json& state : states) {
      const Index size = network.shape().state_size(initial.size());
      const auto& layers = state.items("initial");
      if (static_cast<Index>(layers.size()) != network.shape().layers) {
        throw FileError("initial: expected a state for each layer");
      }
      auto& all = initial.emplace_back();
      for (const Json& layer : layers) {
        const T* const values = arrays.of(layer, size, "initial");
        if (values == nullptr) throw FileError("initial: expected arrays");
        all.insert(all.end(), values, values + size);
      }
    }
    return initial;
  }

  const Tensors& tensors_;
  const KernelTable& table_;
  Index spent_ = 0;
};

AnyModel read_described(const Tensors& tensors, const Json& description) {
  if (const Json* const why = description.find("refused")) {
    throw FileError("this model cannot be stepped: " + why->text("refused"));
  }
  const std::string& dtype = description.at("dtype").text("dtype");
  const KernelTable& table = dispatch::active();
  if (dtype == "float32") return ModelReader<float>(tensors, table).read(description);
  if (dtype == "float64") return ModelReader<double>(tensors, table).read(description);
  throw FileError("dtype: expected float32 or float64, got " + shown(dtype));
}

}  // namespace

AnyModel read_model(std::span<const std::byte> file) {
  const Tensors tensors(file);
  const std::string* const text = tensors.metadata(kDescription);
  const std::string* const checksum = tensors.metadata(kChecksum);
  if (text == nullptr || checksum == nullptr) {
    throw FileError(
        "it does not say how it is stepped; load it in Python, simdrnn 0.2 or later, and save it "
        "again, or use `simdrnn convert`");
  }
  const Json description = Json::parse(*text);
  const long long format = description.at("format").whole("format", kMostSize);
  if (format > kFormat) {
    throw FileError("format: expected at most " + std::to_string(kFormat) + ", got " +
                    std::to_string(format) + ", of a later version");
  }
  if (*checksum != std::to_string(tensors.checksum(*text))) {
    throw FileError("its checksum differs: it was damaged, or changed by another program");
  }
  try {
    return read_described(tensors, description);
  } catch (const std::invalid_argument& error) {  // what the engine refuses
    throw FileError(error.what());
  }
}

AnyModel read_model_file(const std::string& path, bool& found) {
  namespace fs = std::filesystem;
  found = false;
  try {
    const fs::path place(std::u8string(path.begin(), path.end()));
    std::error_code error;
    if (!fs::is_regular_file(place, error)) throw FileError("it is no file that can be read");
    const auto size = fs::file_size(place, error);
    std::ifstream stream(place, std::ios::binary);
    if (error || !stream) throw FileError("it cannot be read");
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
    if (stream.gcount() != static_cast<std::streamsize>(size)) throw FileError("it cannot be read");
    found = true;
    return read_model(bytes);
  } catch (const FileError& error) {
    throw FileError("expected a model that was saved for C, got " + path + ": " + error.what());
  }
}

}  // namespace simdrnn::files
