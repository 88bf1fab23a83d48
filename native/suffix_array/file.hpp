// Files read and written in large pieces; every refusal of the system is thrown with its errno.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace potstill {

class InputFile {
  public:
    explicit InputFile(const std::string& path);
    ~InputFile();
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    std::uint64_t size() const;
    const std::string& path() const { return path_; }

    // Less than asked for only at the file's end.
    std::size_t read_up_to(void* out, std::size_t size, std::uint64_t offset) const;
    // Throws DamagedFile if the file ends before.
    void read(void* out, std::size_t size, std::uint64_t offset) const;

  private:
    std::string path_;
    int descriptor_ = -1;
};

// Buffered; what was appended is on the disk once `finish` has returned, and not before.
class OutputFile {
  public:
    // Replaces a file of that name.
    explicit OutputFile(const std::string& path, std::size_t buffer_bytes = std::size_t{1} << 20);
    ~OutputFile();
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    void append(const void* bytes, std::size_t size);
    // Write what the buffer holds, sync, close.
    void finish();

  private:
    void flush();
    void write_out(const unsigned char* bytes, std::size_t size);

    std::string path_;
    int descriptor_ = -1;
    std::vector<unsigned char> buffer_;
    std::size_t used_ = 0;
};

}  // namespace potstill
