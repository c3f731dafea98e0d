// Calls of the functions in C in any order, with arguments that fit and such that do not.
#pragma once
#include <string>
#include <vector>

#include "random.hpp"
#include "simdrnn/simdrnn.h"

namespace fuzz {

// Takes a few steps of a model that a damaged file turned out to be, and checks what must hold.
void exercise(simdrnn_model* model, Random& random);

class Session {
 public:
  Session(const std::vector<std::string>& paths, Random& random);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void call();  // one, of any kind

 private:
  struct Opened {
    simdrnn_stream* stream;
    simdrnn_info info;
    int64_t batch;
  };

  void open();
  void close();
  void run(Opened& opened);
  void reset(Opened& opened);
  void state(Opened& opened);
  void wrong(Opened& opened);

  Random& random_;
  std::vector<simdrnn_model*> models_;
  std::vector<Opened> streams_;
};

}  // namespace fuzz
