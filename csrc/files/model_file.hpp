// Models out of files that layers, stacks and converted models are saved in, for whoever steps them
// without Python. docs/c_api.md says what of a file is read, docs/files_and_scale.md what is in it.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "model/model_stream.hpp"

namespace simdrnn::files {

using AnyModel = std::variant<std::shared_ptr<const model::Model<float>>,
                              std::shared_ptr<const model::Model<double>>>;

// Of all bytes of a file. Throws a FileError with a sentence, or std::bad_alloc. Every size is held
// against the bytes that are there before memory is asked for, of which a model takes a small
// multiple of the file's.
AnyModel read_model(std::span<const std::byte> file);

// The same of a file, whose name (UTF-8) the sentence begins with. `found` tells whether there is
// such a file that can be read.
AnyModel read_model_file(const std::string& path, bool& found);

}  // namespace simdrnn::files
