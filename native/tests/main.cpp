// Every kernel beside its plain definition, on inputs that reach each branch; ends with 0 if all hold.
#include "tests/check.hpp"

int main() {
    potstill::test_kernels();
    potstill::test_crc32c();
    potstill::test_repeats();
    potstill::test_suffix_search();
    potstill::test_suffix_merge();
    potstill::test_suffix_sort();
    std::puts("native tests passed");
}
