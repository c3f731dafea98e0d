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

// Throws std::invalid_argument naming the choices when `name` is unknown or cannot run here.
void use(const std::string& name);

}  // namespace simdrnn::dispatch
