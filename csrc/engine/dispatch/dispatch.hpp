// Which ISAs this build has, which this CPU can run, and which one is in use.
#pragma once
#include <string>
#include <vector>

#include "abi/kernel_table.hpp"

namespace simdrnn::dispatch {

// Names, best first.
std::vector<std::string> compiled();
std::vector<std::string> available();  // compiled in, and supported by CPU and operating system

const KernelTable& active();

// These throw std::invalid_argument naming the choices when `name` is unknown or cannot run here,
// and std::runtime_error where none can.
const KernelTable& named(const std::string& name);
void use(const std::string& name);

}  // namespace simdrnn::dispatch
