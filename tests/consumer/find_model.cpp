// Prints the path at which a model is found.
#include <cstdio>

#include "rae/load/model_search.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::puts(rae::find_model(argv[1]).c_str());
  return 0;
}
