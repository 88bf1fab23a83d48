// What can go wrong in an index, apart from the caller's arguments (std::invalid_argument) and the system's
// refusals (std::system_error).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace potstill {

// A file is not what was written: cut short, altered, or made by someone who does not keep the format.
class DamagedFile : public std::runtime_error {
  public:
    DamagedFile(const std::string& file, std::uint64_t offset, const std::string& what)
        : std::runtime_error(file + ", byte " + std::to_string(offset) + ": " + what) {}
};

// The caller asked a long piece of work to stop.
class Cancelled : public std::runtime_error {
  public:
    Cancelled() : std::runtime_error("cancelled") {}
};

}  // namespace potstill
