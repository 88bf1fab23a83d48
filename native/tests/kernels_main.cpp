// The same without the index, in which neither OpenMP nor the processor's level changes a line.
#include "tests/check.hpp"

int main() {
    potstill::test_kernels();
    std::puts("native tests passed");
}
