// Networks for calls that bring their parameters along. Packing these costs as much as many steps,
// so packed copies are kept, and found again by comparing all parameters bit by bit.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
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
  // One set of parameters, and the network that they are packed in: both are only read.
  struct Entry {
    Entry(const Network<T>& model, const KernelTable& table, const Parameters<T>& given,
          PackFor passes, std::vector<T> used_before, std::shared_ptr<SpareMemories> spare)
        : parameters(all_of(given, std::move(used_before))),
          address(given.arrays.front().data()),
          isa(&table),
          network(model.shape(), model.options(), table, given.views, passes, std::move(spare)) {}

    std::vector<T> parameters;
    const T* const address;  // where they were
    const KernelTable* const isa;
    const Network<T> network;
    std::uint64_t last_use = 0;
  };

 public:
  NetworkPool(const NetworkShape& shape, const NetworkOptions<T>& options)
      : model_(shape, options, dispatch::active()) {}

  // For questions whose answer no parameter changes.
  [[nodiscard]] const Network<T>& model() const { return model_; }

  // A network that holds the given parameters, as long as somebody holds it; `passes`: what it is
  // to be packed for if it is not there.
  std::shared_ptr<const Network<T>> with(const Parameters<T>& given, PackFor passes) {
    const KernelTable& isa = dispatch::active();
    for (const auto& entry : look_alike(isa, given)) {  // comparing everything takes a while
      if (agree<Compare::kAll>(*entry, given)) return used(entry);
    }
    const auto entry =
        std::make_shared<Entry>(model_, isa, given, passes, make_room(given), spare_);
    const std::scoped_lock lock(mutex_);
    entries_.push_back(entry);
    return used_locked(entry);
  }

  // Forgets what nobody uses; returns how many bytes that were.
  std::size_t release() {
    const std::scoped_lock lock(mutex_);
    std::size_t bytes = 0;
    std::erase_if(entries_, [&](const auto& entry) {
      if (entry.use_count() > 1) return false;
      bytes += entry->network.packed_bytes() + entry->parameters.size() * sizeof(T);
      return true;
    });
    (void)spare_->forward.take();
    (void)spare_->backward.take();
    return bytes;
  }

  // Around a fork: a child in which another thread held this would wait for ever.
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

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

  static std::vector<T> all_of(const Parameters<T>& given, std::vector<T> all) {
    std::size_t size = 0;
    for (const std::span<const T> values : given.arrays) size += values.size();
    all.clear();
    all.reserve(size);
    for (const std::span<const T> values : given.arrays) {
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }

  // The entries that may hold the given parameters, packed for that ISA.
  std::vector<std::shared_ptr<Entry>> look_alike(const KernelTable& isa,
                                                 const Parameters<T>& given) {
    const std::scoped_lock lock(mutex_);
    std::vector<std::shared_ptr<Entry>> found;
    for (const auto& entry : entries_) {
      if (entry->isa == &isa && agree<Compare::kEnds>(*entry, given)) found.push_back(entry);
    }
    return found;
  }

  std::shared_ptr<const Network<T>> used(const std::shared_ptr<Entry>& entry) {
    const std::scoped_lock lock(mutex_);
    return used_locked(entry);
  }
  std::shared_ptr<const Network<T>> used_locked(const std::shared_ptr<Entry>& entry) {
    entry->last_use = ++clock_;
    return {entry, &entry->network};
  }

  // Drops an entry that nobody uses, for one that is to be packed: its memory is used again, and
  // what is returned. Best is one whose parameters were at the same place: in training they change
  // at every step, and mostly stay where they are.
  std::vector<T> make_room(const Parameters<T>& given) {
    const std::scoped_lock lock(mutex_);
    auto dropped = entries_.end();
    for (auto at = entries_.begin(); at != entries_.end(); ++at) {
      if (at->use_count() > 1) continue;
      if ((*at)->address == given.arrays.front().data()) {
        dropped = at;
        break;
      }
      if (entries_.size() < kMostKept) continue;
      if (dropped == entries_.end() || (*at)->last_use < (*dropped)->last_use) dropped = at;
    }
    if (dropped == entries_.end()) return {};
    std::vector<T> memory = std::move((*dropped)->parameters);
    entries_.erase(dropped);
    return memory;
  }

  const Network<T> model_;
  const std::shared_ptr<SpareMemories> spare_ = std::make_shared<SpareMemories>();
  std::mutex mutex_;
  std::vector<std::shared_ptr<Entry>> entries_;
  std::uint64_t clock_ = 0;
};

}  // namespace simdrnn::python
