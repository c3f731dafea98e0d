// Networks for calls that bring their parameters along. Packing these costs as much as many steps,
// so packed copies are kept, and found again by comparing all parameters bit by bit.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/dispatch/dispatch.hpp"
#include "engine/network.hpp"

namespace simdrnn::python {

// The parameters of all layers and directions: one after the other as they are compared, and by
// layer * D + direction as they are packed.
template <class T>
struct Parameters {
  std::vector<std::span<const T>> arrays;
  std::vector<ParameterViews<const T>> views;
};

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
  NetworkPool(const NetworkShape& shape, const NetworkOptions<T>& options)
      : model_(shape, options) {}

  // For questions whose answer no parameter changes.
  [[nodiscard]] const Network<T>& model() const { return model_; }

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
    for (const std::span<const T> values : given.arrays) {
      if constexpr (compare == Compare::kAll) {
        if (std::memcmp(held, values.data(), values.size_bytes()) != 0) return false;
      } else {
        const std::size_t last = values.size() - 1;
        if (std::memcmp(held, values.data(), sizeof(T)) != 0) return false;
        if (std::memcmp(held + last, values.data() + last, sizeof(T)) != 0) return false;
      }
      held += values.size();
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
      if (entry->address == given.arrays.front().data()) return *entry;
      if (oldest == nullptr || entry->last_use < oldest->last_use) oldest = entry.get();
    }
    if (oldest != nullptr && entries_.size() >= kMostKept) return *oldest;
    entries_.push_back(std::make_unique<Entry>(
        Entry{Network<T>(model_.shape(), model_.options()), {}, nullptr, nullptr, 0, 0}));
    return *entries_.back();
  }

  static void pack(Entry& entry, const Parameters<T>& given) {
    entry.parameters.clear();
    for (const std::span<const T> values : given.arrays) {
      entry.parameters.insert(entry.parameters.end(), values.begin(), values.end());
    }
    entry.address = given.arrays.front().data();
    Index index = 0;
    for (const auto& views : given.views) entry.network.set_parameters(index++, views);
  }

  const Network<T> model_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::uint64_t clock_ = 0;
};

}  // namespace simdrnn::python
