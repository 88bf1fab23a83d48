// What can go wrong in an index, apart from the caller's arguments (std::invalid_argument).
#pragma once

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace potstill {

// A file is not what was written: cut short, altered, or made by someone who does not keep the format.
class DamagedFile : public std::runtime_error {
  public:
    DamagedFile(const std::string& file, std::uint64_t offset, const std::string& what)
        : std::runtime_error(file + ", byte " + std::to_string(offset) + ": " + what) {}
};

// The system refused: no room, no such file, no permission.
class FileRefused : public std::system_error {
  public:
    FileRefused(int code, std::string file)
        : std::system_error(code, std::generic_category(), file), file_(std::move(file)) {}

    const std::string& file() const { return file_; }

  private:
    std::string file_;
};

[[noreturn]] inline void throw_errno(const std::string& file) { throw FileRefused(errno, file); }

// Sorting a part takes more memory than the caller may have.
class PartTooLarge : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// The caller asked a long piece of work to stop.
class Cancelled : public std::runtime_error {
  public:
    Cancelled() : std::runtime_error("cancelled") {}
};

}  // namespace potstill
