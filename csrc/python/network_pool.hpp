// Networks for calls that bring their parameters along. Packing these costs as much as many steps,
// so packed copies are kept, and found again by comparing all parameters bit by bit.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/dispatch/dispatch.hpp"
#include "engine/network.hpp"

namespace simdrnn::python {

template <class T>
struct Values {
  const T* data;
  std::size_t size;
};

// The parameters of all layers and directions, in the order of state_dict.
template <class T>
using Parameters = std::vector<Values<T>>;

template <class T>
class NetworkPool {
  struct Entry {
    Network<T> network;
    std::vector<T> parameters;         // what is packed
    const T* address = nullptr;        // where it was
    const KernelTable* isa = nullptr;  // what it is packed for; null: for nothing yet
    int users = 0;
    std::uint64_t last_use = 0;
  };

 public:
  NetworkPool(const NetworkShape& shape, const NetworkOptions<T>& options, bool bias)
      : bias_(bias), model_(shape, options) {}

  // For questions whose answer no parameter changes.
  [[nodiscard]] const Network<T>& model() const { return model_; }
  [[nodiscard]] bool bias() const { return bias_; }

  // A network that holds the given parameters, for reading, as long as the lease lives.
  class Lease {
   public:
    Lease(NetworkPool& pool, Entry& entry) : pool_(pool), entry_(entry) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      const std::scoped_lock lock(pool_.mutex_);
      --entry_.users;
    }
    [[nodiscard]] const Network<T>& network() const { return entry_.network; }

   private:
    NetworkPool& pool_;
    Entry& entry_;
  };

  Lease lease(const Parameters<T>& given) {
    const KernelTable* const isa = &dispatch::active();
    std::unique_lock lock(mutex_);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      Entry& entry = *entries_[i];
      if (entry.isa != isa || !agree<Compare::kEnds>(entry, given)) continue;
      take(entry);
      lock.unlock();  // comparing everything takes a while
      if (agree<Compare::kAll>(entry, given)) return Lease(*this, entry);
      lock.lock();
      --entry.users;
    }
    Entry& entry = choose(given);
    take(entry);
    entry.isa = nullptr;  // so nobody else takes it until it is packed
    lock.unlock();
    try {
      pack(entry, given);
    } catch (...) {
      lock.lock();
      --entry.users;
      throw;
    }
    lock.lock();
    entry.isa = isa;
    return Lease(*this, entry);
  }

  // Forgets what nobody uses; returns how many bytes that were.
  std::size_t release() {
    const std::scoped_lock lock(mutex_);
    std::size_t bytes = 0;
    std::erase_if(entries_, [&](const auto& entry) {
      if (entry->users > 0) return false;
      bytes += entry->network.packed_bytes() + entry->parameters.size() * sizeof(T);
      return true;
    });
    return bytes;
  }

 private:
  // As many sets of parameters as are kept of networks that are otherwise the same.
  static constexpr std::size_t kMostKept = 8;

  enum class Compare { kEnds, kAll };

  // Whether an entry holds the given parameters; kEnds: whether the first and last of each agree,
  // which tells most sets of parameters apart.
  template <Compare compare>
  static bool agree(const Entry& entry, const Parameters<T>& given) {
    const T* held = entry.parameters.data();
    for (const Values<T>& values : given) {
      if constexpr (compare == Compare::kAll) {
        if (std::memcmp(held, values.data, values.size * sizeof(T)) != 0) return false;
      } else {
        const std::size_t last = values.size - 1;
        if (std::memcmp(held, values.data, sizeof(T)) != 0) return false;
        if (std::memcmp(held + last, values.data + last, sizeof(T)) != 0) return false;
      }
      held += values.size;
    }
    return true;
  }

  void take(Entry& entry) {
    ++entry.users;
    entry.last_use = ++clock_;
  }

  // The entry to pack anew. Of those nobody uses, one whose parameters were at the same place is
  // best: in training they change at every step, and mostly stay where they are.
  Entry& choose(const Parameters<T>& given) {
    Entry* oldest = nullptr;
    for (const auto& entry : entries_) {
      if (entry->users > 0) continue;
      if (entry->address == given.front().data) return *entry;
      if (oldest == nullptr || entry->last_use < oldest->last_use) oldest = entry.get();
    }
    if (oldest != nullptr && entries_.size() >= kMostKept) return *oldest;
    entries_.push_back(std::make_unique<Entry>(
        Entry{Network<T>(model_.shape(), model_.options()), {}, nullptr, nullptr, 0, 0}));
    return *entries_.back();
  }

  void pack(Entry& entry, const Parameters<T>& given) const {
    const NetworkShape& shape = model_.shape();
    const auto cell_parameters = static_cast<std::size_t>(model_.info().cell_parameters);
    entry.parameters.clear();
    for (const Values<T>& values : given) {
      entry.parameters.insert(entry.parameters.end(), values.data, values.data + values.size);
    }
    entry.address = given.front().data;
    auto next = given.begin();
    const auto take_one = [&] { return (next++)->data; };
    for (Index index = 0; index < shape.layers * shape.directions; ++index) {
      const T* const weight_ih = take_one();
      const T* const weight_hh = take_one();
      const T* const bias_ih = bias_ ? take_one() : nullptr;
      const T* const bias_hh = bias_ ? take_one() : nullptr;
      const T* const weight_hr = shape.projected_size > 0 ? take_one() : nullptr;
      std::vector<const T*> parameters(cell_parameters);
      for (const T*& parameter : parameters) parameter = take_one();
      entry.network.set_parameters(index, weight_ih, weight_hh, bias_ih, bias_hh, parameters,
                                   weight_hr);
    }
  }

  const bool bias_;
  const Network<T> model_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::uint64_t clock_ = 0;
};

}  // namespace simdrnn::python
