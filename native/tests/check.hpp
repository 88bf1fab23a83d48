// A check that holds in every build, unlike assert, and says where it failed.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                        \
        }                                                                        \
    } while (false)

#define CHECK_THROWS(expression, Error) \
    do {                                \
        bool is_thrown = false;         \
        try {                           \
            expression;                 \
        } catch (const Error&) {        \
            is_thrown = true;           \
        }                               \
        CHECK(is_thrown);               \
    } while (false)

namespace potstill {

inline bool is_close(double a, double b, double tolerance) {
    return std::abs(a - b) <= tolerance * (1.0 + std::abs(b));
}

void test_attention();
void test_linear();
void test_program();
void test_sampling();

inline void test_kernels() {
    test_attention();
    test_linear();
    test_program();
    test_sampling();
}

void test_crc32c();
void test_repeats();
void test_suffix_search();
void test_suffix_merge();
void test_suffix_sort();

}  // namespace potstill
