// Token ids as Python hands them in: a list, a tuple or any other sequence of int, or a 1-D array.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace potstill {

// Read with the GIL held, kept without it. Queries of a few tokens need no allocation.
class TokenIds {
  public:
    explicit TokenIds(nanobind::handle ids) {
        if (PyList_Check(ids.ptr()) || PyTuple_Check(ids.ptr())) {
            read_sequence(ids.ptr());
        } else if (!read_array(ids)) {
            PyObject* sequence =
                PySequence_Fast(ids.ptr(), "ids must be a sequence of int or a 1-D array of them");
            if (sequence == nullptr) throw nanobind::python_error();
            const auto kept = nanobind::steal(sequence);
            read_sequence(sequence);
        }
    }
    TokenIds(const TokenIds&) = delete;
    TokenIds& operator=(const TokenIds&) = delete;

    std::span<const std::uint32_t> span() const { return {data_, size_}; }

  private:
    static constexpr std::size_t kInPlace = 64;
    // No vocabulary is as large as this.
    static constexpr std::int64_t kTooLarge = std::numeric_limits<std::uint32_t>::max();

    std::uint32_t* make_room(std::size_t size) {
        size_ = size;
        if (size > kInPlace) large_.resize(size);
        std::uint32_t* room = size > kInPlace ? large_.data() : small_.data();
        data_ = room;
        return room;
    }

    template <typename Integer>
    static std::uint32_t checked(Integer id) {
        if (std::cmp_less(id, 0) || std::cmp_greater_equal(id, kTooLarge)) {
            throw std::invalid_argument("id " + std::to_string(id) + " is outside of every vocabulary");
        }
        return static_cast<std::uint32_t>(id);
    }

    static std::uint32_t to_id(PyObject* item) {
        if (!PyLong_Check(item)) {
            // NumPy's integers, say, but not floats.
            PyObject* number = PyNumber_Index(item);
            if (number == nullptr) throw nanobind::python_error();
            const auto kept = nanobind::steal(number);
            return to_id(number);
        }
        int overflow = 0;
        const long long id = PyLong_AsLongLongAndOverflow(item, &overflow);
        if (id == -1 && PyErr_Occurred()) throw nanobind::python_error();
        return overflow == 0 ? checked(id) : checked(overflow * std::numeric_limits<std::int64_t>::max());
    }

    void read_sequence(PyObject* sequence) {
        const auto size = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(sequence));
        std::uint32_t* room = make_room(size);
        for (std::size_t i = 0; i < size; ++i) {
            // Asked for again each time: __index__ of an item may have shortened the list.
            if (static_cast<std::size_t>(PySequence_Fast_GET_SIZE(sequence)) != size) {
                throw std::invalid_argument("the list changed while it was read");
            }
            room[i] = to_id(PySequence_Fast_GET_ITEM(sequence, static_cast<Py_ssize_t>(i)));
        }
    }

    template <typename Integer, typename AnyArray>
    bool read_if(const AnyArray& array) {
        if (array.dtype() != nanobind::dtype<Integer>()) return false;
        const auto* values = static_cast<const Integer*>(array.data());
        const std::int64_t stride = array.stride(0);
        std::uint32_t* room = make_room(array.shape(0));
        for (std::size_t i = 0; i < size_; ++i)
            room[i] = checked(values[static_cast<std::int64_t>(i) * stride]);
        return true;
    }

    bool read_array(nanobind::handle ids) {
        namespace nb = nanobind;
        nb::ndarray<nb::ro, nb::ndim<1>, nb::device::cpu> array;
        if (!nb::try_cast(ids, array, false)) return false;
        const bool is_read = read_if<std::uint32_t>(array) || read_if<std::int64_t>(array) ||
                             read_if<std::int32_t>(array) || read_if<std::uint16_t>(array) ||
                             read_if<std::uint64_t>(array) || read_if<std::int16_t>(array) ||
                             read_if<std::uint8_t>(array) || read_if<std::int8_t>(array);
        if (!is_read) throw nb::type_error("ids must be integers");
        return true;
    }

    std::array<std::uint32_t, kInPlace> small_;
    std::vector<std::uint32_t> large_;
    const std::uint32_t* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace potstill
