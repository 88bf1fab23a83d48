// Files read and written in large pieces; every refusal of the system is thrown with its errno.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

namespace potstill {

class InputFile {
  public:
    explicit InputFile(const std::string& path);
    ~InputFile();
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    std::uint64_t size() const;
    const std::string& path() const { return path_; }
    int descriptor() const { return descriptor_; }

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
    explicit OutputFile(const std::string& path) : OutputFile(path, 0, true) {}
    // Writes from byte `offset` on into a file that may be there, and leaves the rest of it.
    OutputFile(const std::string& path, std::uint64_t offset) : OutputFile(path, offset, false) {}
    ~OutputFile();
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    void append(const void* bytes, std::size_t size);
    template <typename Number>
    void append_number(Number number) {
        if (kBufferBytes - used_ < sizeof(Number)) flush();
        std::memcpy(buffer_.get() + used_, &number, sizeof(Number));
        used_ += sizeof(Number);
    }
    // All of another file.
    void append_file(const std::string& path);
    // Write what the buffer holds, sync, close.
    void finish();

  private:
    static constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

    OutputFile(const std::string& path, std::uint64_t offset, bool replaces);
    void flush();
    void write_out(const unsigned char* bytes, std::size_t size);

    std::string path_;
    int descriptor_ = -1;
    std::uint64_t offset_ = 0;
    std::uint64_t written_back_ = 0;
    std::unique_ptr<unsigned char[]> buffer_;
    std::size_t used_ = 0;
};

}  // namespace potstill
