// What a program can do in one go. Every thread of a team runs every instruction and does its share of it.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "kernels/linear.hpp"
#include "runner/run.hpp"

namespace potstill {

class Instruction {
  public:
    virtual ~Instruction() = default;

    // For the profile.
    virtual const char* kind() const = 0;

    virtual void run(const Run& run, RunThread& thread) const = 0;

    // Whether a thread only touches its own rows of the tables, those of share_of(rows_in(space)): between
    // two such instructions of one space no thread waits for the others.
    virtual bool is_by_rows() const { return true; }

    virtual Space space() const { return Space::tokens; }
};

// One row after the other, each of them alone.
class RowInstruction : public Instruction {
  public:
    explicit RowInstruction(Space space) : space_(space) {}
    void run(const Run& run, RunThread& thread) const final;
    Space space() const final { return space_; }

  protected:
    virtual void run_row(const Run& run, std::size_t row) const = 0;

  private:
    Space space_;
};

// out = scale * table[token] + positions[position + offset].
class Embed final : public RowInstruction {
  public:
    Embed(const PackedMatrix& table, float scale, const PackedMatrix* positions, std::size_t offset, View out)
        : RowInstruction(Space::tokens),
          table_(table),
          positions_(positions),
          scale_(scale),
          offset_(offset),
          out_(out) {}
    const char* kind() const override { return "embed"; }
    std::size_t num_tokens() const { return table_.rows(); }
    // Positions that the table holds; all where there is none.
    std::size_t num_positions() const;

  protected:
    void run_row(const Run& run, std::size_t row) const override;

  private:
    const PackedMatrix& table_;
    const PackedMatrix* positions_;
    float scale_;
    std::size_t offset_;
    View out_;
};

// Each of `num_heads` equal parts of x normalised by itself; out = that, or out += that.
class Norm final : public RowInstruction {
  public:
    struct Settings {
        bool is_rms;
        float eps;
        std::size_t num_heads;
        bool accumulate;
    };
    Norm(Space space, View x, View out, std::vector<float> weight, std::vector<float> bias, Settings settings)
        : RowInstruction(space),
          x_(x),
          out_(out),
          weight_(std::move(weight)),
          bias_(std::move(bias)),
          settings_(settings) {}
    const char* kind() const override { return "norm"; }

  protected:
    void run_row(const Run& run, std::size_t row) const override;

  private:
    View x_, out_;
    std::vector<float> weight_, bias_;
    Settings settings_;
};

// Cosines and sines of each token's position, once a run.
class Rotation final : public RowInstruction {
  public:
    Rotation(std::vector<float> frequencies, View table)
        : RowInstruction(Space::tokens), frequencies_(std::move(frequencies)), table_(table) {}
    const char* kind() const override { return "rope"; }

  protected:
    void run_row(const Run& run, std::size_t row) const override;

  private:
    std::vector<float> frequencies_;
    View table_;
};

class Rotate final : public RowInstruction {
  public:
    Rotate(View x, std::size_t num_heads, View table)
        : RowInstruction(Space::tokens), x_(x), table_(table), num_heads_(num_heads) {}
    const char* kind() const override { return "rope"; }

  protected:
    void run_row(const Run& run, std::size_t row) const override;

  private:
    View x_, table_;
    std::size_t num_heads_;
};

// Keys and values of the run's tokens to their slots of a layer, in the cache's type.
class Store final : public RowInstruction {
  public:
    Store(std::size_t layer, View keys, View values)
        : RowInstruction(Space::tokens), layer_(layer), keys_(keys), values_(values) {}
    const char* kind() const override { return "store"; }

  protected:
    void run_row(const Run& run, std::size_t row) const override;

  private:
    std::size_t layer_;
    View keys_, values_;
};

// out = act(a) * b.
class Gate final : public RowInstruction {
  public:
    Gate(Space space, View a, View b, Act act, View out)
        : RowInstruction(space), a_(a), b_(b), out_(out), act_(act) {}
    const char* kind() const override { return "gate"; }

  protected:
    void run_row(const Run& run, std::size_t row) const override;

  private:
    View a_, b_, out_;
    Act act_;
};

// out = scale * x, or that added to out.
class Add final : public RowInstruction {
  public:
    Add(Space space, View x, float scale, bool accumulate, View out)
        : RowInstruction(space), x_(x), out_(out), scale_(scale), accumulate_(accumulate) {}
    const char* kind() const override { return "add"; }

  protected:
    void run_row(const Run& run, std::size_t row) const override;

  private:
    View x_, out_;
    float scale_;
    bool accumulate_;
};

// The rows of the tokens that are wanted.
class Select final : public RowInstruction {
  public:
    Select(View x, View out) : RowInstruction(Space::wanted), x_(x), out_(out) {}
    const char* kind() const override { return "select"; }

  protected:
    void run_row(const Run& run, std::size_t row) const override;

  private:
    View x_, out_;
};

// x = cap * tanh(x / cap).
class Softcap final : public RowInstruction {
  public:
    Softcap(Space space, View x, float cap) : RowInstruction(space), x_(x), cap_(cap) {}
    const char* kind() const override { return "softcap"; }

  protected:
    void run_row(const Run& run, std::size_t row) const override;

  private:
    View x_;
    float cap_;
};

// x in the form that products with matrices of a kind read.
class Prepare final : public Instruction {
  public:
    Prepare(Space space, View x, WeightKind weights) : space_(space), x_(x), weights_(weights) {}
    const char* kind() const override { return "prepare"; }
    Space space() const override { return space_; }
    void run(const Run& run, RunThread& thread) const override;

  private:
    Space space_;
    View x_;
    WeightKind weights_;
};

// out = act(x W^T + bias), or out += x W^T + bias, of what was prepared last.
class Product final : public Instruction {
  public:
    Product(Space space, const PackedMatrix& matrix, std::vector<float> bias, Act act, bool accumulate,
            View out, std::size_t counter)
        : space_(space),
          matrix_(matrix),
          bias_(std::move(bias)),
          act_(act),
          accumulate_(accumulate),
          out_(out),
          counter_(counter) {}
    const char* kind() const override { return space_ == Space::wanted ? "head" : "linear"; }
    bool is_by_rows() const override { return false; }
    Space space() const override { return space_; }
    void run(const Run& run, RunThread& thread) const override;

  private:
    Space space_;
    const PackedMatrix& matrix_;
    std::vector<float> bias_;
    Act act_;
    bool accumulate_;
    View out_;
    std::size_t counter_;
};

// What both halves of an attention know.
struct AttendSettings {
    std::size_t layer;
    Heads heads;
    std::size_t plan, counter;
    View q, keys, values, out;  // keys and values where they are packed
    std::vector<float> bias;
    AttentionOptions options;  // its bias points into `bias` above
};

// Items of the plan, whoever is free takes the next.
class Attend final : public Instruction {
  public:
    explicit Attend(std::shared_ptr<const AttendSettings> settings) : settings_(std::move(settings)) {}
    const char* kind() const override { return "attend"; }
    bool is_by_rows() const override { return false; }
    void run(const Run& run, RunThread& thread) const override;

  private:
    std::shared_ptr<const AttendSettings> settings_;
};

// Joins what several threads found for one query.
class FinishAttend final : public Instruction {
  public:
    explicit FinishAttend(std::shared_ptr<const AttendSettings> settings) : settings_(std::move(settings)) {}
    const char* kind() const override { return "attend"; }
    void run(const Run& run, RunThread& thread) const override;

  private:
    std::shared_ptr<const AttendSettings> settings_;
};

}  // namespace potstill
